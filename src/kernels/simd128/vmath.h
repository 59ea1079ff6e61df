/* exp and GELU on floats, from additions, multiplications and one division: bit-equal natively and
   in the baseline wasm, within an ulp or two of that where WF_RELAXED fuses. The coefficients are
   minimax fits made for this file (weighted least squares with Lawson's reweighting, 40 digits).
   Up to four vectors at a time, n a constant: each coefficient is loaded once for all. Polynomials
   are summed by Estrin's scheme, since a core waits for chains of additions: half as long as Horner's
   for two products more. The _f32 forms run the same operations on one number.

     wf_exp    relative error < 2e-7 on [−87.3, 88.3]; 0 below, exp(88.37) above; NaN stays NaN
     wf_exp2   2ˣ for x ≤ 0, relative error < 2e-7 down to −126, 2⁻¹²⁶ below; NaN stays NaN
     wf_gelu   ½ x (1 + erf(x/√2)), the exact form: relative L2 error < 6e-8 on [−3, 3], |error| <
               3e-7 · |x| anywhere */
#ifndef WF_KERNELS_SIMD128_VMATH_H
#define WF_KERNELS_SIMD128_VMATH_H

#include "base/simd.h"

enum { WF_VMATH = 4 };
#define WF_EACH(i, n) WF_UNROLL for (uint32_t i = 0; i < (n); i++)

/* p = k₀ tᵈ + … + k_d, d the odd degree, with t2 = t². */
WF_INLINE void wf_poly(const float *k, const uint32_t degree, const v128_t *t, const v128_t *t2, v128_t *p, const uint32_t n) {
    v128_t c = wf_f32x4_at(k, 0), d = wf_f32x4_at(k, 1), pair[WF_VMATH];
    WF_EACH(i, n) p[i] = wf_madd(t[i], c, d);
    WF_EACH(j, degree / 2) {
        k += 2;
        c = wf_f32x4_at(k, 0), d = wf_f32x4_at(k, 1);
        WF_EACH(i, n) pair[i] = wf_madd(t[i], c, d);
        WF_EACH(i, n) p[i] = wf_madd(t2[i], p[i], pair[i]);
    }
}

/* exp(x) = 2ⁿ · exp(r), n = nearest(x / ln 2), |r| ≤ ½ ln 2. Adding 1.5·2²³ rounds to the nearest
   integer and leaves n in the low bits of the sum. −ln 2 has two parts, the first of 9 bits, so
   that n times it is exact. exp(r) ≈ 1 + r + r² (c₀ + c₁ r + c₂ r² + c₃ r³), error 1.1e-7. */
static const float wf_exp_table[] = {
    88.37f, -87.33f, 1.44269504f, 12582912.0f, -0.693359375f, 2.12194440e-4f,
    0.00831250335f, 0.0418903346f, 0.166671154f, 0.499992303f, 1.0f,
};

WF_INLINE void wf_exp_many(v128_t *x, const uint32_t n) {
    const float *k = wf_table(wf_exp_table);
    v128_t y[WF_VMATH], shifted[WF_VMATH], whole[WF_VMATH], r[WF_VMATH], r2[WF_VMATH], e[WF_VMATH];
    v128_t c = wf_f32x4_at(k, 0), d = wf_f32x4_at(k, 3);
    WF_EACH(i, n) y[i] = wasm_f32x4_pmin(x[i], c);
    c = wf_f32x4_at(k, 2);
    WF_EACH(i, n) shifted[i] = wf_madd(y[i], c, d);
    WF_EACH(i, n) whole[i] = wasm_f32x4_sub(shifted[i], d);
    c = wf_f32x4_at(k, 4), d = wf_f32x4_at(k, 5);
    WF_EACH(i, n) r[i] = wf_madd(whole[i], d, wf_madd(whole[i], c, y[i]));
    WF_EACH(i, n) r2[i] = wasm_f32x4_mul(r[i], r[i]);
    wf_poly(k + 6, 3, r, r2, e, n);
    c = wf_f32x4_at(k, 10), d = wf_f32x4_at(k, 1);
    WF_EACH(i, n) e[i] = wasm_f32x4_add(wf_madd(r2[i], e[i], r[i]), c);
    WF_EACH(i, n) shifted[i] = wasm_i32x4_add(wasm_i32x4_shl(shifted[i], 23), c);
    WF_EACH(i, n) x[i] = wasm_v128_andnot(wasm_f32x4_mul(e[i], shifted[i]), wasm_f32x4_lt(x[i], d));
}

