/* Codec F16: panels of IEEE halves [k][8], half the memory of F32. A block of a panel is widened to
   f32 (exactly) once for all rows of a row block, then the f32 micro-kernel runs: the product costs
   what f32 costs, plus about 15 operations for eight weights, 2 % at 96 rows. One row alone widens
   its weights in registers, on their way: 10 operations for eight. */
#include "base/bytes.h"
#include "base/half.h"
#include "base/simd.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"
#include "kernels/simd128/gemm_row.h"

/* A panel begins with eight halves of its own: the first says whether a weight is infinite or NaN. */
enum { HEADER = 8 };

static size_t panel_halves(uint32_t k) { return HEADER + (size_t)k * WF_PANEL; }

static size_t packed_bytes(uint32_t n, uint32_t k) {
    return wf_round_up(n, WF_PANEL) / WF_PANEL * panel_halves(k) * sizeof(uint16_t);
}

static void pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows,
                 uint32_t stored_k) {
    (void)n;
    uint16_t *header = (uint16_t *)packed + panel * panel_halves(k), *out = header + HEADER; /* [k][8] */
    const uint8_t *in = stored;                                                              /* [rows][stored_k] */
    bool special = false;
    for (uint32_t r = 0; r < WF_PANEL; r++) {
        for (uint32_t i = 0; i < k; i++) {
            uint32_t half = r < rows ? wf_load_u16(in + ((size_t)r * stored_k + i) * sizeof(uint16_t)) : 0;
            special |= (half & 0x7c00) == 0x7c00;
            out[(size_t)i * WF_PANEL + r] = (uint16_t)half;
        }
    }
    for (uint32_t i = 0; i < HEADER; i++) {
        header[i] = special;
    }
}

static const uint16_t *panel_at(const wf_weight *w, uint32_t panel) {
    return (const uint16_t *)w->data + panel * panel_halves(w->k);
}

/* base/half.h on 4 halves, sign-extended: the sign stays where it is, exponent and mantissa move to
   their places in f32, and scaling by 2^112 moves the exponent's value. Right for all but
   infinities and NaNs. */
static const int32_t widen_table[] = {(int32_t)0x8fffe000, 0x77800000 /* 2^112 */};

typedef struct widener {
    v128_t mask, scale;
} widener;

WF_INLINE widener make_widener(void) {
    const int32_t *k = wf_table(widen_table);
    return (widener){wf_i32x4_at(k, 0), wf_i32x4_at(k, 1)};
}

WF_INLINE v128_t widen(const widener *u, v128_t h) {
    return wasm_f32x4_mul(wasm_v128_and(wasm_i32x4_shl(h, 13), u->mask), u->scale);
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    const uint16_t *header = panel_at(w, panel), *in = header + HEADER + (size_t)k0 * WF_PANEL;
    const size_t count = (size_t)kc * WF_PANEL;
    const widener u = make_widener();
    if (header[0] != 0) { /* what is infinite or NaN stays so */
        for (size_t i = 0; i < count; i++) {
            buffer[i] = wf_f16_to_f32(in[i]);
        }
        return buffer;
    }
    for (size_t i = 0; i < count; i += WF_PANEL) {
        v128_t h = wasm_v128_load(in + i);
        wasm_v128_store(buffer + i, widen(&u, wasm_i32x4_extend_low_i16x8(h)));
        wasm_v128_store(buffer + i + 4, widen(&u, wasm_i32x4_extend_high_i16x8(h)));
    }
    return buffer;
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return WF_GEMM_BUFFER * sizeof(float);
}

/* One row times `panels` panels (a constant where this is inlined), each `apart` behind the one before. */
WF_INLINE void row_times(const wf_gemm *g, uint32_t panel, uint32_t apart, const uint32_t panels) {
    const widener u = make_widener();
    const uint32_t k_end = g->w->k;
    const uint16_t *in[4];
    v128_t sum[8];
    WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
        in[p] = panel_at(g->w, panel + p * apart) + HEADER;
        sum[2 * p] = sum[2 * p + 1] = wasm_f32x4_splat(0);
    }
    for (uint32_t k = 0; k < k_end; k++) {
        const size_t at = (size_t)k * WF_PANEL;
        v128_t x = wasm_v128_load32_splat(g->a + k);
        WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
            v128_t h = wasm_v128_load(in[p] + at);
            sum[2 * p] = wf_madd(x, widen(&u, wasm_i32x4_extend_low_i16x8(h)), sum[2 * p]);
            sum[2 * p + 1] = wf_madd(x, widen(&u, wasm_i32x4_extend_high_i16x8(h)), sum[2 * p + 1]);
        }
    }
    WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
        wf_gemm_row_store(g, panel + p * apart, sum + 2 * p);
    }
}

static void row_panels(const wf_gemm *g, uint32_t panel, uint32_t apart, uint32_t count) {
    if (count == 4) {
        row_times(g, panel, apart, 4);
        return;
    }
    for (uint32_t p = 0; p < count; p++) {
        row_times(g, panel + p * apart, 0, 1);
    }
}

static void gemm(const wf_gemm *g) {
    bool special = false;
    for (uint32_t p = g->n0 / WF_PANEL; g->m == 1 && p * WF_PANEL < g->n1; p++) {
        special |= panel_at(g->w, p)[0] != 0;
    }
    if (g->m == 1 && !special) {
        wf_gemm_row(g, row_panels);
    } else {
        wf_gemm_blocked(g, block, g->scratch);
    }
}

const wf_codec wf_codec_f16 = {WF_F16, false, packed_bytes, pack, scratch_bytes, gemm};
