/* exp and GELU of the fast kernels (kernels/simd128/vmath.h) against double precision, and the bits
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
    CHECK(hash_of(wf_exp_f32) == 0x8a9c93e2u, "exp's hash is 0x%08x",
          (unsigned)hash_of(wf_exp_f32));
    CHECK(hash_of(wf_gelu_f32) == 0x53892aaeu, "gelu's hash is 0x%08x",
          (unsigned)hash_of(wf_gelu_f32));
}
#endif

int main(void) {
    RUN(exp_accuracy);
    RUN(exp_ends);
    RUN(gelu_accuracy);
    RUN(gelu_ends);
#ifndef WF_RELAXED
    RUN(vmath_same_bits_everywhere);
#endif
    return wf_test_done();
}
