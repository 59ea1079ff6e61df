/* Q8_0 in panels: per 8 rows and 32 elements of k one block, which serves all lowerings of the
   integer dot. */
#ifndef WF_KERNELS_SIMD128_Q8_0_PANEL_H
#define WF_KERNELS_SIMD128_Q8_0_PANEL_H

#include "kernels/codec.h"

enum { WF_Q8_K = 32 };

typedef struct wf_q8_0_panel_block {
    int8_t q[WF_Q8_K / 4][WF_PANEL][4]; /* four elements of k side by side for each row: one lane of a dot */
    float scale[WF_PANEL];              /* the block's d, widened from f16 */
    int16_t minus_sum[WF_PANEL];        /* −Σ q over the block, for dots with unsigned activations */
} wf_q8_0_panel_block;

_Static_assert(sizeof(wf_q8_0_panel_block) == 304, "9.5 bits a weight, a multiple of 16 bytes");

static inline uint32_t wf_q8_0_blocks(uint32_t k) { return (k + WF_Q8_K - 1) / WF_Q8_K; }
static inline const wf_q8_0_panel_block *wf_q8_0_panel(const wf_weight *w, uint32_t panel) {
    return (const wf_q8_0_panel_block *)w->data + (size_t)panel * wf_q8_0_blocks(w->k);
}

size_t wf_q8_0_packed_bytes(uint32_t n, uint32_t k);
void wf_q8_0_pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows,
                  uint32_t stored_k);

#endif
