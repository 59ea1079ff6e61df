/* Rotary positions (RoFormer, arXiv 2104.09864): the angle of pair j at a position is position · theta^(−2j/r). One definition for the
   float kernels, scalar and fast: pure IEEE double arithmetic without libm, so that cosines and sines, rounded once to float, are
   bit-equal everywhere (error below 1e-13 for angles up to 2^20). */
#ifndef WF_KERNELS_ANGLES_H
#define WF_KERNELS_ANGLES_H

#include <stdint.h>
#include <string.h>

/* The natural logarithm of x > 0: x = 2^k · m with m in [√½, √2), ln m = 2 artanh((m − 1)/(m + 1)), whose argument is below 0.172. */
static inline double wf_angles_ln(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t k = (int32_t)(bits >> 52 & 0x7ff) - 1022;
    bits = (bits & 0x000fffffffffffff) | 0x3fe0000000000000; /* [½, 1) */
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m < 0.70710678118654752) {
        m *= 2;
        k--;
    }
    double z = (m - 1) / (m + 1), square = z * z, sum = 0;
    for (int i = 21; i >= 1; i -= 2) {
        sum = sum * square + 1.0 / i;
    }
    return k * 0.69314718055994531 + 2 * z * sum;
}

/* exp(x) for x in [−30, 0]: (exp(x / 64))^64 loses six bits; the series of exp(r), |r| < 0.47, ends at r¹³. */
static inline double wf_angles_exp(double x) {
    double r = x / 64, sum = 1;
    for (int i = 13; i >= 1; i--) {
        sum = 1 + sum * r / i;
    }
    for (int i = 0; i < 6; i++) {
        sum *= sum;
    }
    return sum;
}

/* The frequency of pair j + 1 over that of pair j. */
static inline double wf_angles_ratio(float theta, uint32_t rotated) {
    return wf_angles_exp(-2.0 / rotated * wf_angles_ln(theta));
}

/* Cosine and sine of 0 ≤ angle ≤ 2^20. π/2 has two parts; the first has 33 bits, so that its multiples are exact. */
static inline void wf_angles_turn(double angle, double *cosine, double *sine) {
    int32_t k = (int32_t)(angle * 0.63661977236758134 + 0.5);
    double r = (angle - k * 1.57079632673412561417e+00) - k * 6.07710050650619224932e-11, square = r * r, c = 1, s = 1;
    for (int i = 16; i >= 2; i -= 2) {
        c = 1 - c * square / (i * (i - 1));
        s = 1 - s * square / (i * (i + 1));
    }
    s *= r;
    double turned_c = k & 1 ? s : c, turned_s = k & 1 ? c : s; /* up to signs: a quarter turn swaps them */
    *cosine = (k + 1) & 2 ? -turned_c : turned_c;
    *sine = k & 2 ? -turned_s : turned_s;
}

#endif
