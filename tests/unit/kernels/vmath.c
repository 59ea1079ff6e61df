/* exp, exp2 and GELU of the fast kernels (kernels/simd128/vmath.h) against double precision, and the bits
   that every build and machine must give. */
#include "kernels/simd128/vmath.h"

#include "base/half.h"
#include "check.h"

WF_TEST(exp_accuracy) {
    double worst = 0, at = 0;
    for (double x = -87.3; x <= 88.3; x += 0.00037) {
        float v = (float)x;
        double error = fabs(wf_exp_f32(v) / exp((double)v) - 1);
        if (!(error <= worst)) {
            worst = error;
            at = v;
        }
    }
    CHECK(worst < 2e-7, "relative error %.3g at %g", worst, at);
}

WF_TEST(exp_ends) {
    CHECK(wf_exp_f32(0) == 1, "exp(0) = %.9g", (double)wf_exp_f32(0));
    CHECK(wf_exp_f32(-0.0f) == 1, "exp(-0) = %.9g", (double)wf_exp_f32(-0.0f));
    CHECK(wf_exp_f32(-88) == 0 && wf_exp_f32(-1e30f) == 0 && wf_exp_f32(-INFINITY) == 0,
          "below the range");
    CHECK(wf_exp_f32(89) > 2.3e38f && wf_exp_f32(INFINITY) > 2.3e38f, "above the range: %g",
          (double)wf_exp_f32(89));
    CHECK(isnan(wf_exp_f32(NAN)), "exp(NaN) = %g", (double)wf_exp_f32(NAN));
}

WF_TEST(exp2_accuracy) {
    double worst = 0, at = 0;
    for (double x = -126; x <= 0; x += 0.00031) {
        float v = (float)x;
        double error = fabs(wf_exp2_f32(v) / exp2((double)v) - 1);
        if (!(error <= worst)) {
            worst = error;
            at = v;
        }
    }
    CHECK(worst < 2e-7, "relative error %.3g at %g", worst, at);
    CHECK(wf_exp2_f32(0) == 1, "2^0 = %.9g", (double)wf_exp2_f32(0));
    CHECK(wf_exp2_f32(-1e30f) < 1.2e-38f && wf_exp2_f32(-INFINITY) < 1.2e-38f, "below the range");
    CHECK(isnan(wf_exp2_f32(NAN)), "2^NaN = %g", (double)wf_exp2_f32(NAN));
}

/* Functions of their own: inlined together, the sanitizers take minutes over them. */
#define MANY(n)                                                                                 \
    static __attribute__((noinline)) void exp_of_##n(v128_t *x) { wf_exp_many(x, n); }          \
    static __attribute__((noinline)) void gelu_of_##n(v128_t *x) { wf_gelu_many(x, n); }
MANY(2)
MANY(4)

/* Several vectors at a time give each the bits that it has alone. */
WF_TEST(vectors_do_not_mix) {
    for (int n = 2; n <= WF_VMATH; n += 2) {
        float x[16], e[16], y[16];
        v128_t a[4], b[4];
        for (int i = 0; i < 16; i++) {
            x[i] = (float)(i - 11) * 1.37f;
        }
        for (int i = 0; i < n; i++) {
            a[i] = b[i] = wasm_v128_load(x + 4 * i);
        }
        (n == 2 ? exp_of_2 : exp_of_4)(a);
        (n == 2 ? gelu_of_2 : gelu_of_4)(b);
        for (int i = 0; i < n; i++) {
            wasm_v128_store(e + 4 * i, a[i]);
            wasm_v128_store(y + 4 * i, b[i]);
        }
        for (int i = 0; i < 4 * n; i++) {
            CHECK(e[i] == wf_exp_f32(x[i]) && y[i] == wf_gelu_f32(x[i]), "%d vectors, element %d", n, i);
        }
    }
}

static double gelu(double x) { return 0.5 * x * erfc(-x * 0.70710678118654752440); }

WF_TEST(gelu_accuracy) {
    double worst = 0, at = 0, error2 = 0, norm2 = 0;
    for (double x = -12; x <= 12; x += 0.000051) {
        float v = (float)x;
        double want = gelu(v), error = fabs(wf_gelu_f32(v) - want),
               relative = error / (fabs((double)v) + 1e-30);
        if (!(relative <= worst)) {
            worst = relative;
            at = v;
        }
        if (fabs(x) < 3) {
            error2 += error * error;
            norm2 += want * want;
        }
    }
    CHECK(worst < 3e-7, "error / |x| is %.3g at %g", worst, at);
    CHECK(sqrt(error2 / norm2) < 6e-8, "relative L2 over -3 ... 3: %.3g", sqrt(error2 / norm2));
}

WF_TEST(gelu_ends) {
    CHECK(wf_float_bits(wf_gelu_f32(0)) == 0, "gelu(0) must be +0, the value of padding lanes");
    CHECK(wf_gelu_f32(100) == 100, "gelu(100) = %.9g", (double)wf_gelu_f32(100));
    CHECK(fabsf(wf_gelu_f32(-100)) < 1e-5f, "gelu(-100) = %.9g", (double)wf_gelu_f32(-100));
    CHECK(isnan(wf_gelu_f32(NAN)), "gelu(NaN) = %g", (double)wf_gelu_f32(NAN));
    for (float x = 1e-38f; x < 1e-3f; x *= 1.7f) { /* Φ(0) is exactly one half */
        CHECK_NEAR(wf_gelu_f32(x) / (0.5f * x), 1, 2e-3);
    }
}

#ifndef WF_RELAXED
/* FNV-1a over the results on a fixed grid: native and every baseline wasm agree to the last bit. */
static uint32_t hash_of(float (*f)(float)) {
    uint32_t hash = 2166136261u;
    for (int32_t i = -40000; i <= 40000; i++) {
        uint32_t bits = wf_float_bits(f((float)i * 0x1p-11f));
        for (int b = 0; b < 32; b += 8) {
            hash = (hash ^ (bits >> b & 255)) * 16777619u;
        }
    }
    return hash;
}

WF_TEST(vmath_same_bits_everywhere) {
    CHECK(hash_of(wf_exp_f32) == 0x27922e1bu, "exp's hash is 0x%08x",
          (unsigned)hash_of(wf_exp_f32));
    CHECK(hash_of(wf_exp2_f32) == 0xb3a68704u, "exp2's hash is 0x%08x",
          (unsigned)hash_of(wf_exp2_f32));
    CHECK(hash_of(wf_gelu_f32) == 0xe7374939u, "gelu's hash is 0x%08x",
          (unsigned)hash_of(wf_gelu_f32));
}
#endif

int main(void) {
    RUN(exp_accuracy);
    RUN(exp_ends);
    RUN(exp2_accuracy);
    RUN(vectors_do_not_mix);
    RUN(gelu_accuracy);
    RUN(gelu_ends);
#ifndef WF_RELAXED
    RUN(vmath_same_bits_everywhere);
#endif
    return wf_test_done();
}
