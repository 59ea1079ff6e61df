/* The epilogue of every GEMM: a second pass over sums that are still in the L1 cache. Kept out of
   the micro-kernels because GELU needs all registers. Padding columns stay zero: their sums,
   biases, scales and residuals are zero, and GELU(0) = 0. */
#include "kernels/simd128/gemm_epilogue.h"

#include <string.h>

#include "kernels/simd128/vmath.h"

/* The flags are constants where this is inlined: one loop for each combination that models use. */
WF_INLINE void epilogue(const wf_gemm *g, uint32_t row, uint32_t rows, uint32_t column, uint32_t columns,
                        const float *row_scale, const bool gelu, const bool scaled, const bool added) {
    const v128_t none = wasm_f32x4_splat(0), one = wasm_f32x4_splat(1.0f);
    for (uint32_t j = column; j < column + columns; j += WF_PANEL) {
        v128_t bias[2], scale[2];
        WF_UNROLL for (int v = 0; v < 2; v++) {
            bias[v] = g->bias != NULL ? wasm_v128_load(g->bias + j + 4 * v) : none;
            scale[v] = scaled && g->scale != NULL ? wasm_v128_load(g->scale + j + 4 * v) : one;
        }
        for (uint32_t i = 0; i < rows; i++) {
            float *c = g->c + (size_t)(row + i) * g->ldc + j;
            const float *residual = added ? g->residual + (size_t)(row + i) * g->ldr + j : NULL;
            v128_t step = row_scale != NULL ? wasm_v128_load32_splat(row_scale + i) : one;
            WF_UNROLL for (int v = 0; v < 2; v++) {
                v128_t x = wasm_v128_load(c + 4 * v);
                if (row_scale != NULL) {
                    x = wasm_f32x4_mul(x, step);
                }
                x = wasm_f32x4_add(x, bias[v]);
                if (gelu) {
                    x = wf_gelu(x);
                }
                if (added) {
                    v128_t r = wasm_v128_load(residual + 4 * v);
                    x = scaled ? wf_madd(x, scale[v], r) : wasm_f32x4_add(x, r);
                } else if (scaled) {
                    x = wasm_f32x4_mul(x, scale[v]);
                }
                wasm_v128_store(c + 4 * v, x);
            }
        }
    }
}

void wf_gemm_epilogue(const wf_gemm *g, uint32_t row, uint32_t rows, uint32_t column, uint32_t columns,
                      const float *row_scale) {
    if (g->act == WF_ACT_GELU_ERF) {
        if (g->scale == NULL && g->residual == NULL) {
            epilogue(g, row, rows, column, columns, row_scale, true, false, false);
        } else if (g->residual == NULL) {
            epilogue(g, row, rows, column, columns, row_scale, true, true, false);
        } else {
            epilogue(g, row, rows, column, columns, row_scale, true, true, true);
        }
    } else if (g->residual != NULL) {
        if (g->scale != NULL) {
            epilogue(g, row, rows, column, columns, row_scale, false, true, true);
        } else {
            epilogue(g, row, rows, column, columns, row_scale, false, false, true);
        }
    } else if (g->scale != NULL) {
        epilogue(g, row, rows, column, columns, row_scale, false, true, false);
    } else if (g->bias != NULL || row_scale != NULL) {
        epilogue(g, row, rows, column, columns, row_scale, false, false, false);
    }
}

void wf_gemm_zero_lanes(const wf_gemm *g, uint32_t row, uint32_t rows) {
    uint32_t used = wf_round_up(g->w->n, WF_PANEL);
    if (used >= g->ldc) {
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        memset(g->c + (size_t)(row + i) * g->ldc + used, 0, (g->ldc - used) * sizeof(float));
    }
}