/* 2ˣ = 2ⁿ · 2ʳ, |r| ≤ ½; 2ʳ has an exponent to which n is added. Error of the polynomial: 9.4e-8. */
static const float wf_exp2_table[] = {
    -126.0f, 12582912.0f, 0.0013269519f, 0.00967129134f, 0.0555071086f, 0.240222469f, 0.693147004f, 1.0f,
};

/* In registers while a loop runs: with nothing else in it they fit. */
typedef struct wf_exp2_constants {
    v128_t least, magic, k[6];
} wf_exp2_constants;

WF_INLINE wf_exp2_constants wf_exp2_load(void) {
    const float *k = wf_table(wf_exp2_table);
    wf_exp2_constants c = {wf_f32x4_at(k, 0), wf_f32x4_at(k, 1), {wf_f32x4_at(k, 2)}};
    WF_EACH(i, 6) c.k[i] = wf_f32x4_at(k, 2 + i);
    return c;
}

WF_INLINE v128_t wf_exp2(const wf_exp2_constants *c, v128_t x) {
    x = wasm_f32x4_pmax(x, c->least);
    v128_t shifted = wasm_f32x4_add(x, c->magic);
    v128_t r = wasm_f32x4_sub(x, wasm_f32x4_sub(shifted, c->magic)), r2 = wasm_f32x4_mul(r, r);
    v128_t p = wf_madd(r, c->k[0], c->k[1]);
    p = wf_madd(r2, p, wf_madd(r, c->k[2], c->k[3]));
    p = wf_madd(r2, p, wf_madd(r, c->k[4], c->k[5]));
    return wasm_i32x4_add(wasm_i32x4_shl(shifted, 23), p);
}

/* x · (½ + y P(y²)/Q(y²)) with y = x clamped to ±5.6, beyond which Φ is 0 or 1 in float. Error of
   P/Q: 1.5e-8 with the coefficients as the floats they are. P from y¹⁰ down, then Q; Q ends with 1. */
static const float wf_gelu_table[] = {
    5.6f, -5.6f, 0.5f,
    2.214620487e-8f, 6.356080121e-6f, 0.0001738185674f, 0.004707064014f, 0.03437319398f, 0.3989422321f,
    1.180204322e-6f, 7.509034913e-5f, 0.001912798733f, 0.02893837541f, 0.2528265417f, 1.0f,
};

WF_INLINE void wf_gelu_many(v128_t *x, const uint32_t n) {
    const float *k = wf_table(wf_gelu_table);
    v128_t y[WF_VMATH], t[WF_VMATH], t2[WF_VMATH], p[WF_VMATH], q[WF_VMATH];
    v128_t c = wf_f32x4_at(k, 0), d = wf_f32x4_at(k, 1);
    WF_EACH(i, n) y[i] = wasm_f32x4_pmax(wasm_f32x4_pmin(x[i], c), d);
    WF_EACH(i, n) t[i] = wasm_f32x4_mul(y[i], y[i]);
    WF_EACH(i, n) t2[i] = wasm_f32x4_mul(t[i], t[i]);
    wf_poly(k + 3, 5, t, t2, p, n);
    wf_poly(k + 9, 5, t, t2, q, n);
    c = wf_f32x4_at(k, 2);
    WF_EACH(i, n) x[i] = wasm_f32x4_mul(x[i], wasm_f32x4_add(wasm_f32x4_div(wasm_f32x4_mul(y[i], p[i]), q[i]), c));
}

WF_INLINE v128_t wf_exp(v128_t x) {
    wf_exp_many(&x, 1);
    return x;
}
WF_INLINE v128_t wf_gelu(v128_t x) {
    wf_gelu_many(&x, 1);
    return x;
}

static inline float wf_exp_f32(float x) { return wasm_f32x4_extract_lane(wf_exp(wasm_f32x4_splat(x)), 0); }
static inline float wf_exp2_f32(float x) {
    const wf_exp2_constants c = wf_exp2_load();
    return wasm_f32x4_extract_lane(wf_exp2(&c, wasm_f32x4_splat(x)), 0);
}
static inline float wf_gelu_f32(float x) { return wasm_f32x4_extract_lane(wf_gelu(wasm_f32x4_splat(x)), 0); }

#endif
