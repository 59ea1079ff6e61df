/* Q4_0: blocks of 32 weights, one f16 scale d and 32 nibbles q; w = d·(q − 8). Byte j holds element j
   in its low nibble and element j + 16 in its high one (gguf.md §5). */
#ifndef WF_TENSOR_Q4_0_H
#define WF_TENSOR_Q4_0_H

#include <stddef.h>

enum { WF_Q4_0_BLOCK = 32, WF_Q4_0_BYTES = 18 };

/* k is a multiple of 32. */
void wf_q4_0_decode(const void *src, float *dst, size_t k);
/* d = m / −8, m the first element of the largest magnitude, so that it comes back as q = 0 exactly but
   for d's rounding to f16; q = w / d + 8.5 cut off, at most 15 (ggml's reference order). */
void wf_q4_0_encode(const float *src, void *dst, size_t k);

#endif
