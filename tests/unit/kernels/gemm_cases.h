/* One random matrix product and the checks that every codec must pass: against a double-precision
   formula, against one plain float loop bit for bit (baseline builds), rows independent of their
   neighbours, column ranges, zero lanes, no read of memory that holds nothing. */
#ifndef WF_TESTS_GEMM_CASES_H
#define WF_TESTS_GEMM_CASES_H

#include <stdlib.h>

#include "base/half.h"
#include "check.h"
#include "kernels/codec.h"
#include "kernels/quantize.h"

typedef struct gemm_case {
    const wf_codec *codec;
    uint32_t m, k, n, lda, ldc;
    float *a, *c, *want;       /* [m, lda], [m, ldc], [m, n] */
    float *weights;            /* [n, k], decoded from what is stored */
    float *bias, *scale;       /* [n] with zero lanes */
    float *residual;           /* [m, ldc] */
    double *exact, *magnitude; /* [m, n]: the formula in double, and Σ |a w| */
    void *packed, *scratch;
    wf_weight weight;
    wf_gemm call;
} gemm_case;

/* Blocks of exactly this size, so that a sanitizer sees the first byte too many.
 * Filled with NaNs. */
static void *case_alloc(size_t bytes) {
    void *block = NULL;
    if (posix_memalign(&block, 64, bytes > 0 ? bytes : 1) != 0) {
        abort();
    }
    memset(block, 0xff, bytes);
    return block;
}

static float *case_rows(uint32_t rows, uint32_t c, uint32_t stride, uint32_t zeros_to) {
    float *x = case_alloc((size_t)rows * stride * sizeof(float));
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < zeros_to; i++) {
            x[(size_t)r * stride + i] = i < c ? wf_test_uniform(-1, 1) : 0;
        }
    }
    return x;
}

static gemm_case case_make(const wf_codec *codec, uint32_t m, uint32_t k, uint32_t n,
                           uint32_t options) {
    const wf_dtype_info *type = wf_dtype_get(codec->type);
    gemm_case t = {.codec = codec, .m = m, .k = k, .n = n};
    uint32_t k32 = wf_round_up(k, 32), stored_k = wf_round_up(k, type->block);
    t.lda = k32 + (options & 8 ? 32 : 0); /* lanes past k32 are NaN: nobody may read them */
    t.ldc = wf_round_up(n, 32) + (options & 16 ? 32 : 0);
    t.a = case_rows(m, k, t.lda, k32);
    t.bias = options & 1 ? case_rows(1, n, wf_round_up(n, 32), wf_round_up(n, 32)) : NULL;
    t.scale = options & 2 ? case_rows(1, n, wf_round_up(n, 32), wf_round_up(n, 32)) : NULL;
    t.residual = options & 4 ? case_rows(m, n, t.ldc, wf_round_up(n, 32)) : NULL;
    t.c = case_alloc((size_t)m * t.ldc * sizeof(float));
    t.want = case_alloc((size_t)m * n * sizeof(float));
    t.exact = case_alloc((size_t)m * n * sizeof(double));
    t.magnitude = case_alloc((size_t)m * n * sizeof(double));

    size_t row_bytes = (size_t)wf_dtype_row_bytes(codec->type, stored_k);
    uint8_t *stored = case_alloc(n * row_bytes);
    float *row = case_alloc(stored_k * sizeof(float));
    t.weights = case_alloc((size_t)n * k * sizeof(float));
    for (uint32_t j = 0; j < n; j++) {
        for (uint32_t i = 0; i < stored_k; i++) {
            row[i] = i < k ? wf_test_uniform(-1, 1) : 0;
        }
        type->encode(row, stored + j * row_bytes, stored_k);
        type->decode(stored + j * row_bytes, row, stored_k);
        memcpy(t.weights + (size_t)j * k, row, k * sizeof(float));
    }
    t.packed = case_alloc(codec->packed_bytes(n, k));
    for (uint32_t panel = 0; panel * WF_PANEL < n; panel++) {
        uint32_t first = panel * WF_PANEL, rows = n - first < WF_PANEL ? n - first : WF_PANEL;
        codec->pack(t.packed, n, k, panel, stored + first * row_bytes, rows, stored_k);
    }
    free(row);
    free(stored);

    t.scratch = case_alloc(codec->scratch_bytes(m, k));
    t.weight = (wf_weight){t.packed, WF_PACK_PANELS, codec->type, n, k};
    return t;
}

