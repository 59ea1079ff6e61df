/* take_rows: rows first … first + h·w − 1 of each segment, as a map of h × w (p.map_h, p.map_w): the patches of a sequence without
   the tokens in front. Cost: one copy. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_take_rows_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "take_rows", node, err));
    wf_shape result = {in->n, call->p->map_h, call->p->map_w, in->c, WF_LAYOUT_ROWS};
    uint64_t taken = (uint64_t)result.h * result.w, rows = (uint64_t)in->h * in->w;
    if (taken == 0 || taken > rows || call->p->first > rows - taken) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "take_rows \"%s\": a map of %u x %u from row %u on is not inside a segment of %llu rows",
                       node, (unsigned)result.h, (unsigned)result.w, (unsigned)call->p->first, (unsigned long long)rows);
    }
    *out = result;
    return WF_OK;
}

uint64_t wf_take_rows_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *in = &call->in[0].shape, *out = &call->out.shape;
    uint32_t taken = out->h * out->w, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        uint32_t from = row / taken * in->h * in->w + call->p->first + row % taken;
        memcpy(wf_row(&call->out, row), wf_row(&call->in[0], from), wf_shape_stride(out) * sizeof(wf_real)); /* zero lanes too */
    }
}

WF_SCALAR_IMPL(take_rows) = {1, wf_scalar_row_tiles, run, NULL, NULL};
