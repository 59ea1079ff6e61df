/* C = A · Wᵀ with everything reused where it is cheapest: a block of A (MC rows × KC) stays in L2
   while the panels of W pass by, four at a time; six rows of A stay in L1 while these four pass, and
   a tile of C stays in registers. Partial sums wait in C between blocks of K, so the order of
   additions is that of one plain loop over k. The epilogue runs on a tile as soon as its last block
   is done. The panels that come next are touched ahead: weights come from L3 or memory, and few rows
   per panel hide that only if it is asked for in time.
   Limit: one multiply and one addition (or one fused) of four lanes per two vector operations a
   cycle; the loads fit beside. */
#include "kernels/simd128/gemm_blocked.h"

#include "kernels/simd128/gemm_epilogue.h"
#include "kernels/simd128/gemm_f32_tile.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Panels that pass through together: side by side in one tile for up to three rows, to keep enough
   sums in flight; one after the other for more. Decoded panels are half as many, or their buffer
   would leave L1. */
enum { GROUP = 4, DECODED_GROUP = 2 };
static uint32_t panels_at_once(uint32_t m, bool decoded) {
    return m == 1 ? GROUP : m <= 3 || decoded ? DECODED_GROUP : GROUP;
}

/* Weights that stay in the L2 cache need not be touched ahead: the loads would only cost. */
enum { NEAR_FLOATS = 131072 };

/* Panels of the next group, as they lie in memory: `count` of them, `stride` floats apart. */
typedef struct ahead {
    const float *from;
    size_t stride;
    uint32_t count, floats;
} ahead;

/* Brings the part from … to of each panel of the next group nearer. wasm has no prefetch, but a load
   whose value is dropped does the same. */
static void touch(const ahead *next, uint32_t from, uint32_t to) {
    for (uint32_t at = from / 16 * 16; at < to; at += 16) {
        for (uint32_t p = 0; p < next->count; p++) {
            (void)*(const volatile float *)(next->from + p * next->stride + at);
        }
    }
}

/* Brings the lines of C that the next tile writes nearer: a store that misses waits, and the tile behind it with it. */
static void touch_rows(const float *c, size_t ldc, uint32_t rows, uint32_t columns) {
    for (uint32_t i = 0; i < rows; i++, c += ldc) {
        for (uint32_t j = 0; j < columns; j += 16) {
            (void)*(const volatile float *)(c + j);
        }
    }
}

/* A block of K: rows [row, row + rows) against `panels` panels, the first of which is `panel`. Rows
   are dealt out evenly: 49 = 4 × 6 + 5 × 5 wastes less than 8 × 6 + 1, since a tile of one row
   takes as long as one of four. */
static void rows_times_panels(const wf_gemm *g, wf_f32_tile t, uint32_t row, uint32_t rows, uint32_t panel,
                              uint32_t panels, bool last, const ahead *next) {
    uint32_t tiles = (rows + WF_TILE_ROWS - 1) / WF_TILE_ROWS;
    for (uint32_t i = 0; i < tiles; i++) {
        uint32_t count = rows / tiles + (i < rows % tiles ? 1 : 0), following = rows / tiles + (i + 1 < rows % tiles ? 1 : 0);
        t.c = g->c + (size_t)row * g->ldc + (size_t)panel * WF_PANEL;
        if (i + 1 < tiles && t.first) {
            touch_rows(g->c + (size_t)(row + count) * g->ldc + (size_t)panel * WF_PANEL, g->ldc, following, panels * WF_PANEL);
        }
        t.more = g->m <= 3 ? 0 : panels - 1;
        wf_gemm_f32_tile(&t, count, g->m <= 3 ? panels : 1);
        if (next->count != 0) {
            touch(next, next->floats * i / tiles, next->floats * (i + 1) / tiles);
        }
        if (last) {
            wf_gemm_epilogue(g, row, count, panel * WF_PANEL, panels * WF_PANEL, NULL);
        }
        t.a += count * t.lda;
        row += count;
    }
}

/* K in equal blocks of at most KC, each a multiple of 32. */
static uint32_t k_block(uint32_t k) {
    uint32_t blocks = (k + WF_GEMM_KC - 1) / WF_GEMM_KC;
    return wf_round_up((k + blocks - 1) / blocks, WF_LANES);
}

/* What follows the group of panels that ends before `panel`, in the block of K at k0: the next group,
   or the first one of the next block. Nothing where panels are decoded: that reads ahead itself. */
static ahead ahead_of(const wf_gemm *g, wf_panel_block block, uint32_t panel, uint32_t panel_end, uint32_t k0,
                      uint32_t kc, uint32_t at_once) {
    const uint32_t k = g->w->k;
    if (panel == panel_end) {
        panel = g->n0 / WF_PANEL;
        k0 += kc;
    }
    if (k0 >= k) {
        return (ahead){0};
    }
    return (ahead){.from = block(g->w, panel, k0, kc, NULL),
                   .stride = (size_t)k * WF_PANEL,
                   .count = least(at_once, panel_end - panel),
                   .floats = least(kc, k - k0) * WF_PANEL};
}

static void row_block(const wf_gemm *g, uint32_t row, uint32_t rows, wf_panel_block block, float *buffer) {
    const uint32_t k = g->w->k, kc = buffer == NULL && g->m <= 3 ? k : k_block(k), panel_end = (g->n1 + WF_PANEL - 1) / WF_PANEL;
    const uint32_t at_once = panels_at_once(g->m, buffer != NULL);
    for (uint32_t k0 = 0; k0 < k; k0 += kc) {
        wf_f32_tile t = {.a = g->a + (size_t)row * g->lda + k0, .lda = g->lda, .ldc = g->ldc,
                         .kc = least(kc, k - k0), .first = k0 == 0};
        for (uint32_t p = g->n0 / WF_PANEL, panels; p < panel_end; p += panels) {
            const float *b[GROUP];
            panels = least(at_once, panel_end - p);
            for (uint32_t i = 0; i < panels; i++) {
                float *decoded = buffer != NULL ? buffer + (size_t)i * WF_GEMM_KC * WF_PANEL : NULL;
                b[i] = block(g->w, p + i, k0, t.kc, decoded);
            }
            t.b = b[0];
            t.panel = panels > 1 ? (size_t)(b[1] - b[0]) : 0;
            ahead next = {0};
            if (g->m > 1 && buffer == NULL && (uint64_t)k * g->w->n > NEAR_FLOATS) {
                next = ahead_of(g, block, p + panels, panel_end, k0, kc, at_once);
            }
            rows_times_panels(g, t, row, rows, p, panels, k0 + t.kc == k, &next);
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
