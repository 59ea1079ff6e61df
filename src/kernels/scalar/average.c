/* average: y = (in0 + in1) / 2, the mean of two classifiers (DeiT's class and distillation heads). Cost: two reads and a write of
   a vector. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_average_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "average", node, err));
    WF_TRY(wf_expect_input(&call->in[1], false, "average", node, err));
    WF_TRY(wf_expect_same_rows(&call->in[0].shape, &call->in[1].shape, "second input", "average", node, err));
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_average_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *a = wf_row(&call->in[0], row), *b = wf_row(&call->in[1], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = (wf_real)0.5 * (a[i] + b[i]);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(average) = {1, wf_scalar_row_tiles, run, NULL, NULL};