static void case_free(gemm_case *t) {
    void *blocks[] = {t->a,        t->c,     t->want,      t->weights, t->bias,   t->scale,
                      t->residual, t->exact, t->magnitude, t->packed,  t->scratch};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        free(blocks[i]);
    }
}

/* Rows row … row + rows − 1, columns n0 … n1 − 1, into c. */
static void case_run(gemm_case *t, uint32_t row, uint32_t rows, uint32_t n0, uint32_t n1,
                     uint32_t act, float *c) {
    wf_gemm g = {
        .a = t->a + (size_t)row * t->lda,
        .m = rows,
        .lda = t->lda,
        .w = &t->weight,
        .n0 = n0,
        .n1 = n1,
        .bias = t->bias,
        .scale = t->scale,
        .residual = t->residual != NULL ? t->residual + (size_t)row * t->ldc : NULL,
        .ldr = t->ldc,
        .act = act,
        .c = c,
        .ldc = t->ldc,
        .scratch = t->scratch,
    };
    t->codec->gemm(&g);
}

/* Exactly what the contract says, without int8 rows: want in float, exact in double. act only in
 * exact. */
static void case_reference(gemm_case *t, uint32_t act) {
    for (uint32_t i = 0; i < t->m; i++) {
        for (uint32_t j = 0; j < t->n; j++) {
            const float *a = t->a + (size_t)i * t->lda, *w = t->weights + (size_t)j * t->k;
            float sum = 0;
            double exact = 0, magnitude = 0;
            for (uint32_t k = 0; k < t->k; k++) {
                sum = sum + a[k] * w[k];
                exact += (double)a[k] * w[k];
                magnitude += fabs((double)a[k] * w[k]);
            }
            if (t->bias != NULL) {
                sum = sum + t->bias[j];
                exact += t->bias[j];
            }
            if (act == WF_ACT_GELU_ERF) {
                exact = 0.5 * exact * (1 + erf(exact * 0.70710678118654752440));
            }
            if (t->scale != NULL) {
                sum = sum * t->scale[j];
                exact *= t->scale[j];
            }
            if (t->residual != NULL) {
                sum = t->residual[(size_t)i * t->ldc + j] + sum;
                exact += t->residual[(size_t)i * t->ldc + j];
            }
            t->want[(size_t)i * t->n + j] = sum;
            t->exact[(size_t)i * t->n + j] = exact;
            t->magnitude[(size_t)i * t->n + j] = magnitude + 1;
        }
    }
}

