/* Codec Q8_0 with float activations: a block of a panel is decoded to f32 (w = d·q, exactly as
   tensor/q8_0.c) once for all rows of a row block, then the f32 micro-kernel runs. The product
   costs what f32 costs, plus about 20 operations for 16 weights; weights take 9.5 bits. One row alone
   decodes in registers. For integer dots see gemm_q8_0_int8.c. */
#include "base/simd.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"
#include "kernels/simd128/gemm_row.h"
#include "kernels/simd128/q8_0_panel.h"

/* A byte b = q + 128 put under the exponent of 2²³ is the float 2²³ + b: less 2²³ + 128, exactly q.
   Most of these operations run where products don't, unlike shifts and conversions. */
static const int32_t element_table[] = {(int32_t)0x80808080, 0xff, 0x4b000000, 0x4b000080};

typedef struct unpacker {
    v128_t flip, mask, exponent, bias;
} unpacker;

WF_INLINE unpacker make_unpacker(void) {
    const int32_t *k = wf_table(element_table);
    return (unpacker){wf_i32x4_at(k, 0), wf_i32x4_at(k, 1), wf_i32x4_at(k, 2), wf_i32x4_at(k, 3)};
}

/* Element `i` of k of four rows, from their bytes in k order, each + 128. */
WF_INLINE v128_t element(const unpacker *u, v128_t bytes, const uint32_t i) {
    v128_t byte = i == 0 ? bytes : wasm_u32x4_shr(bytes, 8 * i);
    byte = i == 3 ? byte : wasm_v128_and(byte, u->mask);
    return wasm_f32x4_sub(wasm_v128_or(byte, u->exponent), u->bias);
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    const wf_q8_0_panel_block *in = wf_q8_0_panel(w, panel) + k0 / WF_Q8_K;
    const unpacker u = make_unpacker();
    float *out = buffer; /* [kc][8], and up to the end of the last block of 32 */
    for (uint32_t k = 0; k < kc; k += WF_Q8_K, in++) {
        v128_t scale[2] = {wasm_v128_load(in->scale), wasm_v128_load(in->scale + 4)};
        for (uint32_t j = 0; j < WF_Q8_K / 4; j++) {
            v128_t bytes[2] = {wasm_v128_xor(wasm_v128_load(in->q[j][0]), u.flip),
                               wasm_v128_xor(wasm_v128_load(in->q[j][4]), u.flip)};
            WF_UNROLL for (uint32_t i = 0; i < 4; i++, out += WF_PANEL) {
                wasm_v128_store(out, wasm_f32x4_mul(element(&u, bytes[0], i), scale[0]));
                wasm_v128_store(out + 4, wasm_f32x4_mul(element(&u, bytes[1], i), scale[1]));
            }
        }
    }
    return buffer;
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return WF_GEMM_BUFFER * sizeof(float);
}

/* A block of 32 of one panel: each weight is d·q, rounded as in `block`. The sums wait in C. */
WF_INLINE void row_block(const unpacker *u, const wf_q8_0_panel_block *in, const float *x, float *c, bool first) {
    const v128_t scale[2] = {wasm_v128_load(in->scale), wasm_v128_load(in->scale + 4)};
    v128_t sum[2] = {wasm_f32x4_splat(0), wasm_f32x4_splat(0)};
    WF_UNROLL for (uint32_t v = 0; !first && v < 2; v++) {
        sum[v] = wasm_v128_load(c + 4 * v);
    }
    for (uint32_t j = 0; j < WF_Q8_K / 4; j++) {
        v128_t bytes[2] = {wasm_v128_xor(wasm_v128_load(in->q[j][0]), u->flip),
                           wasm_v128_xor(wasm_v128_load(in->q[j][4]), u->flip)};
        WF_UNROLL for (uint32_t i = 0; i < 4; i++) {
            v128_t splat = wasm_v128_load32_splat(x + 4 * j + i);
            WF_UNROLL for (uint32_t v = 0; v < 2; v++) {
                sum[v] = wf_madd(splat, wasm_f32x4_mul(element(u, bytes[v], i), scale[v]), sum[v]);
            }
        }
    }
    wasm_v128_store(c, sum[0]);
    wasm_v128_store(c + 4, sum[1]);
}

/* A row has zeros up to a multiple of 32, and so have the weights. */
static void row_panels(const wf_gemm *g, uint32_t panel, uint32_t apart, uint32_t count) {
    const unpacker u = make_unpacker();
    const uint32_t blocks = wf_q8_0_blocks(g->w->k);
    const wf_q8_0_panel_block *in = wf_q8_0_panel(g->w, panel);
    for (uint32_t b = 0; b < blocks; b++) {
        for (uint32_t p = 0; p < count; p++) {
            row_block(&u, in + (size_t)p * apart * blocks + b, g->a + b * WF_Q8_K, g->c + (size_t)(panel + p * apart) * WF_PANEL, b == 0);
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

const wf_codec wf_codec_q8_0 = {WF_Q8_0, false, wf_q8_0_packed_bytes, wf_q8_0_pack, scratch_bytes, gemm};
