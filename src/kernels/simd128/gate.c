/* gate, fast: y = in0 / (1 + exp(−in0)) · in1 over whole padded rows (0 / 2 · 0 keeps the zero lanes), with the exp of vmath.h and one
   division. Limit: arithmetic, about 18 vector operations for four elements. `out` may be in0 or in1. */
#include "kernels/simd128/rows.h"
#include "kernels/simd128/vmath.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    const wf_shape *s = &call->out.shape;
    return wf_ceil_div(wf_shape_rows(s), wf_tile_rows(wf_shape_stride(s)));
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->out.shape;
    uint32_t stride = wf_shape_stride(s), rows = wf_tile_rows(stride), first = tile * rows;
    uint32_t end = wf_min_u32(first + rows, wf_shape_rows(s));
    const float *x = wf_row_f32(&call->in[0], first), *up = wf_row_f32(&call->in[1], first);
    float *y = wf_row_f32(&call->out, first);
    v128_t one = wasm_f32x4_splat(1);
    for (size_t i = 0; i < (size_t)(end - first) * stride; i += 4) {
        v128_t v = wasm_v128_load(x + i), e = wf_exp(wasm_f32x4_neg(v));
        v128_t silu = wasm_f32x4_div(v, wasm_f32x4_add(one, e));
        wasm_v128_store(y + i, wasm_f32x4_mul(silu, wasm_v128_load(up + i)));
    }
}

extern const wf_op_impl wf_gate_simd;
const wf_op_impl wf_gate_simd = {1, tiles, run, NULL, NULL};
