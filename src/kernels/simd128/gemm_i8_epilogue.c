/* The epilogue of I8 products: 16 columns of a row at a time. Where bytes are written, GELU needs no more than their precision:
       gelu(x) ≈ x · (½ + y · P(y²)),  y = x held in ±3.7,  P of degree 5, |error| < 5e-4 everywhere
   a minimax fit made for this file under the condition that the factor is exactly 0 or 1 at ±3.7, 11 operations for 4 elements
   against 25 and a division (vmath.h). Columns behind n stay at zero (bytes: at the grid's zero): their factors, biases and
   residuals are zero. Cost: 8 to 20 operations for 4 elements. */
#include "kernels/simd128/gemm_i8_epilogue.h"

#include <string.h>

#include "kernels/simd128/byte_rows.h"
#include "kernels/simd128/i8_panel.h"
#include "kernels/simd128/vmath.h"

static const float gelu_table[] = {3.7f,          -3.7f,          0.5f,           -4.899729e-07f, 2.6888738e-05f,
                                   -6.175015e-4f, 7.848696e-3f,   -6.2587716e-2f, 0.39647508f};

/* N vectors at a time: each coefficient is loaded once for all. */
enum { N = 2 }; /* four, and V8 spills */
WF_INLINE void gelu_for_bytes(v128_t *x) {
    const float *k = wf_table(gelu_table);
    v128_t y[N], t[N], t2[N], p[N], c = wf_f32x4_at(k, 0), d = wf_f32x4_at(k, 1);
    WF_EACH(v, N) y[v] = wasm_f32x4_pmax(d, wasm_f32x4_pmin(c, x[v]));
    WF_EACH(v, N) t[v] = wasm_f32x4_mul(y[v], y[v]);
    WF_EACH(v, N) t2[v] = wasm_f32x4_mul(t[v], t[v]);
    wf_poly(k + 3, 5, t, t2, p, N);
    c = wf_f32x4_at(k, 2);
    WF_EACH(v, N) x[v] = wasm_f32x4_mul(x[v], wf_madd(y[v], p[v], c));
}

static const int32_t bits_table[] = {0x4b400000};
static const float lowest_table[] = {-4194304.0f};

typedef struct block {
    const int32_t *sums;                        /* [rows, WF_I8_COLUMNS] */
    const float *m, *bias, *scale, *inverse;    /* [columns] */
    const float *residual; float *c; uint8_t *u; /* of this row and block */
    float rounding;
} block;

/* Columns at … at + 15 of a row, after the activation and the tail. The flags are constants where this is inlined. */
WF_INLINE void four_vectors(const block *b, uint32_t at, v128_t x[4], const bool gelu, const bool tail, const bool bytes) {
    WF_EACH(v, 4) {
        x[v] = wasm_f32x4_convert_i32x4(wasm_v128_load(b->sums + at + 4 * v));
        x[v] = wf_madd(x[v], wasm_v128_load(b->m + at + 4 * v), wasm_v128_load(b->bias + at + 4 * v));
    }
    if (gelu && bytes) {
        gelu_for_bytes(x);
        gelu_for_bytes(x + 2);
    } else if (gelu) {
        wf_gelu_many(x, 4);
    }
    WF_EACH(v, 4) {
        if (tail) {
            v128_t scale = wasm_v128_load(b->scale + at + 4 * v);
            x[v] = b->residual != NULL ? wf_madd(x[v], scale, wasm_v128_load(b->residual + at + 4 * v))
                                       : wasm_f32x4_mul(x[v], scale);
        }
    }
}

/* The block is copied: what a pointer in memory points to might be the pointer itself, and each store would have it loaded again. */
WF_INLINE void one_row(const block *of, uint32_t columns, const bool gelu, const bool tail, const bool bytes) {
    const block copy = *of, *const b = &copy;
    const v128_t rounding = wasm_f32x4_splat(b->rounding), bits = wf_i32x4_at(wf_table(bits_table), 0);
    const v128_t lowest = wf_f32x4_at(wf_table(lowest_table), 0);
    for (uint32_t j = 0; j < columns; j += 16) {
        v128_t x[4];
        four_vectors(b, j, x, gelu, tail, bytes);
        WF_EACH(v, 4) {
            if (!bytes) {
                wasm_v128_store(b->c + j + 4 * v, x[v]);
                continue;
            }
            x[v] = wasm_f32x4_mul(x[v], wasm_v128_load(b->inverse + j + 4 * v));
            if (!gelu || tail) { /* GELU is never far below zero */
                x[v] = wasm_f32x4_pmax(lowest, x[v]);
            }
            x[v] = wasm_i32x4_sub(wasm_f32x4_add(x[v], rounding), bits);
        }
        if (bytes) {
            wasm_v128_store(b->u + j, wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(x[0], x[1]), wasm_i16x8_narrow_i32x4(x[2], x[3])));
        }
    }
}

