/* patch_merge: four neighbours become one row, the map halves its sides (Swin, arXiv 2103.14030, section 3.1):
   out[y, x] = [in(2y, 2x) | in(2y+1, 2x) | in(2y, 2x+1) | in(2y+1, 2x+1)], in that order; what lies outside a map of odd sides is
   zero. Cost: one copy. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_patch_merge_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "patch_merge", node, err));
    wf_shape result = {in->n, in->h / 2 + in->h % 2, in->w / 2 + in->w % 2, 4 * in->c, WF_LAYOUT_ROWS};
    *out = result;
    return wf_expect_size(out, "patch_merge", node, err);
}

uint64_t wf_patch_merge_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *in = &call->in[0].shape, *out = &call->out.shape;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        uint32_t x = row % out->w, y = row / out->w % out->h, segment = row / out->w / out->h;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t from_y = 2 * y + i % 2, from_x = 2 * x + i / 2;
            wf_real *to = wf_row(&call->out, row) + (size_t)i * in->c;
            if (from_y < in->h && from_x < in->w) {
                memcpy(to, wf_row(&call->in[0], (segment * in->h + from_y) * in->w + from_x), in->c * sizeof *to);
            } else {
                memset(to, 0, in->c * sizeof *to);
            }
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(patch_merge) = {1, wf_scalar_row_tiles, run, NULL, NULL};
