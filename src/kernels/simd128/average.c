/* average, fast: y = (in0 + in1) / 2 over whole padded rows. Limit: memory, 12 bytes an element. `out` may be in0 or in1. */
#include "kernels/simd128/rows.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    const wf_shape *s = &call->out.shape;
    return wf_ceil_div(wf_shape_rows(s), wf_tile_rows(wf_shape_stride(s)));
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->out.shape;
    uint32_t stride = wf_shape_stride(s), rows = wf_tile_rows(stride), first = tile * rows;
    uint32_t end = wf_min_u32(first + rows, wf_shape_rows(s));
    const float *a = wf_row_f32(&call->in[0], first), *b = wf_row_f32(&call->in[1], first);
    float *y = wf_row_f32(&call->out, first);
    v128_t half = wasm_f32x4_splat(0.5f);
    for (size_t i = 0; i < (size_t)(end - first) * stride; i += 4) {
        wasm_v128_store(y + i, wasm_f32x4_mul(half, wasm_f32x4_add(wasm_v128_load(a + i), wasm_v128_load(b + i))));
    }
}

extern const wf_op_impl wf_average_simd;
const wf_op_impl wf_average_simd = {1, tiles, run, NULL, NULL};
