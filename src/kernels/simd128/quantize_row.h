/* Rows of activations as int8 in the form that an integer dot reads (kernels/quantize.h has the
   definition). */
#ifndef WF_KERNELS_SIMD128_QUANTIZE_ROW_H
#define WF_KERNELS_SIMD128_QUANTIZE_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/codec.h"

/* Bytes of a quantized row of k elements (k a multiple of 32). */
static inline size_t wf_quantized_row_bytes(wf_dot dot, uint32_t k) {
    return dot == WF_DOT_I16 ? 2 * (size_t)k : k;
}

/* Writes q of x[k], k a multiple of 32, and returns the row's step:
   WF_DOT_I16    int16, the four elements of a group in the order 0 2 1 3 (gemm_q8_0_int8.c says
                 why)
   WF_DOT_U8S8   uint8, q + 128
   WF_DOT_S8S8   int8 */
float wf_quantize_row(wf_dot dot, const float *x, uint32_t k, void *q);

#endif
