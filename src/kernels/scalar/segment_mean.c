/* segment_mean: out[n, c] = mean of in0[n, r, c] over the h·w rows r of a segment (global average
   pooling before a head). Cost: one read. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_segment_mean_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "segment_mean", node, err));
    wf_shape result = {call->in[0].shape.n, 1, 1, call->in[0].shape.c, WF_LAYOUT_ROWS};
    *out = result;
    return WF_OK;
}

uint64_t wf_segment_mean_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t segment, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, rows = call->in[0].shape.h * call->in[0].shape.w;
    wf_real *y = wf_row(&call->out, segment);
    for (uint32_t i = 0; i < c; i++) {
        double sum = 0;
        for (uint32_t r = 0; r < rows; r++) {
            sum += wf_row(&call->in[0], segment * rows + r)[i];
        }
        y[i] = (wf_real)(sum / rows);
    }
    wf_row_zero_lanes(&call->out, segment);
}

WF_SCALAR_IMPL(segment_mean) = {1, wf_scalar_segment_tiles, run, NULL, NULL};
