/* head_norm: layer norm over each head of one part of [q | k | v] rows, the other elements copied: heads first … first + heads − 1,
   head_dim elements each, y = (x − μ)/√(σ² + eps) [· w0 + w1] with w0, w1 [head_dim] shared by the heads (timm's qk_norm).
   Cost: one read and one write. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_head_norm_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_input(&call->in[0], false, "head_norm", node, err));
    WF_TRY(wf_expect_vector(&call->w[0], p->head_dim, "weight", "head_norm", node, err));
    WF_TRY(wf_expect_vector(&call->w[1], p->head_dim, "bias", "head_norm", node, err));
    if (p->heads == 0 || p->head_dim == 0 || ((uint64_t)p->first + p->heads) * p->head_dim > call->in[0].shape.c) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "head_norm \"%s\": heads %u to %u of size %u do not lie in rows of %u channels", node,
                       (unsigned)p->first, (unsigned)(p->first + p->heads), (unsigned)p->head_dim, (unsigned)call->in[0].shape.c);
    }
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_head_norm_cost(const wf_op_call *call) { return 2 * wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_op_params *p = call->p;
    uint32_t dim = p->head_dim, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = wf_row(&call->out, row);
        if (x != y) {
            memcpy(y, x, wf_shape_stride(&call->out.shape) * sizeof *y);
        }
        for (uint32_t head = p->first; head < p->first + p->heads; head++) {
            wf_real *v = y + (size_t)head * dim;
            double sum = 0, squares = 0;
            for (uint32_t i = 0; i < dim; i++) {
                sum += v[i];
            }
            double mean = sum / dim;
            for (uint32_t i = 0; i < dim; i++) {
                squares += (v[i] - mean) * (v[i] - mean);
            }
            double inverse = 1 / wf_real_sqrt(squares / dim + wf_real_eps(p->eps));
            for (uint32_t i = 0; i < dim; i++) {
                v[i] = (wf_real)((v[i] - mean) * inverse) * wf_vector_at(&call->w[0], i, 1) + wf_vector_at(&call->w[1], i, 0);
            }
        }
    }
}

WF_SCALAR_IMPL(head_norm) = {1, wf_scalar_row_tiles, run, NULL, NULL};
