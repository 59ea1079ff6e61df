/* The relaxed integer dot emulated natively, in each of the three ways that CPUs do it. */
#include "base/simd.h"

#if !defined(__wasm__)

static wf_simd_dot emulated = WF_SIMD_DOT_VNNI;

void wf_simd_dot_emulate(wf_simd_dot kind) { emulated = kind; }

static int32_t saturate_i16(int32_t v) { return v > 32767 ? 32767 : v < -32768 ? -32768 : v; }

/* Sums of two products: all 8 of w · x. */
static void pairs(v128_t w, v128_t x, int32_t out[8]) {
    int8_t weights[16], signed_x[16];
    uint8_t unsigned_x[16];
    wasm_v128_store(weights, w);
    wasm_v128_store(signed_x, x);
    wasm_v128_store(unsigned_x, x);
    for (int i = 0; i < 8; i++) {
        out[i] = 0;
        for (int j = 2 * i; j < 2 * i + 2; j++) {
            out[i] += weights[j] * (emulated == WF_SIMD_DOT_SDOT ? signed_x[j] : unsigned_x[j]);
        }
    }
}

v128_t wf_simd_dot_emulated(v128_t w, v128_t x, v128_t acc) {
    int32_t pair[8], sums[4];
    pairs(w, x, pair);
    wasm_v128_store(sums, acc);
    for (int i = 0; i < 8; i++) {
        sums[i / 2] += emulated == WF_SIMD_DOT_PMADDUBSW ? saturate_i16(pair[i]) : pair[i];
    }
    return wasm_v128_load(sums);
}

v128_t wf_simd_pairs_emulated(v128_t w, v128_t x) {
    int32_t pair[8];
    int16_t sums[8];
    pairs(w, x, pair);
    for (int i = 0; i < 8; i++) {
        sums[i] = (int16_t)saturate_i16(pair[i]);
    }
    return wasm_v128_load(sums);
}

#else
typedef int wf_simd_has_nothing_to_emulate; /* ISO C forbids an empty translation unit */
#endif
