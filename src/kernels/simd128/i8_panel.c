/* Packing rows of int8 into panels. */
#include "kernels/simd128/i8_panel.h"

#include <string.h>

size_t wf_i8_packed_bytes(uint32_t n, uint32_t k) {
    return wf_i8_panels(n) * (wf_i8_panel_bytes(k) + WF_PANEL * sizeof(int32_t));
}

void wf_i8_pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows, uint32_t stored_k) {
    const wf_weight w = {packed, WF_PACK_PANELS, WF_I8, n, k};
    int8_t *out = (int8_t *)packed + panel * wf_i8_panel_bytes(k); /* [k / 4][8][4] */
    int32_t *sums = (int32_t *)wf_i8_sums(&w) + (size_t)panel * WF_PANEL;
    memset(out, 0, wf_i8_panel_bytes(k));
    memset(sums, 0, WF_PANEL * sizeof *sums);
    for (uint32_t r = 0; r < rows; r++) {
        const int8_t *in = (const int8_t *)stored + (size_t)r * stored_k;
        for (uint32_t i = 0; i < k; i++) {
            out[(size_t)(i / 4) * WF_I8_GROUP + 4 * r + i % 4] = in[i];
            sums[r] += in[i];
        }
    }
}
