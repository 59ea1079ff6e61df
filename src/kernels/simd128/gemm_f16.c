/* Codec F16: panels [n/8][k][8] of IEEE halves, half the memory of F32. A block of a panel is
   widened to f32 (exactly) once for all rows of a row block, then the f32 micro-kernel runs: the
   product costs what f32 costs, plus about 15 operations for eight weights, 2 % at 96 rows. */
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

/* base/half.h on 4 halves, sign-extended: the sign stays where it is, exponent and mantissa move to
   their places in f32, and scaling by 2^112 moves the exponent's value. Right for all but
   infinities and NaNs. */
static const int32_t widen_table[] = {(int32_t)0x8fffe000, 0x77800000 /* 2^112 */};

WF_INLINE v128_t widen(v128_t h) {
    const int32_t *k = wf_table(widen_table);
    return wasm_f32x4_mul(wasm_v128_and(wasm_i32x4_shl(h, 13), wf_i32x4_at(k, 0)), wf_i32x4_at(k, 1));
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    const uint16_t *in = (const uint16_t *)w->data + ((size_t)panel * w->k + k0) * WF_PANEL;
    const size_t count = (size_t)kc * WF_PANEL;
    v128_t largest = wasm_i32x4_splat(0); /* of the halves without their signs, doubled */
    for (size_t i = 0; i < count; i += WF_PANEL) {
        v128_t h = wasm_v128_load(in + i);
        largest = wasm_u16x8_max(largest, wasm_i16x8_shl(h, 1));
        wasm_v128_store(buffer + i, widen(wasm_i32x4_extend_low_i16x8(h)));
        wasm_v128_store(buffer + i + 4, widen(wasm_i32x4_extend_high_i16x8(h)));
    }
    uint16_t lanes[8];
    wasm_v128_store(lanes, largest);
    bool special = false;
    for (int i = 0; i < 8; i++) {
        special |= lanes[i] >= 2 * 0x7c00;
    }
    if (special) { /* a weight is infinite or NaN: it stays so */
        for (size_t i = 0; i < count; i++) {
            buffer[i] = wf_f16_to_f32(in[i]);
        }
    }
    return buffer;
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return WF_GEMM_BUFFER * sizeof(float);
}

static void gemm(const wf_gemm *g) { wf_gemm_blocked(g, block, g->scratch); }

const wf_codec wf_codec_f16 = {WF_F16, false, packed_bytes, pack, scratch_bytes, gemm};
