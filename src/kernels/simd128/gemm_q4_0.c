/* Codec Q4_0, float activations: per 8 rows and 32 elements of k a block of nibbles with its scales, 5
   bits a weight. A block of a panel is decoded to f32 (w = d·(q − 8), exactly as tensor/q4_0.c) once for
   all rows of a row block, then the f32 micro-kernel runs: the product costs what f32 costs, plus about
   20 operations for 16 weights. One row alone decodes in registers. */
#include <string.h>

#include "base/bytes.h"
#include "base/half.h"
#include "base/simd.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"
#include "kernels/simd128/gemm_row.h"
#include "tensor/q4_0.h"

enum { HALF = WF_Q4_0_BLOCK / 2, ZEROS = 0x88 };

typedef struct panel_block {
    uint8_t q[HALF][WF_PANEL]; /* of each row: element i low, element i + 16 high */
    float scale[WF_PANEL];     /* d, widened from f16 */
} panel_block;

_Static_assert(sizeof(panel_block) == 160, "5 bits a weight");

static uint32_t blocks_of(uint32_t k) { return (k + WF_Q4_0_BLOCK - 1) / WF_Q4_0_BLOCK; }

static size_t packed_bytes(uint32_t n, uint32_t k) {
    return (size_t)(wf_round_up(n, WF_PANEL) / WF_PANEL) * blocks_of(k) * sizeof(panel_block);
}

/* Elements beyond k become zero whatever the file holds there, and so do rows beyond n. */
static void pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows,
                 uint32_t stored_k) {
    (void)n;
    const uint32_t blocks = blocks_of(k);
    const size_t row_bytes = (size_t)(stored_k / WF_Q4_0_BLOCK) * WF_Q4_0_BYTES;
    panel_block *out = (panel_block *)packed + (size_t)panel * blocks;
    for (uint32_t b = 0; b < blocks; b++, out++) {
        uint32_t left = k - b * WF_Q4_0_BLOCK; /* elements of this block and the next ones */
        memset(out->q, ZEROS, sizeof out->q);
        memset(out->scale, 0, sizeof out->scale);
        for (uint32_t r = 0; r < rows; r++) {
            const uint8_t *in = (const uint8_t *)stored + r * row_bytes + (size_t)b * WF_Q4_0_BYTES;
            out->scale[r] = wf_f16_to_f32(wf_load_u16(in));
            for (uint32_t i = 0; i < HALF; i++) {
                uint8_t low = i < left ? in[2 + i] & 0x0f : ZEROS & 0x0f;
                uint8_t high = i + HALF < left ? in[2 + i] & 0xf0 : ZEROS & 0xf0;
                out->q[i][r] = low | high;
            }
        }
    }
}

/* Eight signed bytes (the low ones, or the high ones) times the scales → one element of k of a panel. */
WF_INLINE void put_element(float *out, v128_t words, const v128_t scale[2]) {
    wasm_v128_store(out, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(words)), scale[0]));
    wasm_v128_store(out + 4,
                    wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(words)), scale[1]));
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    const panel_block *in =
        (const panel_block *)w->data + (size_t)panel * blocks_of(w->k) + k0 / WF_Q4_0_BLOCK;
    const v128_t fifteen = wasm_i8x16_splat(15), eight = wasm_i8x16_splat(8);
    float *out = buffer; /* [kc][8], and up to the end of the last block of 32 */
    for (uint32_t k = 0; k < kc; k += WF_Q4_0_BLOCK, in++, out += WF_Q4_0_BLOCK * WF_PANEL) {
        const v128_t scale[2] = {wasm_v128_load(in->scale), wasm_v128_load(in->scale + 4)};
        for (uint32_t i = 0; i < HALF; i += 2) {
            v128_t bytes = wasm_v128_load(in->q[i]);
            v128_t low = wasm_i8x16_sub(wasm_v128_and(bytes, fifteen), eight);
            v128_t high = wasm_i8x16_sub(wasm_u8x16_shr(bytes, 4), eight);
            float *at = out + i * WF_PANEL, *far = at + HALF * WF_PANEL;
            put_element(at, wasm_i16x8_extend_low_i8x16(low), scale);
            put_element(at + WF_PANEL, wasm_i16x8_extend_high_i8x16(low), scale);
            put_element(far, wasm_i16x8_extend_low_i8x16(high), scale);
            put_element(far + WF_PANEL, wasm_i16x8_extend_high_i8x16(high), scale);
        }
    }
    return buffer;
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return WF_GEMM_BUFFER * sizeof(float);
}

