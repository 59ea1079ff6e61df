/* What follows the sums of a matrix product, on one row block of one or more panels while it is
   still in the L1 cache: C ← [residual +] [scale ·] act([row scale ·] C [+ bias]). */
#ifndef WF_KERNELS_SIMD128_GEMM_EPILOGUE_H
#define WF_KERNELS_SIMD128_GEMM_EPILOGUE_H

#include "kernels/codec.h"

/* Rows [row, row + rows) × columns [column, column + columns) of C, columns a multiple of 8.
   row_scale: [rows] of this block, or NULL. */
void wf_gemm_epilogue(const wf_gemm *g, uint32_t row, uint32_t rows, uint32_t column, uint32_t columns,
                      const float *row_scale);
/* Lanes behind the last panel up to ldc are set to zero, the invariant of rows. Call when n1 == n. */
void wf_gemm_zero_lanes(const wf_gemm *g, uint32_t row, uint32_t rows);

#endif
