/* I8 matrices in panels: four elements of k side by side for each of 8 rows, one lane of a dot; behind all panels the sums of the
   rows, which unsigned activations and zero points need, and a word for each panel that is 0 where
   WF_DOT_PAIRS is exact (codec.h). Rows beyond n and elements beyond k are zero. */
#ifndef WF_KERNELS_SIMD128_I8_PANEL_H
#define WF_KERNELS_SIMD128_I8_PANEL_H

#include "kernels/codec.h"

enum { WF_I8_GROUP = 4 * WF_PANEL }; /* bytes of a group: 4 k of 8 rows */

static inline uint32_t wf_i8_groups(uint32_t k) { return (k + 3) / 4; }
static inline uint32_t wf_i8_panels(uint32_t n) { return (n + WF_PANEL - 1) / WF_PANEL; }
static inline size_t wf_i8_panel_bytes(uint32_t k) { return (size_t)wf_i8_groups(k) * WF_I8_GROUP; }
static inline const int8_t *wf_i8_panel(const wf_weight *w, uint32_t panel) {
    return (const int8_t *)w->data + panel * wf_i8_panel_bytes(w->k);
}
/* [8 · panels] Σ_k W[j, k] */
static inline const int32_t *wf_i8_sums(const wf_weight *w) {
    return (const int32_t *)((const char *)w->data + wf_i8_panels(w->n) * wf_i8_panel_bytes(w->k));
}

/* [panels] */
static inline const int32_t *wf_i8_large(const wf_weight *w) { return wf_i8_sums(w) + (size_t)wf_i8_panels(w->n) * WF_PANEL; }

size_t wf_i8_packed_bytes(uint32_t n, uint32_t k);
void wf_i8_pack(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows, uint32_t stored_k);

#endif
