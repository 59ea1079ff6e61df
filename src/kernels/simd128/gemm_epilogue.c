/* The epilogue of every GEMM: a second pass over sums that are still in the L1 cache. Kept out of
   the micro-kernels because GELU needs all registers. Padding columns stay zero: their sums,
   biases, scales and residuals are zero, and GELU(0) = 0. */
#include "kernels/simd128/gemm_epilogue.h"

#include <string.h>

#include "kernels/simd128/vmath.h"

/* The part of C that a call finishes. */
typedef struct part {
    uint32_t row, rows, column, columns;
    const float *steps; /* [rows], or NULL */
} part;

/* What is done to a sum, besides the bias; constants where `epilogue` is inlined. */
typedef struct kind {
    bool stepped, gelu, scaled, added;
} kind;

/* `rows` rows, 1 or 2, of one panel. */
WF_INLINE void some_rows(const wf_gemm *g, const part *at, const kind k, const uint32_t rows, uint32_t i, uint32_t j,
                         const v128_t bias[2], const v128_t scale[2]) {
    float *c = g->c + (size_t)(at->row + i) * g->ldc + j;
    v128_t x[4];
    WF_EACH(v, 2 * rows) {
        x[v] = wasm_v128_load(c + v / 2 * g->ldc + v % 2 * 4);
        x[v] = k.stepped ? wasm_f32x4_mul(x[v], wasm_v128_load32_splat(at->steps + i + v / 2)) : x[v];
        x[v] = wasm_f32x4_add(x[v], bias[v % 2]);
    }
    if (k.gelu) {
        wf_gelu_many(x, 2 * rows);
    }
    const float *residual = k.added ? g->residual + (size_t)(at->row + i) * g->ldr + j : NULL;
    WF_EACH(v, 2 * rows) {
        if (k.added) {
            v128_t r = wasm_v128_load(residual + v / 2 * g->ldr + v % 2 * 4);
            x[v] = k.scaled ? wf_madd(x[v], scale[v % 2], r) : wasm_f32x4_add(x[v], r);
        } else if (k.scaled) {
            x[v] = wasm_f32x4_mul(x[v], scale[v % 2]);
        }
        wasm_v128_store(c + v / 2 * g->ldc + v % 2 * 4, x[v]);
    }
}

WF_INLINE void epilogue(const wf_gemm *g, const part *at, const kind k) {
    const v128_t none = wasm_f32x4_splat(0), one = wasm_f32x4_splat(1.0f);
    for (uint32_t j = at->column; j < at->column + at->columns; j += WF_PANEL) {
        v128_t bias[2], scale[2];
        WF_EACH(v, 2) {
            bias[v] = g->bias != NULL ? wasm_v128_load(g->bias + j + 4 * v) : none;
            scale[v] = k.scaled && g->scale != NULL ? wasm_v128_load(g->scale + j + 4 * v) : one;
        }
        uint32_t i = 0;
        for (; k.gelu && i + 2 <= at->rows; i += 2) { /* two rows share the coefficients */
            some_rows(g, at, k, 2, i, j, bias, scale);
        }
        for (; i < at->rows; i++) {
            some_rows(g, at, k, 1, i, j, bias, scale);
        }
    }
}

/* Functions of their own, called through a table: as one function V8 keeps half of their values on the stack. */
#define EPILOGUE(name, stepped, gelu, scaled, added)                               \
    static __attribute__((noinline)) void name(const wf_gemm *g, const part *at) { \
        epilogue(g, at, (kind){stepped, gelu, scaled, added});                     \
    }
EPILOGUE(plain, false, false, false, false)
EPILOGUE(scaled, false, false, true, false)
EPILOGUE(added, false, false, false, true)
EPILOGUE(scaled_added, false, false, true, true)
EPILOGUE(gelu, false, true, false, false)
EPILOGUE(step_plain, true, false, false, false)
EPILOGUE(step_scaled_added, true, false, true, true)
EPILOGUE(step_gelu, true, true, false, false)

typedef void (*form)(const wf_gemm *g, const part *at);
/* [residual][scale] */
static const form forms[2][2] = {{plain, scaled}, {added, scaled_added}};

void wf_gemm_epilogue(const wf_gemm *g, uint32_t row, uint32_t rows, uint32_t column, uint32_t columns,
                      const float *row_scale) {
    const bool gelus = g->act == WF_ACT_GELU_ERF, more = g->scale != NULL || g->residual != NULL;
    const part at = {row, rows, column, columns, row_scale};
    if (!gelus && g->residual != NULL && row_scale != NULL) {
        step_scaled_added(g, &at); /* an absent scale is one */
        return;
    }
    if (gelus || row_scale != NULL) {
        (gelus ? row_scale != NULL ? step_gelu : gelu : step_plain)(g, &at);
        if (more) { /* what models hardly have takes a second pass */
            wf_gemm rest = *g;
            rest.bias = NULL;
            forms[g->residual != NULL][g->scale != NULL](&rest, &at);
        }
    } else if (more || g->bias != NULL) {
        forms[g->residual != NULL][g->scale != NULL](g, &at);
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
