/* gate: y = silu(in0) · in1, silu(x) = x / (1 + exp(−x)): the gate of SwiGLU (arXiv 2002.05202, equation 6). p->act names the
   activation; SiLU is today's only one. Cost: two reads, one write and an exp for each element. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_gate_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "gate", node, err));
    WF_TRY(wf_expect_input(&call->in[1], false, "gate", node, err));
    WF_TRY(wf_expect_same_rows(&call->in[0].shape, &call->in[1].shape, "second input", "gate", node, err));
    if (call->p->act != WF_ACT_SILU) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "gate \"%s\": activation %u is not SiLU, the only one here", node, (unsigned)call->p->act);
    }
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_gate_cost(const wf_op_call *call) { return 4 * wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row), *up = wf_row(&call->in[1], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = x[i] / (1 + wf_real_exp(-x[i])) * up[i];
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(gate) = {1, wf_scalar_row_tiles, run, NULL, NULL};
