/* Codec Q4_0, float activations: per 8 rows and 32 elements of k a block of nibbles with its scales, 5
   bits a weight. A block of a panel is decoded to f32 (w = d·(q − 8), exactly as tensor/q4_0.c) once for
   all rows of a row block, then the f32 micro-kernel runs: the product costs what f32 costs, plus about
   20 operations for 16 weights. */
#include <string.h>

#include "base/bytes.h"
#include "base/half.h"
#include "base/simd.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"
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

static void gemm(const wf_gemm *g) { wf_gemm_blocked(g, block, g->scratch); }

const wf_codec wf_codec_q4_0 = {WF_Q4_0, false, packed_bytes, pack, scratch_bytes, gemm};
