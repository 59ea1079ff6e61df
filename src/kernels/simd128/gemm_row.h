/* One row times a matrix whose weights are decoded in registers: what the codecs share. The sums run
   over k = 0, 1, … as in gemm_blocked.c, so a row has the same bits alone as among others. */
#ifndef WF_KERNELS_SIMD128_GEMM_ROW_H
#define WF_KERNELS_SIMD128_GEMM_ROW_H

#include "base/simd.h"
#include "kernels/simd128/gemm_epilogue.h"

/* Writes the sums of panel `panel`, and of some that follow it, of `left` that remain (at least 1);
   returns how many. */
typedef uint32_t (*wf_gemm_row_panels)(const wf_gemm *g, uint32_t panel, uint32_t left);

static inline void wf_gemm_row(const wf_gemm *g, wf_gemm_row_panels panels) {
    const uint32_t first = g->n0 / WF_PANEL, end = (g->n1 + WF_PANEL - 1) / WF_PANEL;
    for (uint32_t p = first; p < end;) {
        p += panels(g, p, end - p);
    }
    wf_gemm_epilogue(g, 0, 1, g->n0, (end - first) * WF_PANEL, NULL);
    if (g->n1 == g->w->n) {
        wf_gemm_zero_lanes(g, 0, 1);
    }
}

/* sum: two vectors of each panel. */
WF_INLINE void wf_gemm_row_store(const wf_gemm *g, uint32_t panel, const v128_t *sum, const uint32_t panels) {
    WF_UNROLL for (uint32_t v = 0; v < 2 * panels; v++) {
        wasm_v128_store(g->c + (size_t)panel * WF_PANEL + 4 * v, sum[v]);
    }
}

#endif
