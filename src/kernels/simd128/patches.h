/* Patches of a map as rows of a matrix (im2col), one block of rows at a time: the left operand of a
   convolution. */
#ifndef WF_KERNELS_SIMD128_PATCHES_H
#define WF_KERNELS_SIMD128_PATCHES_H

#include "kernels/op.h"

/* Floats that `rows` patches of k elements occupy: rows of round_up(k, 32). */
size_t wf_patches_floats(uint32_t rows, uint32_t k);

/* out [rows, round_up(k, 32)]: the patches of output cells row, row + 1, … of a conv2d call, in
   (kh, kw, ci) order, zeros outside the map and behind k. */
void wf_patches_gather(const wf_op_call *call, uint32_t row, uint32_t rows, float *out);

#endif
