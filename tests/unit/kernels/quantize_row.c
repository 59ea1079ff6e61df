/* Quantized rows (kernels/simd128/quantize_row.c) against their definition (kernels/quantize.h), in
 * all three forms. */
#include "kernels/simd128/quantize_row.h"

#include "check.h"
#include "kernels/quantize.h"

static const uint32_t sizes[] = {32, 64, 96, 160, 512, 2048};
static const float largest[] = {1.0f, 127.0f, 3e-30f, 1e30f, 6.3e-39f};

WF_TEST(quantize_row) {
    static float x[2048];
    static int16_t wide[2048];
    static uint8_t offset[2048];
    static int8_t plain[2048];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (size_t l = 0; l < sizeof largest / sizeof largest[0]; l++) {
            uint32_t k = sizes[s];
            wf_test_fill(x, k, -largest[l], largest[l]);
            for (uint32_t i = k - 5; i < k; i++) {
                x[i] = 0;
            }
            float size = wf_quantize_largest(x, k), inverse = wf_quantize_inverse(size);
            float steps[3] = {wf_quantize_row(WF_DOT_I16, x, k, wide),
                              wf_quantize_row(WF_DOT_U8S8, x, k, offset),
                              wf_quantize_row(WF_DOT_S8S8, x, k, plain)};
            for (int i = 0; i < 3; i++) {
                CHECK(steps[i] == wf_quantize_step(size), "step %g, not %g", (double)steps[i],
                      (double)wf_quantize_step(size));
            }
            static const uint32_t order[4] = {0, 2, 1, 3};
            for (uint32_t i = 0; i < k; i++) {
                int32_t q = wf_quantize_i8(x[i], inverse);
                CHECK(plain[i] == q, "k %u: q[%u] is %d, not %d", k, i, plain[i], (int)q);
                CHECK(offset[i] == q + 128, "k %u: q[%u] + 128 is %d, not %d", k, i, offset[i],
                      (int)q + 128);
                CHECK(wide[i / 4 * 4 + order[i % 4]] == q, "k %u: element %u of the wide row", k,
                      i);
                CHECK(q >= -127 && q <= 127, "q is %d", (int)q);
                if (size > 1e-36f) { /* below, 127/largest overflows */
                    CHECK(fabs((double)x[i] - (double)q * size / 127) <= 0.50001 * size / 127,
                          "x %g, q %d", (double)x[i], (int)q);
                }
            }
        }
    }
}

WF_TEST(quantize_row_of_zeros) {
    float x[32] = {0};
    int8_t q[32];
    memset(q, 1, sizeof q);
    CHECK(wf_quantize_row(WF_DOT_S8S8, x, 32, q) == 0, "a step for nothing");
    for (int i = 0; i < 32; i++) {
        CHECK(q[i] == 0, "q[%d] is %d", i, q[i]);
    }
}

/* The ends of the range are reached, whatever the largest magnitude is. */
WF_TEST(quantize_row_ends) {
    for (int trial = 0; trial < 20000; trial++) {
        float x[32] = {0};
        int8_t q[32];
        x[3] = wf_test_uniform(1e-6f, 100);
        x[9] = -x[3];
        wf_quantize_row(WF_DOT_S8S8, x, 32, q);
        CHECK(q[3] == 127 && q[9] == -127, "%g becomes %d and %d", (double)x[3], q[3], q[9]);
    }
}

int main(void) {
    RUN(quantize_row);
    RUN(quantize_row_of_zeros);
    RUN(quantize_row_ends);
    return wf_test_done();
}
