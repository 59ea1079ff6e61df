/* add_table, fast: y = in0 + w0[row within the segment] over whole padded rows (the table has zero
   lanes too). Limit: memory, 12 bytes an element, 8 once the table is in cache. `out` may be in0. */
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
    uint32_t end = wf_min_u32(first + rows, wf_shape_rows(s)), cells = s->h * s->w;
    const float *table = call->w[0].data; /* [cells, stride] */
    for (uint32_t row = first; row < end; row++) {
        const float *x = wf_row_f32(&call->in[0], row), *t = table + (size_t)(row % cells) * stride;
        float *y = wf_row_f32(&call->out, row);
        for (uint32_t i = 0; i < stride; i += 16) {
            WF_UNROLL
            for (int v = 0; v < 16; v += 4) {
                wasm_v128_store(y + i + v,
                                wasm_f32x4_add(wasm_v128_load(x + i + v), wasm_v128_load(t + i + v)));
            }
        }
    }
}

extern const wf_op_impl wf_add_table_simd;
const wf_op_impl wf_add_table_simd = {1, tiles, run, NULL, NULL};
