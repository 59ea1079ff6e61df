/* Activations as int8, one symmetric scale a row: the definition, shared by the scalar kernels and
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

#endif
