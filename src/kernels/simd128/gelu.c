/* gelu: y = ½ x (1 + erf(x/√2)), a rational approximation without exp (vmath.h), where the scalar
   twin sums a series. Cost: about 25 vector operations for four elements, ~1 ns an element. `out`
   may be in0. */
#include "kernels/op.h"
#include "kernels/simd128/vmath.h"

enum { TILE_ELEMENTS = 16384 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return (uint32_t)((wf_shape_elements(&call->out.shape) + TILE_ELEMENTS - 1) / TILE_ELEMENTS);
}

/* The whole tensor is one run of floats, a multiple of 32 long: zero lanes stay zero, as GELU(0) =
   0. */
static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint64_t begin = (uint64_t)tile * TILE_ELEMENTS, end = wf_shape_elements(&call->out.shape);
    end = end < begin + TILE_ELEMENTS ? end : begin + TILE_ELEMENTS;
    const float *x = call->in[0].data;
    float *y = call->out.data;
    for (size_t i = (size_t)begin; i < end; i += 16) {
        v128_t v[4];
        WF_EACH(j, 4) v[j] = wasm_v128_load(x + i + 4 * j);
        wf_gelu_many(v, 4);
        WF_EACH(j, 4) wasm_v128_store(y + i + 4 * j, v[j]);
    }
}

extern const wf_op_impl wf_gelu_simd;
const wf_op_impl wf_gelu_simd = {1, tiles, run, NULL, NULL};
