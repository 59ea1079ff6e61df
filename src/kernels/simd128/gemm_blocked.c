/* C = A · Wᵀ with everything reused where it is cheapest: a block of A (MC rows × KC) stays in L2 while the panels of W pass
   through L1 one block at a time, and a tile of C stays in registers. Partial sums wait in C between blocks of K, so the
   order of additions is that of one plain loop over k. The epilogue runs on a panel as soon as its last block is done.
   Limit: one multiply and one addition (or one fused) of four lanes per two vector operations a cycle; the loads fit beside. */
#include "kernels/simd128/gemm_blocked.h"

#include "kernels/simd128/gemm_epilogue.h"
#include "kernels/simd128/gemm_f32_tile.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Few rows need several panels at once to keep the adders busy. */
static uint32_t panels_at_once(uint32_t m) { return m == 1 ? 4 : m <= 3 ? 2 : 1; }

/* All rows of the block against the panels at t->b. Rows are dealt out evenly: 49 = 4 × 6 + 5 × 5 wastes less than
   8 × 6 + 1, since a tile of one row takes as long as one of four. */
static void rows_times_panels(wf_f32_tile *t, uint32_t rows, uint32_t panels) {
    uint32_t tiles = (rows + WF_TILE_ROWS - 1) / WF_TILE_ROWS, small = rows / tiles, larger = rows % tiles;
    const float *a = t->a;
    float *c = t->c;
    for (uint32_t i = 0; i < tiles; i++) {
        uint32_t count = small + (i < larger ? 1 : 0);
        wf_gemm_f32_tile(t, count, panels);
        t->a += count * t->lda;
        t->c += count * t->ldc;
    }
    t->a = a;
    t->c = c;
}

static void row_block(const wf_gemm *g, uint32_t row, uint32_t rows, wf_panel_block block, float *buffer) {
    const uint32_t k = g->w->k, panel_end = (g->n1 + WF_PANEL - 1) / WF_PANEL, at_once = panels_at_once(g->m);
    for (uint32_t k0 = 0; k0 < k; k0 += WF_GEMM_KC) {
        wf_f32_tile t = {.a = g->a + (size_t)row * g->lda + k0, .lda = g->lda, .ldc = g->ldc,
                         .kc = least(WF_GEMM_KC, k - k0), .first = k0 == 0};
        bool last = k0 + t.kc == k;
        for (uint32_t p = g->n0 / WF_PANEL, panels; p < panel_end; p += panels) {
            panels = least(at_once, panel_end - p);
            for (uint32_t i = 0; i < panels; i++) {
                float *decoded = buffer != NULL ? buffer + (size_t)i * WF_GEMM_KC * WF_PANEL : NULL;
                const float *b = block(g->w, p + i, k0, t.kc, decoded);
                if (i == 0) {
                    t.b = b;
                } else if (i == 1) {
                    t.panel = (size_t)(b - t.b);
                }
            }
            t.c = g->c + (size_t)row * g->ldc + (size_t)p * WF_PANEL;
            rows_times_panels(&t, rows, panels);
            if (last) {
                wf_gemm_epilogue(g, row, rows, p * WF_PANEL, panels * WF_PANEL, NULL);
            }
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
