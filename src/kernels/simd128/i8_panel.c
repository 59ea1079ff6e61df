/* Packing rows of int8 into panels. */
#include "kernels/simd128/i8_panel.h"

#include <string.h>

#include "kernels/quantize.h"

size_t wf_i8_packed_bytes(uint32_t n, uint32_t k) {
    return wf_i8_panels(n) * (wf_i8_panel_bytes(k) + (WF_PANEL + 1) * sizeof(int32_t));
}

void wf_i8_pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows, uint32_t stored_k) {
    const wf_weight w = {packed, WF_PACK_PANELS, WF_I8, n, k};
    int8_t *out = (int8_t *)packed + panel * wf_i8_panel_bytes(k); /* [k / 4][8][4] */
    int32_t *sums = (int32_t *)wf_i8_sums(&w) + (size_t)panel * WF_PANEL;
    int32_t *large = (int32_t *)wf_i8_large(&w) + panel;
    *large = 0;
    memset(out, 0, wf_i8_panel_bytes(k));
    memset(sums, 0, WF_PANEL * sizeof *sums);
    for (uint32_t r = 0; r < rows; r++) {
        const int8_t *in = (const int8_t *)stored + (size_t)r * stored_k;
        for (uint32_t i = 0; i < k; i++) {
            out[(size_t)(i / 4) * WF_I8_GROUP + 4 * r + i % 4] = in[i];
            sums[r] += in[i];
        }
        for (uint32_t i = 0; i + 1 < k; i += 2) {
            int32_t a = in[i], b = in[i + 1], sum = (a < 0) == (b < 0) ? a + b : 0;
            *large |= sum > WF_PAIRS_MOST || sum < -WF_PAIRS_MOST;
        }
    }
}
