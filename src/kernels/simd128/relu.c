/* relu, fast: a multiplication and a select for four elements. The whole tensor is one run of floats, a multiple of 32 long, and
   zero lanes stay zero. Limit: memory, 8 bytes an element. `out` may be in0. */
#include "kernels/simd128/rows.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return (uint32_t)((wf_shape_elements(&call->out.shape) + WF_TILE_FLOATS - 1) / WF_TILE_FLOATS);
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint64_t begin = (uint64_t)tile * WF_TILE_FLOATS, end = wf_shape_elements(&call->out.shape);
    end = end < begin + WF_TILE_FLOATS ? end : begin + WF_TILE_FLOATS;
    const v128_t slope = wasm_f32x4_splat(call->p->scale), zero = wasm_f32x4_splat(0);
    const float *x = call->in[0].data;
    float *y = call->out.data;
    for (size_t i = (size_t)begin; i < end; i += 4) {
        v128_t v = wasm_v128_load(x + i);
        wasm_v128_store(y + i, wasm_v128_bitselect(v, wasm_f32x4_mul(slope, v), wasm_f32x4_gt(v, zero)));
    }
}

extern const wf_op_impl wf_relu_simd;
const wf_op_impl wf_relu_simd = {1, tiles, run, NULL, NULL};
