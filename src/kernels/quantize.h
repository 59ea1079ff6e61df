/* Activations as int8. First, one symmetric scale a row: the definition, shared by the scalar kernels and
   the fast ones (simd128/quantize_row.c gives the same integers).
       largest = max |x|,  step = largest / 127,  x ≈ step · q,
       q = nearest(x · (127 / largest)) in −127 … 127
   nearest rounds halves to even. A row of zeros has step 0 and q = 0. All in float, so that every
   build agrees. */
#ifndef WF_KERNELS_QUANTIZE_H
#define WF_KERNELS_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/half.h"
#include "kernels/op.h"

/* Any order of the elements gives the same result; NaNs are passed over. */
static inline float wf_quantize_largest(const float *x, size_t k) {
    float largest = 0;
    for (size_t i = 0; i < k; i++) {
        float size = x[i] < 0 ? -x[i] : x[i];
        largest = largest < size ? size : largest;
    }
    return largest;
}

static inline float wf_quantize_step(float largest) { return largest / 127.0f; }
/* Below 1e-36 the quotient would overflow: such a row is as good as zero. */
static inline float wf_quantize_inverse(float largest) { return largest > 1e-36f ? 127.0f / largest : 0.0f; }

/* Adding 1.5 · 2²³ rounds to the nearest integer and leaves it in the low bits. */
static inline int32_t wf_quantize_i8(float x, float inverse) {
    return (int32_t)(wf_float_bits(x * inverse + 12582912.0f) - 0x4b400000u);
}

/* What the parts of one sign of two neighbours (2i, 2i + 1) in a row of I8 weights add up to at most, as our converter writes them: their
   products with bytes then have sums of 16 bits (255 · 128 < 2¹⁵), which WF_DOT_PAIRS needs (codec.h). A file may hold others. */
enum { WF_PAIRS_MOST = 128 };

/* Activations as bytes on a static grid, chosen when the model was converted:
       u = nearest(x · (gain[c] / scale) + zero), clipped to 0 … 255;   x ≈ scale · (u − zero) / gain[c]
   gain evens out the ranges of channels; the matrix that reads the bytes has been divided by it. Absent = 1. */
typedef struct wf_grid {
    float scale, inverse; /* inverse = 1 / scale */
    int32_t zero;
    const float *gain; /* [c] with zero lanes, or NULL */
} wf_grid;

/* scale [1], zero [1], gain [c] of a call, as floats. Whatever the file holds, the grid is harmless. */
static inline wf_grid wf_grid_of(const wf_weight *w) {
    float zero = *(const float *)w[1].data;
    wf_grid g = {*(const float *)w[0].data, 0, 0, (const float *)w[2].data};
    g.inverse = g.scale > 1e-36f ? 1.0f / g.scale : 0.0f;
    g.zero = zero >= 255.0f ? 255 : zero > 0.0f ? (int32_t)zero : 0;
    return g;
}

/* 1 ÷ the step of element c. */
static inline float wf_grid_inverse(const wf_grid *g, uint32_t c) {
    return g->gain != NULL ? g->gain[c] * g->inverse : g->inverse;
}

/* Rounding as in wf_quantize_i8; x is held above −2²² steps, where the trick with the bits ends. */
static inline uint8_t wf_quantize_u8(float x, float inverse, int32_t zero) {
    float steps = x * inverse;
    steps = steps > -4194304.0f ? steps : -4194304.0f;
    int64_t u = (int64_t)(int32_t)wf_float_bits(steps + (12582912.0f + (float)zero)) - 0x4b400000;
    return (uint8_t)(u < 0 ? 0 : u > 255 ? 255 : u);
}

#endif
