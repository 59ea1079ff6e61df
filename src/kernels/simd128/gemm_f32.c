/* Codec F32: panels [n/8][k][8] of float, read in place. Cost: m · n · k multiply–adds; weights
   pass once per row block. */
#include <string.h>

#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_blocked.h"

static size_t packed_bytes(uint32_t n, uint32_t k) {
    return (size_t)wf_round_up(n, WF_PANEL) * k * sizeof(float);
}

static void pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows,
                 uint32_t stored_k) {
    (void)n;
    float *out = (float *)packed + (size_t)panel * k * WF_PANEL; /* [k][8] */
    const uint8_t *in = stored;                                  /* [rows][stored_k], perhaps unaligned */
    for (uint32_t r = 0; r < WF_PANEL; r++) {
        for (uint32_t i = 0; i < k; i++) {
            float w = 0;
            if (r < rows) {
                memcpy(&w, in + ((size_t)r * stored_k + i) * sizeof w, sizeof w);
            }
            out[(size_t)i * WF_PANEL + r] = w;
        }
    }
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    (void)m, (void)k;
    return 0;
}

static const float *block(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc, float *buffer) {
    (void)kc, (void)buffer;
    return (const float *)w->data + ((size_t)panel * w->k + k0) * WF_PANEL;
}

static void gemm(const wf_gemm *g) { wf_gemm_blocked(g, block, NULL); }

const wf_codec wf_codec_f32 = {WF_F32, false, packed_bytes, pack, scratch_bytes, gemm};
