/* The Q8_0 codecs' matrix products: float activations (gemm_q8_0.c) and int8 activations
   (gemm_q8_0_int8.c) in all three lowerings of the integer dot, whose results must be equal to the
   last bit. */
#include "base/simd.h"
#include "gemm_cases.h"

static void check_float(uint32_t m, uint32_t k, uint32_t n, uint32_t options) {
    case_check_float(wf_codec_get(WF_Q8_0, false), m, k, n, options);
}

WF_TEST(gemm_q8_0_float_rows) { cases_run(check_float); }

/* ‖x − step·q‖ of a row as the integer kernels see it; the product of the rounded row in plain
 * loops, block by block. */
static void int8_reference(gemm_case *t, float *want /* [m, n] */, double *exact /* [m, n] */) {
    for (uint32_t i = 0; i < t->m; i++) {
        const float *a = t->a + (size_t)i * t->lda;
        float largest = wf_quantize_largest(a, t->k), inverse = wf_quantize_inverse(largest);
        for (uint32_t j = 0; j < t->n; j++) {
            const float *w = t->weights + (size_t)j * t->k;
            float sum = 0;
            double truth = 0;
            for (uint32_t k0 = 0; k0 < t->k; k0 += 32) {
                /* d of the block, recovered from its largest weight, which is ±127 steps. */
                float top = 0;
                for (uint32_t k = k0; k < k0 + 32 && k < t->k; k++) {
                    top = fabsf(w[k]) > top ? fabsf(w[k]) : top;
                }
                float d = (float)((double)top / 127);
                int32_t dot = 0;
                for (uint32_t k = k0; k < k0 + 32 && k < t->k; k++) {
                    int32_t qw = d > 0 ? (int32_t)lrint((double)w[k] / d) : 0,
                            qx = wf_quantize_i8(a[k], inverse);
                    CHECK(d * (float)qw == w[k], "a weight is not on its block's grid");
                    CHECK(qx >= -127 && qx <= 127, "q is %d", (int)qx);
                    dot += qw * qx;
                }
                sum = sum + (float)dot * d;
                truth += (double)dot * d;
            }
            sum = sum * wf_quantize_step(largest);
            truth *= (double)largest / 127;
            if (t->bias != NULL) {
                sum = sum + t->bias[j];
                truth += t->bias[j];
            }
            if (t->scale != NULL) {
                sum = sum * t->scale[j];
                truth *= t->scale[j];
            }
            if (t->residual != NULL) {
                sum = t->residual[(size_t)i * t->ldc + j] + sum;
                truth += t->residual[(size_t)i * t->ldc + j];
            }
            want[(size_t)i * t->n + j] = sum;
            exact[(size_t)i * t->n + j] = truth;
        }
    }
}

static const struct {
    wf_dot dot;
    const char *name;
} lowerings[] = {{WF_DOT_I16, "i16"}, {WF_DOT_U8S8, "u8s8"}, {WF_DOT_S8S8, "s8s8"}, {WF_DOT_PAIRS, "pairs"}};

/* Whether this build, on this machine, has the lowering; natively the CPU below is emulated to fit.
 */
static bool choose(wf_dot dot) {
#if !defined(__wasm__)
    wf_simd_dot_emulate(dot == WF_DOT_S8S8 ? WF_SIMD_DOT_SDOT : dot == WF_DOT_PAIRS ? WF_SIMD_DOT_PMADDUBSW : WF_SIMD_DOT_VNNI);
#else
    if (dot != WF_DOT_I16 && wf_dot_probe() != dot) {
        return false;
    }
#endif
    wf_dot_force(dot);
    return true;
}

