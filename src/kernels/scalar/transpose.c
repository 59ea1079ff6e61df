/* transpose: out[n, i, r] = in0[n, r, i]: within each segment rows become channels, [h·w, c] → [c,
   h·w]. A token-mixing matrix (SpatialFc of MetaFormer) is transpose, linear, transpose. Cost: one
   read and one write. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_transpose_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "transpose", node, err));
    wf_shape result = {in->n, in->c, 1, in->h * in->w, WF_LAYOUT_ROWS};
    WF_TRY(wf_expect_size(&result, "transpose", node, err));
    *out = result;
    return WF_OK;
}

uint64_t wf_transpose_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, rows = call->in[0].shape.h * call->in[0].shape.w;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) { /* an output row: channel i of segment n */
        uint32_t segment = row / c, channel = row % c;
        wf_real *y = wf_row(&call->out, row); /* [h·w] */
        for (uint32_t r = 0; r < rows; r++) {
            y[r] = wf_row(&call->in[0], segment * rows + r)[channel];
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(transpose) = {1, wf_scalar_row_tiles, run, NULL, NULL};
