/* gelu: y = ½ x (1 + erf(x/√2)), the exact GELU (Hendrycks and Gimpel 2016), as an op of its own
   where it cannot ride in the epilogue of a linear layer. Cost: one erf an element. `out` may be
   in0. */
#include "kernels/scalar/row_product.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_gelu_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "gelu", node, err));
    *out = call->in[0].shape;
    return WF_OK;
}

/* An erf costs about as much as twenty multiply–adds. */
uint64_t wf_gelu_cost(const wf_op_call *call) { return 20 * wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = wf_scalar_gelu(x[i]);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(gelu) = {1, wf_scalar_row_tiles, run, NULL, NULL};