static bool same_bits(const float *a, const float *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* Lanes n … ldc−1 of every row are zero. */
static void case_check_lanes(const gemm_case *t) {
    for (uint32_t i = 0; i < t->m; i++) {
        for (uint32_t j = t->n; j < t->ldc; j++) {
            CHECK(t->c[(size_t)i * t->ldc + j] == 0, "m %u k %u n %u: lane %u of row %u is %g",
                  t->m, t->k, t->n, j, i, (double)t->c[(size_t)i * t->ldc + j]);
        }
    }
}

/* t->c holds the whole product: rows alone and in random groups, and random column ranges, must
 * give the same bits. */
static void case_check_parts(gemm_case *t, uint32_t act) {
    const size_t elements = (size_t)t->m * t->ldc;
    float *part = case_alloc(elements * sizeof(float));
    for (uint32_t row = 0; row < t->m;) {
        uint32_t rows = wf_test_u32() % 2 ? 1 : 1 + wf_test_u32() % (t->m - row);
        case_run(t, row, rows, 0, t->n, act, part + (size_t)row * t->ldc);
        row += rows;
    }
    CHECK(same_bits(part, t->c, elements), "m %u k %u n %u: a row depends on its neighbours", t->m,
          t->k, t->n);
    for (uint32_t trial = 0; trial < 2; trial++) {
        uint32_t panels = (t->n + 7) / 8, from = wf_test_u32() % panels,
                 to = from + 1 + wf_test_u32() % (panels - from);
        uint32_t n0 = from * 8, n1 = to * 8 < t->n ? to * 8 : t->n, end = n1 == t->n ? t->ldc : n1;
        memset(part, 0xff, elements * sizeof(float));
        case_run(t, 0, t->m, n0, n1, act, part);
        for (uint32_t i = 0; i < t->m; i++) {
            const float *got = part + (size_t)i * t->ldc, *whole = t->c + (size_t)i * t->ldc;
            CHECK(same_bits(got + n0, whole + n0, end - n0), "m %u k %u n %u: columns %u-%u differ",
                  t->m, t->k, t->n, n0, n1);
            for (uint32_t j = 0; j < t->ldc; j++) {
                CHECK((j >= n0 && j < end) || wf_float_bits(got[j]) == 0xffffffffu,
                      "m %u k %u n %u: column %u was written, range %u-%u", t->m, t->k, t->n, j, n0,
                      n1);
            }
        }
    }
    free(part);
}

/* One shape of a codec with float activations. */
static void case_check_float(const wf_codec *codec, uint32_t m, uint32_t k, uint32_t n,
                             uint32_t options) {
    for (uint32_t act = WF_ACT_NONE; act <= WF_ACT_GELU_ERF; act++) {
        gemm_case t = case_make(codec, m, k, n, options);
        case_run(&t, 0, m, 0, n, act, t.c);
        case_reference(&t, act);
        for (uint32_t i = 0; i < m; i++) {
            for (uint32_t j = 0; j < n; j++) {
                float got = t.c[(size_t)i * t.ldc + j];
                double exact = t.exact[(size_t)i * n + j],
                       bound = t.magnitude[(size_t)i * n + j] * 6e-8 * (4 + sqrt(k));
                CHECK(fabs(got - exact) <= bound,
                      "m %u k %u n %u act %u: C[%u, %u] is %.9g, not %.9g", m, k, n, act, i, j,
                      (double)got, exact);
#ifndef WF_RELAXED
                if (act == WF_ACT_NONE) {
                    float want = t.want[(size_t)i * n + j];
                    CHECK(got == want,
                          "m %u k %u n %u: C[%u, %u] is %.9g, the plain loop gives %.9g", m, k, n,
                          i, j, (double)got, (double)want);
                }
#endif
            }
        }
        case_check_lanes(&t);
        case_check_parts(&t, act);
        case_free(&t);
    }
}

/* The shapes of every codec's test: nothing is a multiple of anything. */
static const uint32_t case_m[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 47, 97, 128, 129};
static const uint32_t case_k[] = {1,  2,  3,   5,   7,   8,   16,  27,  31,  32,  33,  48,  63, 64,
                                  65, 67, 147, 255, 257, 383, 384, 385, 511, 512, 513, 545, 1025};
static const uint32_t case_n[] = {1,  3,  7,  8,  9,  15, 16, 17, 23, 24,
                                  25, 31, 32, 33, 40, 63, 64, 65, 70};
#define CASE_COUNT(list) ((uint32_t)(sizeof(list) / sizeof(list)[0]))

/* The lists' lengths have no common factor, so that every pair of neighbours is another one; each
   value occurs several times, and so does each combination of options. */
static void cases_run(void (*check)(uint32_t m, uint32_t k, uint32_t n, uint32_t options)) {
    for (uint32_t i = 0; i < 96; i++) {
        check(case_m[i % CASE_COUNT(case_m)], case_k[5 * i % CASE_COUNT(case_k)],
              case_n[7 * i % CASE_COUNT(case_n)], i % 32);
    }
    for (uint32_t i = 0; i < CASE_COUNT(case_n); i++) { /* one row and few rows take paths of their own */
        check(1, 67, case_n[i], i % 32);
        check(2 + i % 2, 40, case_n[i], (i + 7) % 32);
    }
}

#endif
