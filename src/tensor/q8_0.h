/* Q8_0: blocks of 32 weights, one f16 scale d and 32 signed bytes q; w = d·q (gguf.md §5). */
#ifndef WF_TENSOR_Q8_0_H
#define WF_TENSOR_Q8_0_H

#include <stddef.h>

enum { WF_Q8_0_BLOCK = 32, WF_Q8_0_BYTES = 34 };

/* k is a multiple of 32. */
void wf_q8_0_decode(const void *src, float *dst, size_t k);
/* d = max|w| / 127 rounded to f16; q = w / d rounded half away from zero (ggml's reference order). */
void wf_q8_0_encode(const float *src, void *dst, size_t k);

#endif
