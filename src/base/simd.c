/* The relaxed integer dot emulated natively, in each of the three ways that CPUs do it. */
#include "base/simd.h"

#if !defined(__wasm__)

static wf_simd_dot emulated = WF_SIMD_DOT_VNNI;

void wf_simd_dot_emulate(wf_simd_dot kind) { emulated = kind; }

static int32_t saturate_i16(int32_t v) { return v > 32767 ? 32767 : v < -32768 ? -32768 : v; }

v128_t wf_simd_dot_emulated(v128_t w, v128_t x, v128_t acc) {
    int8_t weights[16], signed_x[16];
    uint8_t unsigned_x[16];
    int32_t sums[4];
    wasm_v128_store(weights, w);
    wasm_v128_store(signed_x, x);
    wasm_v128_store(unsigned_x, x);
    wasm_v128_store(sums, acc);
    for (int lane = 0; lane < 4; lane++) {
        int32_t pair[2] = {0, 0};
        for (int i = 0; i < 4; i++) {
            int32_t other = emulated == WF_SIMD_DOT_SDOT ? signed_x[4 * lane + i] : unsigned_x[4 * lane + i];
            pair[i / 2] += weights[4 * lane + i] * other;
        }
        if (emulated == WF_SIMD_DOT_PMADDUBSW) {
            pair[0] = saturate_i16(pair[0]);
            pair[1] = saturate_i16(pair[1]);
        }
        sums[lane] += pair[0] + pair[1];
    }
    return wasm_v128_load(sums);
}

#else
typedef int wf_simd_has_nothing_to_emulate; /* ISO C forbids an empty translation unit */
#endif
