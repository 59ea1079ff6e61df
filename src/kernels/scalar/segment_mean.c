/* segment_mean: out[n, c] = mean of in0[n, r, c] over rows r = first … first + count − 1 of a segment, count = 0: to its end
   (global average pooling before a head, with or without the class tokens in front; one row: the class token itself, exactly).
   Cost: one read. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_segment_mean_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "segment_mean", node, err));
    uint64_t rows = (uint64_t)call->in[0].shape.h * call->in[0].shape.w;
    if ((uint64_t)call->p->first + (call->p->count != 0 ? call->p->count : 1) > rows) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "segment_mean \"%s\": rows %u to %u of a segment of %llu", node,
                       (unsigned)call->p->first, (unsigned)(call->p->first + (call->p->count != 0 ? call->p->count : 1)),
                       (unsigned long long)rows);
    }
    wf_shape result = {call->in[0].shape.n, 1, 1, call->in[0].shape.c, WF_LAYOUT_ROWS};
    *out = result;
    return WF_OK;
}

uint64_t wf_segment_mean_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t segment, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, all = call->in[0].shape.h * call->in[0].shape.w, first = call->p->first;
    uint32_t rows = call->p->count != 0 ? call->p->count : all - first;
    wf_real *y = wf_row(&call->out, segment);
    for (uint32_t i = 0; i < c; i++) {
        double sum = 0;
        for (uint32_t r = 0; r < rows; r++) {
            sum += wf_row(&call->in[0], segment * all + first + r)[i];
        }
        y[i] = (wf_real)(sum / rows);
    }
    wf_row_zero_lanes(&call->out, segment);
}

WF_SCALAR_IMPL(segment_mean) = {1, wf_scalar_segment_tiles, run, NULL, NULL};
