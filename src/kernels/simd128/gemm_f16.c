/* Codec F16: panels [n/8][k][8] of IEEE halves, half the memory of F32. A block of a panel is widened to f32 (exactly) once
   for all rows of a row block, then the f32 micro-kernel runs: the product costs what f32 costs, plus about 10 operations
   for four weights, 3 % at 96 rows. */
#include "base/bytes.h"
#include "base/half.h"
#include "base/simd.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"

static size_t packed_bytes(uint32_t n, uint32_t k) {
    return (size_t)wf_round_up(n, WF_PANEL) * k * sizeof(uint16_t);
}

static void pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows,
                 uint32_t stored_k) {
    (void)n;
    uint16_t *out = (uint16_t *)packed + (size_t)panel * k * WF_PANEL; /* [k][8] */
    const uint8_t *in = stored;                                        /* [rows][stored_k] */
    for (uint32_t r = 0; r < WF_PANEL; r++) {
        for (uint32_t i = 0; i < k; i++) {
            out[(size_t)i * WF_PANEL + r] =
                r < rows ? (uint16_t)wf_load_u16(in + ((size_t)r * stored_k + i) * sizeof(uint16_t)) : 0;
        }
    }
}

/* base/half.h on four halves in the low 16 bits of each lane: scaling by 2^112 moves the exponent. */
WF_INLINE v128_t widen(v128_t h) {
    v128_t sign = wasm_i32x4_shl(wasm_v128_and(h, wasm_i32x4_splat(0x8000)), 16);
    v128_t rest = wasm_i32x4_shl(wasm_v128_and(h, wasm_i32x4_splat(0x7fff)), 13);
    v128_t value = wasm_f32x4_mul(rest, wasm_i32x4_splat(0x77800000));
    v128_t special = wasm_i32x4_ge(rest, wasm_i32x4_splat(0x7c00 << 13)); /* infinities and NaNs keep their exponent */
    v128_t exponent = wasm_v128_and(special, wasm_i32x4_splat(0x7f800000));
    return wasm_v128_or(wasm_v128_or(value, exponent), sign);
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    const uint16_t *in = (const uint16_t *)w->data + ((size_t)panel * w->k + k0) * WF_PANEL;
    for (size_t i = 0; i < (size_t)kc * WF_PANEL; i += WF_PANEL) {
        v128_t low = widen(wasm_u32x4_load16x4(in + i)), high = widen(wasm_u32x4_load16x4(in + i + 4));
        wasm_v128_store(buffer + i, low);
        wasm_v128_store(buffer + i + 4, high);
    }
    return buffer;
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return WF_GEMM_BUFFER * sizeof(float);
}

static void gemm(const wf_gemm *g) { wf_gemm_blocked(g, block, g->scratch); }

const wf_codec wf_codec_f16 = {WF_F16, false, packed_bytes, pack, scratch_bytes, gemm};