static void check_int8(uint32_t m, uint32_t k, uint32_t n, uint32_t options) {
    gemm_case t = case_make(wf_codec_get(WF_Q8_0, true), m, k, n, options);
    float *first = NULL;
    if (options % 5 == 0) { /* a row of zeros, and one with extreme values everywhere: sums that
                               saturate 16 bits */
        memset(t.a, 0, k * sizeof(float));
        for (uint32_t i = 0; i < k; i++) {
            t.a[(size_t)(m - 1) * t.lda + i] = i % 7 == 3 ? -1.0f : 1.0f;
        }
    }
    int8_reference(&t, t.want, t.exact);
    for (size_t l = 0; l < sizeof lowerings / sizeof lowerings[0]; l++) {
        if (!choose(lowerings[l].dot)) {
            continue;
        }
        memset(t.c, 0xff, (size_t)m * t.ldc * sizeof(float));
        memset(t.scratch, 0xff, t.codec->scratch_bytes(m, k));
        case_run(&t, 0, m, 0, n, WF_ACT_NONE, t.c);
        for (uint32_t i = 0; i < m; i++) {
            for (uint32_t j = 0; j < n; j++) {
                float got = t.c[(size_t)i * t.ldc + j], want = t.want[(size_t)i * n + j];
                CHECK_NEAR(got, t.exact[(size_t)i * n + j], 2e-6 * (1 + k / 32));
#ifndef WF_RELAXED
                CHECK(got == want, "%s, m %u k %u n %u: C[%u, %u] is %.9g, not %.9g",
                      lowerings[l].name, m, k, n, i, j, (double)got, (double)want);
#else
                (void)want;
#endif
            }
        }
        case_check_lanes(&t);
        case_check_parts(&t, WF_ACT_NONE);
        if (first == NULL) {
            first = case_alloc((size_t)m * t.ldc * sizeof(float));
            memcpy(first, t.c, (size_t)m * t.ldc * sizeof(float));
        } else {
            CHECK(same_bits(first, t.c, (size_t)m * t.ldc),
                  "%s, m %u k %u n %u: not the bits of i16", lowerings[l].name, m, k, n);
        }
    }
    free(first);
    case_free(&t);
}

WF_TEST(gemm_q8_0_int8_rows) { cases_run(check_int8); }

/* The probe tells the kinds of CPU apart. */
WF_TEST(dot_probe) {
#if !defined(__wasm__)
    wf_simd_dot_emulate(WF_SIMD_DOT_VNNI);
    CHECK(wf_dot_probe() == WF_DOT_U8S8, "VNNI is taken for %d", wf_dot_probe());
    wf_simd_dot_emulate(WF_SIMD_DOT_SDOT);
    CHECK(wf_dot_probe() == WF_DOT_S8S8, "SDOT is taken for %d", wf_dot_probe());
    wf_simd_dot_emulate(WF_SIMD_DOT_PMADDUBSW);
    CHECK(wf_dot_probe() == WF_DOT_PAIRS, "pmaddubsw is taken for %d", wf_dot_probe());
#elif !defined(WF_RELAXED)
    CHECK(wf_dot_probe() == WF_DOT_I16, "the baseline build has no relaxed dot, but says %d",
          wf_dot_probe());
#else
    CHECK(wf_dot_probe() == wf_dot_current(), "%d and %d", wf_dot_probe(), wf_dot_current());
#endif
}

/* A type or a combination that has no kernel is NULL, not something else. */
WF_TEST(codec_table) {
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_Q4_0, WF_Q8_0, WF_I8, WF_BF16, WF_F64};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (int int8_rows = 0; int8_rows < 2; int8_rows++) {
            const wf_codec *codec = wf_codec_get(types[i], int8_rows);
            bool exists = int8_rows ? types[i] == WF_Q8_0 || types[i] == WF_I8
                                    : types[i] == WF_F32 || types[i] == WF_F16 ||
                                          types[i] == WF_Q4_0 || types[i] == WF_Q8_0;
            CHECK((codec != NULL) == exists, "type %d, int8 rows %d", types[i], int8_rows);
            CHECK(codec == NULL || (codec->type == types[i] && codec->int8_rows == int8_rows),
                  "type %d", types[i]);
        }
    }
}

int main(void) {
    RUN(codec_table);
    RUN(dot_probe);
    RUN(gemm_q8_0_float_rows);
    RUN(gemm_q8_0_int8_rows);
    return wf_test_done();
}
