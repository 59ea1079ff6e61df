/* residual: y = in0 + [w0[c] ·] in1, a branch joining the stream, with an optional layer scale
   (CaiT's LayerScale) where it could not be fused into a linear layer (PoolFormer's pooling mixer).
   Cost: two reads and a write. `out` may be in0 or in1. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_residual_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "residual", node, err));
    WF_TRY(wf_expect_same_rows(in, &call->in[1].shape, "second input", "residual", node, err));
    WF_TRY(wf_expect_vector(&call->w[0], in->c, "scale", "residual", node, err));
    *out = *in;
    return WF_OK;
}

uint64_t wf_residual_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row), *branch = wf_row(&call->in[1], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = x[i] + wf_vector_at(&call->w[0], i, 1) * branch[i];
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(residual) = {1, wf_scalar_row_tiles, run, NULL, NULL};
