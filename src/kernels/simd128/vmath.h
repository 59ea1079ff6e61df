/* exp and GELU on four floats, from additions, multiplications and one division: bit-equal natively
   and in the baseline wasm, within an ulp or two of that where WF_RELAXED fuses. The coefficients
   are minimax fits made for this file (weighted least squares with Lawson's reweighting, 40
   digits). The _f32 forms run the same operations on one number.

     wf_exp    relative error < 2e-7 on [−87.3, 88.3]; 0 below, exp(88.37) above; NaN stays NaN
     wf_gelu   ½ x (1 + erf(x/√2)), the exact form: relative L2 error < 6e-8 on [−3, 3], |error| <
               3e-7 · |x| anywhere */
#ifndef WF_KERNELS_SIMD128_VMATH_H
#define WF_KERNELS_SIMD128_VMATH_H

#include "base/simd.h"

/* exp(x) = 2ⁿ · exp(r), n = nearest(x / ln 2), |r| ≤ ½ ln 2. Adding 1.5·2²³ rounds to the nearest
   integer and leaves n in the low bits of the sum. −ln 2 has two parts, the first of 9 bits, so
   that n times it is exact. exp(r) ≈ 1 + r + r² (c₀ + c₁ r + c₂ r² + c₃ r³), error 1.1e-7. */
static const float wf_exp_table[] = {
    88.37f, -87.33f, 1.44269504f, 12582912.0f, -0.693359375f, 2.12194440e-4f,
    0.00831250335f, 0.0418903346f, 0.166671154f, 0.499992303f, 1.0f,
};

WF_INLINE v128_t wf_exp(v128_t x) {
    const float *k = wf_table(wf_exp_table);
    v128_t y = wasm_f32x4_pmin(x, wf_f32x4_at(k, 0));
    v128_t shifted = wf_madd(y, wf_f32x4_at(k, 2), wf_f32x4_at(k, 3));
    v128_t n = wasm_f32x4_sub(shifted, wf_f32x4_at(k, 3));
    v128_t r = wf_madd(n, wf_f32x4_at(k, 4), y);
    r = wf_madd(n, wf_f32x4_at(k, 5), r);
    v128_t p = wf_madd(r, wf_f32x4_at(k, 6), wf_f32x4_at(k, 7));
    p = wf_madd(p, r, wf_f32x4_at(k, 8));
    p = wf_madd(p, r, wf_f32x4_at(k, 9));
    v128_t one = wf_f32x4_at(k, 10);
    v128_t e = wasm_f32x4_add(wf_madd(wasm_f32x4_mul(r, r), p, r), one);
    v128_t power = wasm_i32x4_add(wasm_i32x4_shl(shifted, 23), one);
    return wasm_v128_andnot(wasm_f32x4_mul(e, power), wasm_f32x4_lt(x, wf_f32x4_at(k, 1)));
}

/* x · (½ + y P(y²)/Q(y²)) with y = x clamped to ±5.6, beyond which Φ is 0 or 1 in float. Error of
   P/Q: 1.5e-8 with the coefficients as the floats they are. P from y¹⁰ down, then Q; Q ends with 1. */
static const float wf_gelu_table[] = {
    5.6f, -5.6f, 0.5f,
    2.214620487e-8f, 6.356080121e-6f, 0.0001738185674f, 0.004707064014f, 0.03437319398f, 0.3989422321f,
    1.180204322e-6f, 7.509034913e-5f, 0.001912798733f, 0.02893837541f, 0.2528265417f, 1.0f,
};

WF_INLINE v128_t wf_gelu(v128_t x) {
    const float *k = wf_table(wf_gelu_table);
    v128_t y = wasm_f32x4_pmax(wasm_f32x4_pmin(x, wf_f32x4_at(k, 0)), wf_f32x4_at(k, 1));
    v128_t t = wasm_f32x4_mul(y, y);
    v128_t p = wf_madd(t, wf_f32x4_at(k, 3), wf_f32x4_at(k, 4));
    v128_t q = wf_madd(t, wf_f32x4_at(k, 9), wf_f32x4_at(k, 10));
    WF_UNROLL for (int i = 5; i <= 8; i++) {
        p = wf_madd(p, t, wf_f32x4_at(k, i));
        q = wf_madd(q, t, wf_f32x4_at(k, i + 6));
    }
    v128_t half_erf = wasm_f32x4_div(wasm_f32x4_mul(y, p), q);
    return wasm_f32x4_mul(x, wasm_f32x4_add(half_erf, wf_f32x4_at(k, 2)));
}

static inline float wf_exp_f32(float x) { return wasm_f32x4_extract_lane(wf_exp(wasm_f32x4_splat(x)), 0); }
static inline float wf_gelu_f32(float x) { return wasm_f32x4_extract_lane(wf_gelu(wasm_f32x4_splat(x)), 0); }

#endif
