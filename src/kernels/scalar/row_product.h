/* One row of a matrix product with its epilogue, shared by linear and conv2d:
       y[o] = [residual[o] +] [scale[o] ·] act(Σ_k x[k] · W[o, k] [+ bias[o]])
   Σ runs over k = 0, 1, … in wf_real, the order that every GEMM keeps (codec.h). */
#ifndef WF_KERNELS_SCALAR_ROW_PRODUCT_H
#define WF_KERNELS_SCALAR_ROW_PRODUCT_H

#include "kernels/quantize.h"
#include "kernels/scalar/real.h"

/* ½ x (1 + erf(x/√2)), BERT's and PoolFormer's GELU. */
static inline wf_real wf_scalar_gelu(wf_real x) {
    return (wf_real)0.5 * x * (1 + wf_real_erf(x * (wf_real)0.70710678118654752440));
}

static inline void wf_row_product(const wf_op_call *call, const wf_real *x /* [k] */, uint32_t row) {
    const wf_weight *w = &call->w[0]; /* [n, k], dense */
    const wf_real *residual = call->in[1].data != NULL ? wf_row(&call->in[1], row) : NULL;
    wf_real *y = wf_row(&call->out, row); /* [n] */
    for (uint32_t o = 0; o < w->n; o++) {
        const wf_real *weights = (const wf_real *)w->data + (size_t)o * w->k;
        wf_real sum = 0;
        for (uint32_t k = 0; k < w->k; k++) {
            sum += x[k] * weights[k];
        }
        sum += wf_vector_at(&call->w[1], o, 0);
        if (call->p->act == WF_ACT_GELU_ERF) {
            sum = wf_scalar_gelu(sum);
        }
        sum *= wf_vector_at(&call->w[2], o, 1);
        y[o] = residual != NULL ? residual[o] + sum : sum;
    }
    wf_row_zero_lanes(&call->out, row);
}

/* x ← the nearest points of the row's int8 grid, for p->int8_rows: what the integer kernels see of
   a row. The grid is chosen in float in the double build too, so that both see the same integers.
 */
static inline void wf_row_round_to_int8(wf_real *x, uint32_t k) {
    float largest = 0;
    for (uint32_t i = 0; i < k; i++) {
        float value = (float)x[i], size = wf_quantize_largest(&value, 1);
        largest = size > largest ? size : largest;
    }
    float step = wf_quantize_step(largest), inverse = wf_quantize_inverse(largest);
    for (uint32_t i = 0; i < k; i++) {
        x[i] = step * (wf_real)wf_quantize_i8((float)x[i], inverse);
    }
}

#endif
