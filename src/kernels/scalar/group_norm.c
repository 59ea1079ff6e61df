/* group_norm: y = (x − μ)/√(σ² + eps) [· w0[c] + w1[c]] with one group: μ and the biased σ² run
   over all h·w·c elements of a segment (torch's GroupNorm(1, C), PoolFormer's norm). Two passes, so
   that a large mean costs no digits. Cost: reads the map three times. */
#include "kernels/scalar/int8_rows.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_group_norm_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "group_norm", node, err));
    WF_TRY(wf_expect_vector(&call->w[0], call->in[0].shape.c, "weight", "group_norm", node, err));
    WF_TRY(wf_expect_vector(&call->w[1], call->in[0].shape.c, "bias", "group_norm", node, err));
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_group_norm_cost(const wf_op_call *call) { return 2 * wf_shape_elements(&call->in[0].shape); }
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    return call->p->out_u8 ? call->in[0].shape.c * sizeof(wf_real) : 0;
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t segment, void *scratch) {
    (void)phase;
    uint32_t c = call->in[0].shape.c, rows = call->in[0].shape.h * call->in[0].shape.w;
    uint32_t first = segment * rows, end = first + rows;
    double count = (double)rows * c, sum = 0, squares = 0;
    for (uint32_t row = first; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        for (uint32_t i = 0; i < c; i++) {
            sum += x[i];
        }
    }
    double mean = sum / count;
    for (uint32_t row = first; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        for (uint32_t i = 0; i < c; i++) {
            squares += (x[i] - mean) * (x[i] - mean);
        }
    }
    double inverse = 1 / wf_real_sqrt(squares / count + wf_real_eps(call->p->eps));
    for (uint32_t row = first; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = call->p->out_u8 ? scratch : wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            wf_real normal = (wf_real)((x[i] - mean) * inverse);
            y[i] = normal * wf_vector_at(&call->w[0], i, 1) + wf_vector_at(&call->w[1], i, 0);
        }
        if (call->p->out_u8) {
            wf_row_store_u8(call, y, row);
        } else {
            wf_row_zero_lanes(&call->out, row);
        }
    }
}

WF_SCALAR_IMPL(group_norm) = {1, wf_scalar_segment_tiles, run, scratch_bytes, NULL};
