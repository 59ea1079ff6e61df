/* One row times a matrix whose weights are decoded in registers: what the codecs share. The sums run
   over k = 0, 1, … as in gemm_blocked.c, so a row has the same bits alone as among others. */
#ifndef WF_KERNELS_SIMD128_GEMM_ROW_H
#define WF_KERNELS_SIMD128_GEMM_ROW_H

#include "base/simd.h"
#include "kernels/simd128/gemm_epilogue.h"

/* Writes the sums of `count` panels (at least 1, at most WF_ROW_STREAMS): `panel`, and others each `apart` behind the one before. */
typedef void (*wf_gemm_row_panels)(const wf_gemm *g, uint32_t panel, uint32_t apart, uint32_t count);

/* Weights come in so many streams side by side: one alone leaves the memory of some CPUs idle. Each is a part of the matrix from end to end,
   since what jumps every few KB is not read ahead (README.md, "One row"). */
enum { WF_ROW_STREAMS = 4 };

static inline void wf_gemm_row(const wf_gemm *g, wf_gemm_row_panels panels) {
    const uint32_t first = g->n0 / WF_PANEL, all = (g->n1 + WF_PANEL - 1) / WF_PANEL - first;
    const uint32_t apart = (all + WF_ROW_STREAMS - 1) / WF_ROW_STREAMS;
    for (uint32_t p = 0; p < apart; p++) {
        panels(g, first + p, apart, (all - p + apart - 1) / apart);
    }
    wf_gemm_epilogue(g, 0, 1, g->n0, all * WF_PANEL, NULL);
    if (g->n1 == g->w->n) {
        wf_gemm_zero_lanes(g, 0, 1);
    }
}

/* sum: two vectors of a panel. */
WF_INLINE void wf_gemm_row_store(const wf_gemm *g, uint32_t panel, const v128_t *sum) {
    wasm_v128_store(g->c + (size_t)panel * WF_PANEL, sum[0]);
    wasm_v128_store(g->c + (size_t)panel * WF_PANEL + 4, sum[1]);
}

#endif
