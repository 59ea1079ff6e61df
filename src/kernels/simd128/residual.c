/* residual, fast: y = in0 + [w0 ·] in1 over whole padded rows (0 + 0 · 0 keeps the zero lanes), 16
   floats a step. Limit: memory, 12 bytes an element; the scale stays in L1. `out` may be in0 or
   in1. */
#include "kernels/simd128/rows.h"

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
    const float *scale = call->w[0].data; /* [stride] or absent */
    const float *x = wf_row_f32(&call->in[0], first), *branch = wf_row_f32(&call->in[1], first);
    float *y = wf_row_f32(&call->out, first);
    if (scale == NULL) {
        for (size_t i = 0, n = (size_t)(end - first) * stride; i < n; i += 16) {
            WF_UNROLL
            for (int v = 0; v < 16; v += 4) {
                wasm_v128_store(y + i + v,
                                wasm_f32x4_add(wasm_v128_load(x + i + v), wasm_v128_load(branch + i + v)));
            }
        }
        return;
    }
    for (uint32_t row = first; row < end; row++, x += stride, branch += stride, y += stride) {
        for (uint32_t i = 0; i < stride; i += 16) {
            WF_UNROLL
            for (int v = 0; v < 16; v += 4) {
                v128_t scaled = wasm_f32x4_mul(wasm_v128_load(scale + i + v), wasm_v128_load(branch + i + v));
                wasm_v128_store(y + i + v, wasm_f32x4_add(wasm_v128_load(x + i + v), scaled));
            }
        }
    }
}

extern const wf_op_impl wf_residual_simd;
const wf_op_impl wf_residual_simd = {1, tiles, run, NULL, NULL};