static const int32_t nibble_table[] = {0x0f0f0f0f, 0x08080808};

typedef struct unpacker {
    v128_t mask, eight;
} unpacker;

/* Elements i and i + 1 of k (i even) of eight rows, from their nibbles: the low ones, or the high ones. */
WF_INLINE void two_elements(const unpacker *u, const panel_block *b, uint32_t i, const bool high, const v128_t scale[2],
                            v128_t out[4]) {
    v128_t bytes = wasm_v128_load(b->q[i]);
    v128_t q = wasm_v128_and(high ? wasm_u16x8_shr(bytes, 4) : bytes, u->mask);
    q = wasm_i8x16_sub(q, u->eight);
    v128_t first = wasm_i16x8_extend_low_i8x16(q), second = wasm_i16x8_extend_high_i8x16(q);
    out[0] = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(first)), scale[0]);
    out[1] = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(first)), scale[1]);
    out[2] = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(second)), scale[0]);
    out[3] = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(second)), scale[1]);
}

/* Sixteen elements of k, of the low or the high nibbles of a block. */
WF_INLINE void half_block(const unpacker *u, const panel_block *b, const float *x, const bool high, const v128_t scale[2], v128_t sum[2]) {
    for (uint32_t i = 0; i < HALF; i += 2) {
        v128_t w[4], x0 = wasm_v128_load32_splat(x + i), x1 = wasm_v128_load32_splat(x + i + 1);
        two_elements(u, b, i, high, scale, w);
        WF_UNROLL for (uint32_t v = 0; v < 2; v++) {
            sum[v] = wf_madd(x1, w[2 + v], wf_madd(x0, w[v], sum[v]));
        }
    }
}

/* A row has zeros up to a multiple of 32, and so have the weights. The sums wait in C. */
static void row_panels(const wf_gemm *g, uint32_t panel, uint32_t apart, uint32_t count) {
    const int32_t *k = wf_table(nibble_table);
    const unpacker u = {wf_i32x4_at(k, 0), wf_i32x4_at(k, 1)};
    const uint32_t blocks = blocks_of(g->w->k);
    const panel_block *in = (const panel_block *)g->w->data + (size_t)panel * blocks;
    for (uint32_t b = 0; b < blocks; b++) {
        for (uint32_t p = 0; p < count; p++) {
            const panel_block *at = in + (size_t)p * apart * blocks + b;
            const v128_t scale[2] = {wasm_v128_load(at->scale), wasm_v128_load(at->scale + 4)};
            const float *x = g->a + b * WF_Q4_0_BLOCK;
            float *c = g->c + (size_t)(panel + p * apart) * WF_PANEL;
            v128_t sum[2] = {wasm_f32x4_splat(0), wasm_f32x4_splat(0)};
            WF_UNROLL for (uint32_t v = 0; b > 0 && v < 2; v++) {
                sum[v] = wasm_v128_load(c + 4 * v);
            }
            half_block(&u, at, x, false, scale, sum);
            half_block(&u, at, x + HALF, true, scale, sum);
            wf_gemm_row_store(g, panel + p * apart, sum);
        }
    }
}

static void gemm(const wf_gemm *g) {
    if (g->m == 1) {
        wf_gemm_row(g, row_panels);
    } else {
        wf_gemm_blocked(g, block, g->scratch);
    }
}

const wf_codec wf_codec_q4_0 = {WF_Q4_0, false, packed_bytes, pack, scratch_bytes, gemm};
