/* concat: out = [in0 | in1], row by row, channels side by side. Cost: one copy. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_concat_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "concat", node, err));
    WF_TRY(wf_expect_input(&call->in[1], false, "concat", node, err));
    wf_shape other = call->in[1].shape; /* may have other channels, not other rows */
    other.c = call->in[0].shape.c;
    WF_TRY(wf_expect_same_rows(&call->in[0].shape, &other, "the second input", "concat", node, err));
    wf_shape result = call->in[0].shape;
    result.c += call->in[1].shape.c;
    *out = result;
    return wf_expect_size(out, "concat", node, err);
}

uint64_t wf_concat_cost(const wf_op_call *call) {
    return wf_shape_elements(&call->in[0].shape) + wf_shape_elements(&call->in[1].shape);
}
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t a = call->in[0].shape.c, b = call->in[1].shape.c, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        wf_real *y = wf_row(&call->out, row);
        memcpy(y, wf_row(&call->in[0], row), a * sizeof *y);
        memcpy(y + a, wf_row(&call->in[1], row), b * sizeof *y);
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(concat) = {1, wf_scalar_row_tiles, run, NULL, NULL};
