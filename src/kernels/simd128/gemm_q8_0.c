/* Codec Q8_0 with float activations: a block of a panel is decoded to f32 (w = d·q, exactly as
   tensor/q8_0.c) once for all rows of a row block, then the f32 micro-kernel runs. The product
   costs what f32 costs, plus about 20 operations for 16 weights; weights take 9.5 bits. For integer
   dots see gemm_q8_0_int8.c. */
#include "base/simd.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"
#include "kernels/simd128/q8_0_panel.h"

/* Element `i` of k of four rows, from their bytes in k order. */
WF_INLINE v128_t element(v128_t bytes, const uint32_t i) {
    return wasm_f32x4_convert_i32x4(wasm_i32x4_shr(i < 3 ? wasm_i32x4_shl(bytes, 24 - 8 * i) : bytes, 24));
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    const wf_q8_0_panel_block *in = wf_q8_0_panel(w, panel) + k0 / WF_Q8_K;
    float *out = buffer; /* [kc][8], and up to the end of the last block of 32 */
    for (uint32_t k = 0; k < kc; k += WF_Q8_K, in++) {
        v128_t scale[2] = {wasm_v128_load(in->scale), wasm_v128_load(in->scale + 4)};
        for (uint32_t j = 0; j < WF_Q8_K / 4; j++) {
            v128_t bytes[2] = {wasm_v128_load(in->q[j][0]), wasm_v128_load(in->q[j][4])};
            WF_UNROLL for (uint32_t i = 0; i < 4; i++, out += WF_PANEL) {
                wasm_v128_store(out, wasm_f32x4_mul(element(bytes[0], i), scale[0]));
                wasm_v128_store(out + 4, wasm_f32x4_mul(element(bytes[1], i), scale[1]));
            }
        }
    }
    return buffer;
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return WF_GEMM_BUFFER * sizeof(float);
}

static void gemm(const wf_gemm *g) { wf_gemm_blocked(g, block, g->scratch); }

const wf_codec wf_codec_q8_0 = {WF_Q8_0, false, wf_q8_0_packed_bytes, wf_q8_0_pack, scratch_bytes, gemm};
