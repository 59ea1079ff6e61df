/* What the scalar kernels do with bytes: rows quantized to 0 … 255, and the row product with an I8 matrix,
       y[o] = [residual[o] +] [scale[o] ·] act((step · steps[o]) · Σ_k (u[k] − zero) · W[o, k] [+ bias[o]])
   whose Σ is an exact integer; then y itself may be rounded to bytes. `step` and `zero` belong to the row (dynamic: zero is 128)
   or to the call's grid (static). The dense matrix holds the stored integers as wf_real. */
#ifndef WF_KERNELS_SCALAR_INT8_ROWS_H
#define WF_KERNELS_SCALAR_INT8_ROWS_H

#include "kernels/scalar/row_product.h"

typedef struct wf_byte_row {
    float step;
    int32_t zero;
} wf_byte_row;

static inline bool wf_is_i8_product(const wf_op_call *call) {
    return call->p->int8_rows && call->w[WF_W_STEPS].data != NULL;
}

static inline uint8_t *wf_row_u8(const wf_view *view, uint32_t r) {
    return (uint8_t *)view->data + (size_t)r * wf_shape_stride(&view->shape);
}

/* y[c] → bytes of a row, lanes behind c at the zero. */
static inline void wf_row_store_u8(const wf_op_call *call, const wf_real *y, uint32_t row) {
    const uint32_t c = call->out.shape.c;
    wf_grid g = wf_grid_of(&call->w[WF_W_OUT_GRID]);
    uint8_t *u = wf_row_u8(&call->out, row);
    for (uint32_t i = 0; i < c; i++) {
        u[i] = wf_quantize_u8((float)y[i], wf_grid_inverse(&g, i), g.zero);
    }
    memset(u + c, g.zero, wf_shape_stride(&call->out.shape) - c);
}

/* x[k] → u[k] on the call's grid if it has one, else with a step of the row's own. channels: gain repeats after so many
   elements (a patch holds the channels of many cells). */
static inline wf_byte_row wf_row_quantize(const wf_op_call *call, const wf_real *x, uint32_t k, uint32_t channels, uint8_t *u) {
    if (call->w[WF_W_IN_GRID].data != NULL) {
        wf_grid g = wf_grid_of(&call->w[WF_W_IN_GRID]);
        for (uint32_t i = 0; i < k; i++) {
            u[i] = wf_quantize_u8((float)x[i], wf_grid_inverse(&g, i % channels), g.zero);
        }
        return (wf_byte_row){g.scale, g.zero};
    }
    float largest = 0;
    for (uint32_t i = 0; i < k; i++) {
        float value = (float)x[i], size = wf_quantize_largest(&value, 1);
        largest = size > largest ? size : largest;
    }
    for (uint32_t i = 0; i < k; i++) {
        u[i] = (uint8_t)(wf_quantize_i8((float)x[i], wf_quantize_inverse(largest)) + 128);
    }
    return (wf_byte_row){wf_quantize_step(largest), 128};
}

/* work: [n] reals, used when the output is bytes. */
static inline void wf_row_product_i8(const wf_op_call *call, const uint8_t *u, wf_byte_row grid, wf_real *work, uint32_t row) {
    const wf_weight *w = &call->w[0];
    const wf_real *residual = call->in[1].data != NULL ? wf_row(&call->in[1], row) : NULL;
    wf_real *y = call->p->out_u8 ? work : wf_row(&call->out, row);
    for (uint32_t o = 0; o < w->n; o++) {
        const wf_real *weights = (const wf_real *)w->data + (size_t)o * w->k;
        int64_t dot = 0;
        for (uint32_t k = 0; k < w->k; k++) {
            dot += (int64_t)(u[k] - grid.zero) * (int32_t)weights[k];
        }
        wf_real sum = (wf_real)dot * (grid.step * wf_vector_at(&call->w[WF_W_STEPS], o, 1));
        sum += wf_vector_at(&call->w[1], o, 0);
        if (call->p->act == WF_ACT_GELU_ERF) {
            sum = wf_scalar_gelu(sum);
        }
        sum *= wf_vector_at(&call->w[2], o, 1);
        y[o] = residual != NULL ? residual[o] + sum : sum;
    }
    if (call->p->out_u8) {
        wf_row_store_u8(call, y, row);
    } else {
        wf_row_zero_lanes(&call->out, row);
    }
}

/* Scratch of a product: bytes [k], then reals [n]. */
static inline size_t wf_i8_scratch_bytes(const wf_op_call *call) {
    return wf_round_up(call->w[0].k, 64) + call->w[0].n * sizeof(wf_real);
}
static inline wf_real *wf_i8_work(const wf_op_call *call, void *scratch) {
    return (wf_real *)((char *)scratch + wf_round_up(call->w[0].k, 64));
}

#endif
