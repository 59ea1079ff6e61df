/* linear and conv2d with an I8 matrix; they hand their calls over (linear.c, conv2d.c). */
#ifndef WF_KERNELS_SIMD128_INT8_PRODUCT_H
#define WF_KERNELS_SIMD128_INT8_PRODUCT_H

#include "kernels/op.h"

static inline bool wf_is_int8_product(const wf_op_call *call) { return call->w[WF_W_STEPS].n != 0; }

uint32_t wf_int8_product_tiles(const wf_op_call *call);
size_t wf_int8_product_scratch(const wf_op_call *call);
void wf_int8_product_run(const wf_op_call *call, uint32_t tile, void *scratch);

/* out [rows, k rounded up to 32]: patches of output cells row, row + 1, … of a conv2d call whose in0 holds bytes; the grid's zero
   outside the map. */
void wf_byte_patches_gather(const wf_op_call *call, uint32_t row, uint32_t rows, uint8_t zero, uint8_t *out);

#endif
