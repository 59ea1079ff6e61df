/* Packing rows of ggml's Q8_0 blocks (34 bytes: f16 scale, 32 int8) into panels. Elements beyond k
   are set to zero whatever the file holds there, and so are rows beyond n. */
#include "kernels/simd128/q8_0_panel.h"

#include <string.h>

#include "base/bytes.h"
#include "base/half.h"
#include "tensor/q8_0.h"

size_t wf_q8_0_packed_bytes(uint32_t n, uint32_t k) {
    return (size_t)(wf_round_up(n, WF_PANEL) / WF_PANEL) * wf_q8_0_blocks(k) * sizeof(wf_q8_0_panel_block);
}

void wf_q8_0_pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows,
                  uint32_t stored_k) {
    (void)n;
    const uint32_t blocks = wf_q8_0_blocks(k);
    const size_t row_bytes = (size_t)(stored_k / WF_Q8_0_BLOCK) * WF_Q8_0_BYTES;
    wf_q8_0_panel_block *out = (wf_q8_0_panel_block *)packed + (size_t)panel * blocks;
    for (uint32_t b = 0; b < blocks; b++, out++) {
        memset(out, 0, sizeof *out);
        for (uint32_t r = 0; r < rows; r++) {
            const uint8_t *in = (const uint8_t *)stored + r * row_bytes + (size_t)b * WF_Q8_0_BYTES;
            out->scale[r] = wf_f16_to_f32(wf_load_u16(in));
            for (uint32_t i = 0; i < WF_Q8_K && b * WF_Q8_K + i < k; i++) {
                int8_t q = (int8_t)in[2 + i];
                out->q[i / 4][r][i % 4] = q;
                out->minus_sum[r] = (int16_t)(out->minus_sum[r] - q);
            }
        }
    }
}
