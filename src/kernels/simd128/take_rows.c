/* take_rows, fast: the rows of a segment lie side by side, so a tile is one copy within a segment. Limit: memory, 8 bytes an element. */
#include <string.h>

#include "kernels/simd128/rows.h"

static uint32_t tiles_of_segment(const wf_op_call *call) {
    const wf_shape *s = &call->out.shape;
    return wf_ceil_div(s->h * s->w, wf_tile_rows(wf_shape_stride(s)));
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->out.shape.n * tiles_of_segment(call);
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *in = &call->in[0].shape, *out = &call->out.shape;
    uint32_t each = tiles_of_segment(call), segment = tile / each, taken = out->h * out->w;
    uint32_t rows = wf_tile_rows(wf_shape_stride(out)), first = tile % each * rows, count = wf_min_u32(rows, taken - first);
    memcpy(wf_row_f32(&call->out, segment * taken + first), wf_row_f32(&call->in[0], segment * in->h * in->w + call->p->first + first),
           (size_t)count * wf_shape_stride(out) * sizeof(float));
}

extern const wf_op_impl wf_take_rows_simd;
const wf_op_impl wf_take_rows_simd = {1, tiles, run, NULL, NULL};
