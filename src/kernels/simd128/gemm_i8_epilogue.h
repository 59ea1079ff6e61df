/* What follows the integer sums of an I8 product, on up to six rows while the sums are in the L1 cache:
       y = [residual +] [scale ·] act(m · sum + bias),   m = step · steps[j],
   stored as floats, or as bytes on the grid of the reader. */
#ifndef WF_KERNELS_SIMD128_GEMM_I8_EPILOGUE_H
#define WF_KERNELS_SIMD128_GEMM_I8_EPILOGUE_H

#include "kernels/codec.h"

enum { WF_I8_COLUMNS = 256 }; /* of a column block, at most */

/* Factors of the columns of a block, made once for all rows of a tile. */
typedef struct wf_i8_factors {
    int32_t start[WF_I8_COLUMNS]; /* −offset · Σ W */
    float steps[WF_I8_COLUMNS];   /* static: grid scale · steps[j]; dynamic: steps[j] */
    float own[WF_I8_COLUMNS];     /* dynamic: row's step · steps[j] */
    float bias[WF_I8_COLUMNS], scale[WF_I8_COLUMNS], inverse[WF_I8_COLUMNS];
} wf_i8_factors;

/* Columns column … column + columns − 1, columns a multiple of 32. offset: of the form of A (byte_rows.h). */
void wf_i8_factors_make(const wf_gemm *g, uint32_t column, uint32_t columns, int32_t offset, wf_i8_factors *f);

/* sums [rows, WF_I8_COLUMNS] of rows row … of the product. row_steps: [rows] where A is dynamic, else NULL. */
void wf_i8_epilogue(const wf_gemm *g, wf_i8_factors *f, uint32_t row, uint32_t rows, uint32_t column, uint32_t columns,
                    const int32_t *sums, const float *row_steps);

#endif