#define FORM(name, gelu, tail, bytes)                                                                \
    static __attribute__((noinline)) void name(const block *b, uint32_t columns) {                   \
        one_row(b, columns, gelu, tail, bytes);                                                      \
    }
FORM(plain_floats, false, false, false)
FORM(tail_floats, false, true, false)
FORM(gelu_floats, true, false, false)
FORM(gelu_tail_floats, true, true, false)
FORM(plain_bytes, false, false, true)
FORM(tail_bytes, false, true, true)
FORM(gelu_bytes, true, false, true)
FORM(gelu_tail_bytes, true, true, true)

void wf_i8_epilogue(const wf_gemm *g, wf_i8_factors *f, uint32_t row, uint32_t rows, uint32_t column, uint32_t columns,
                    const int32_t *sums, const float *row_steps) {
    static void (*const forms[])(const block *, uint32_t) = {plain_floats, tail_floats, gelu_floats, gelu_tail_floats,
                                                             plain_bytes,  tail_bytes,  gelu_bytes,  gelu_tail_bytes};
    const bool tail = g->scale != NULL || g->residual != NULL;
    void (*form)(const block *, uint32_t) =
        forms[4 * (g->i8->c != NULL) + 2 * (g->act == WF_ACT_GELU_ERF) + (tail ? 1 : 0)];
    block b = {.m = f->steps, .bias = f->bias, .scale = f->scale, .inverse = f->inverse,
               .rounding = 12582912.0f + (float)g->i8->out.zero};
    for (uint32_t i = 0; i < rows; i++) {
        const size_t at = (size_t)(row + i) * g->ldc + column;
        if (row_steps != NULL) {
            v128_t step = wasm_f32x4_splat(row_steps[i]);
            for (uint32_t j = 0; j < columns; j += 4) {
                wasm_v128_store(f->own + j, wasm_f32x4_mul(wasm_v128_load(f->steps + j), step));
            }
            b.m = f->own;
        }
        b.sums = sums + (size_t)i * WF_I8_COLUMNS;
        b.residual = g->residual != NULL ? g->residual + (size_t)(row + i) * g->ldr + column : NULL;
        b.c = g->i8->c == NULL ? g->c + at : NULL;
        b.u = g->i8->c != NULL ? g->i8->c + at : NULL;
        form(&b, columns);
    }
}

static void fill(float *to, const float *from, float otherwise, float factor, uint32_t columns) {
    for (uint32_t j = 0; j < columns; j++) {
        to[j] = (from != NULL ? from[j] : otherwise) * factor;
    }
}

void wf_i8_factors_make(const wf_gemm *g, uint32_t column, uint32_t columns, int32_t offset, wf_i8_factors *f) {
    const wf_gemm_i8 *x = g->i8;
    const uint32_t packed = wf_i8_panels(g->w->n) * WF_PANEL;
    const int32_t *sums = wf_i8_sums(g->w);
    for (uint32_t j = 0; j < columns; j++) {
        f->start[j] = column + j < packed ? (int32_t)(0u - (uint32_t)offset * (uint32_t)sums[column + j]) : 0;
    }
    fill(f->steps, x->steps + column, 0, x->is_static ? x->in.scale : 1.0f, columns);
    fill(f->bias, g->bias != NULL ? g->bias + column : NULL, 0, 1, columns);
    if (g->scale != NULL || g->residual != NULL) {
        fill(f->scale, g->scale != NULL ? g->scale + column : NULL, 1, 1, columns);
    }
    if (x->c != NULL) {
        fill(f->inverse, x->out.gain != NULL ? x->out.gain + column : NULL, 1, x->out.inverse, columns);
    }
}
