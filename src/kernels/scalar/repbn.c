/* repbn: RepBN at inference (SLAB, arXiv 2405.11582, section 3.1), a batch norm whose statistics are constants, plus α times its
   input: y = (in0 − w2)/√(w3 + eps) · w0 + w1 + w4 · in0, with γ = w0, β = w1, μ = w2, σ² = w3 per channel and α = w4 for all.
   Without w4 it is a plain batch norm, without w0 and w1 one without scale and shift.
   It is a scale and a shift per channel, made once a run:
     a = γ/√(σ² + eps) + α,  b = β − γ·μ/√(σ² + eps),  y = a ∘ in0 + b
   Cost: a read and a write. `out` may be in0. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_repbn_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    static const char *const names[] = {"weight", "bias", "mean", "variance", "alpha"};
    WF_TRY(wf_expect_input(&call->in[0], false, "repbn", node, err));
    for (int i = 0; i < 5; i++) {
        if (call->w[i].n == 0 && (i == 2 || i == 3)) {
            return wf_fail(err, WF_E_SHAPE, node, -1, "repbn \"%s\": its %s is missing", node, names[i]);
        }
        WF_TRY(wf_expect_vector(&call->w[i], i < 4 ? call->in[0].shape.c : 1, names[i], "repbn", node, err));
    }
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_repbn_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static size_t workspace_bytes(const wf_op_call *call) { return 2 * call->in[0].shape.c * sizeof(wf_real); }

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    return phase == 0 ? 1 : wf_scalar_row_tiles(call, phase);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)scratch;
    uint32_t c = call->in[0].shape.c, end = wf_scalar_tile_end(call, tile);
    wf_real *a = call->workspace, *b = a + c; /* [c] each */
    for (uint32_t i = 0; i < c && phase == 0; i++) {
        double gamma = wf_vector_at(&call->w[0], i, 1);
        double over = gamma / wf_real_sqrt(wf_vector_at(&call->w[3], i, 1) + wf_real_eps(call->p->eps));
        a[i] = (wf_real)(over + wf_vector_at(&call->w[4], 0, 0));
        b[i] = (wf_real)(wf_vector_at(&call->w[1], i, 0) - over * wf_vector_at(&call->w[2], i, 0));
    }
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end && phase == 1; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = a[i] * x[i] + b[i];
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(repbn) = {2, tiles, run, NULL, workspace_bytes};
