/* A depthwise convolution at one cell of a window: Σ over taps of weights ∘ cells, 16 channels at a time in registers, so that a tap's
   address is worked out once for them. Limit: two loads a multiply–add. */
#ifndef WF_KERNELS_SIMD128_DEPTHWISE_CELL_H
#define WF_KERNELS_SIMD128_DEPTHWISE_CELL_H

#include "kernels/simd128/rows.h"
#include "kernels/simd128/vmath.h"

/* The taps that the window does not cut off, first ≤ tap < end; down and across: where their cells are, in elements from `in`. */
typedef struct wf_depthwise {
    const float *in, *weights, *bias; /* at the first channel; weights [kernel_h · kernel_w][stride]; bias NULL: zeros */
    const size_t *down, *across;      /* of the first taps */
    size_t stride;
    uint32_t kernel_w, first_y, end_y, first_x, end_x;
} wf_depthwise;

/* Four vectors are whole; one may be cut off by dim. */
WF_INLINE v128_t wf_depthwise_load(const float *x, uint32_t i, uint32_t dim, uint32_t vectors) {
    return vectors == 4 ? wasm_v128_load(x + i) : wf_load_part(x, i, dim);
}

/* Channels i … i + 4·vectors − 1 of `dim`. */
WF_INLINE void wf_depthwise_some(const wf_depthwise *d, uint32_t i, uint32_t dim, uint32_t vectors, float *out) {
    v128_t sum[4];
    WF_EACH(v, vectors) {
        sum[v] = wasm_f32x4_splat(0);
    }
    for (uint32_t ky = d->first_y; ky < d->end_y; ky++) {
        const float *row = d->in + d->down[ky - d->first_y], *w = d->weights + (ky * d->kernel_w + d->first_x) * d->stride + i;
        for (uint32_t kx = d->first_x; kx < d->end_x; kx++, w += d->stride) {
            const float *cell = row + d->across[kx - d->first_x];
            WF_EACH(v, vectors) {
                sum[v] = wf_madd(wf_depthwise_load(cell, i + 4 * v, dim, vectors), wf_depthwise_load(w, 4 * v, dim - i, vectors), sum[v]);
            }
        }
    }
    WF_EACH(v, vectors) {
        if (d->bias != NULL) {
            sum[v] = wasm_f32x4_add(sum[v], wf_depthwise_load(d->bias, i + 4 * v, dim, vectors));
        }
        wasm_v128_store(out + i + 4 * v, sum[v]);
    }
}

/* out[dim rounded up to 4]. */
WF_INLINE void wf_depthwise_cell(const wf_depthwise *d, uint32_t dim, float *out) {
    uint32_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        wf_depthwise_some(d, i, dim, 4, out);
    }
    for (; i < dim; i += 4) {
        wf_depthwise_some(d, i, dim, 1, out);
    }
}

#endif
