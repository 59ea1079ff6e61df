/* relu: y = x for x > 0, else p.scale · x: the rectifier, 0 by default (Nair and Hinton 2010), leaky with a slope. NaN passes through.
   Cost: a read and a write. `out` may be in0. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_relu_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "relu", node, err));
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_relu_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = x[i] > 0 ? x[i] : (wf_real)call->p->scale * x[i];
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(relu) = {1, wf_scalar_row_tiles, run, NULL, NULL};
