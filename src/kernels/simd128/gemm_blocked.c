/* C = A · Wᵀ with everything reused where it is cheapest: a block of A (MC rows × KC) stays in L2
   while the panels of W pass through L1 one block at a time, and a tile of C stays in registers.
   Partial sums wait in C between blocks of K, so the order of additions is that of one plain loop
   over k. The epilogue runs on a panel as soon as its last block is done. Limit: one multiply and
   one addition (or one fused) of four lanes per two vector operations a cycle; the loads fit
   beside. */
#include "kernels/simd128/gemm_blocked.h"

#include "kernels/simd128/gemm_epilogue.h"
#include "kernels/simd128/gemm_f32_tile.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Panels that pass through together. One row takes four at once and three rows two, to keep enough
   sums in flight; more rows take two one after the other, so that a cache line of C is written
   whole while it is near. */
enum { GROUP = 4 };
static uint32_t panels_at_once(uint32_t m) { return m == 1 ? GROUP : 2; }

/* A block of K: rows [row, row + rows) against `panels` panels, the first of which is `panel`. Rows
   are dealt out evenly: 49 = 4 × 6 + 5 × 5 wastes less than 8 × 6 + 1, since a tile of one row
   takes as long as one of four. */
static void rows_times_panels(const wf_gemm *g, wf_f32_tile t, uint32_t row, uint32_t rows, uint32_t panel,
                              uint32_t panels, bool last) {
    uint32_t tiles = (rows + WF_TILE_ROWS - 1) / WF_TILE_ROWS;
    for (uint32_t i = 0; i < tiles; i++) {
        uint32_t count = rows / tiles + (i < rows % tiles ? 1 : 0);
        t.c = g->c + (size_t)row * g->ldc + (size_t)panel * WF_PANEL;
        if (g->m <= 3) {
            wf_gemm_f32_tile(&t, count, panels);
        } else {
            wf_f32_tile one = t;
            for (uint32_t p = 0; p < panels; p++, one.b += t.panel, one.c += WF_PANEL) {
                wf_gemm_f32_tile(&one, count, 1);
            }
        }
        if (last) {
            wf_gemm_epilogue(g, row, count, panel * WF_PANEL, panels * WF_PANEL, NULL);
        }
        t.a += count * t.lda;
        row += count;
    }
}

static void row_block(const wf_gemm *g, uint32_t row, uint32_t rows, wf_panel_block block, float *buffer) {
    const uint32_t k = g->w->k, panel_end = (g->n1 + WF_PANEL - 1) / WF_PANEL, at_once = panels_at_once(g->m);
    for (uint32_t k0 = 0; k0 < k; k0 += WF_GEMM_KC) {
        wf_f32_tile t = {.a = g->a + (size_t)row * g->lda + k0, .lda = g->lda, .ldc = g->ldc,
                         .kc = least(WF_GEMM_KC, k - k0), .first = k0 == 0};
        for (uint32_t p = g->n0 / WF_PANEL, panels; p < panel_end; p += panels) {
            const float *b[GROUP];
            panels = least(at_once, panel_end - p);
            for (uint32_t i = 0; i < panels; i++) {
                float *decoded = buffer != NULL ? buffer + (size_t)i * WF_GEMM_KC * WF_PANEL : NULL;
                b[i] = block(g->w, p + i, k0, t.kc, decoded);
            }
            t.b = b[0];
            t.panel = panels > 1 ? (size_t)(b[1] - b[0]) : 0;
            rows_times_panels(g, t, row, rows, p, panels, k0 + t.kc == k);
        }
    }
    if (g->n1 == g->w->n) {
        wf_gemm_zero_lanes(g, row, rows);
    }
}

void wf_gemm_blocked(const wf_gemm *g, wf_panel_block block, float *buffer) {
    /* Blocks of equal size: 100 rows are 2 × 50, not 96 and 4. */
    uint32_t blocks = (g->m + WF_GEMM_MC - 1) / WF_GEMM_MC;
    for (uint32_t i = 0, row = 0; i < blocks; i++) {
        uint32_t rows = g->m / blocks + (i < g->m % blocks ? 1 : 0);
        row_block(g, row, rows, block, buffer);
        row += rows;
    }
}
