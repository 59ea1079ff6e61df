/* Codec Q8_0 with int8 activations. Each row of A is quantized with one step (kernels/quantize.h);
   per block of 32 the sum Σ qx·qw is an exact integer, so that
       C[i, j] = step[i] · Σ_blocks d[j, block] · (Σ qx·qw)
   is the same to the last bit however the integers come about (gemm_q8_0_tile.c): the blocks are
   added in their order, in float. Blocking as in gemm_blocked.c; the step is applied with the
   epilogue. Cost: m · n · k integer multiply–adds, and about 0.3 ns an element of A to quantize. */
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_epilogue.h"
#include "kernels/simd128/gemm_q8_0_tile.h"
#include "kernels/simd128/quantize_row.h"

/* Rows that are quantized together, and blocks of 32 in a block of K: 8 KiB of widened panel and 5
   rows of A, 5 KiB, share the L1 cache. */
enum { ROWS = 96, KC_BLOCKS = 16 };

/* Parts of the scratch memory, each 64-byte aligned. */
typedef struct parts {
    float *steps;             /* [rows] */
    wf_q8_0_wide_block *wide; /* [KC_BLOCKS] */
    char *q;                  /* [rows, lda] */
    size_t lda;               /* bytes, for int16 at least */
} parts;

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    return ROWS * sizeof(float) + KC_BLOCKS * sizeof(wf_q8_0_wide_block) +
           (size_t)least(m, ROWS) * 2 * wf_round_up(k, WF_Q8_K);
}

static parts parts_of(void *scratch, wf_dot dot, uint32_t k) {
    parts p = {.steps = scratch};
    p.wide = (wf_q8_0_wide_block *)((char *)scratch + ROWS * sizeof(float));
    p.q = (char *)(p.wide + KC_BLOCKS);
    p.lda = wf_quantized_row_bytes(dot, wf_round_up(k, WF_Q8_K));
    return p;
}

/* All rows of the block against the panel at t->b; rows are dealt out evenly to tiles (two: one by one). */
static void rows_times_panel(wf_q8_0_tile t, wf_dot dot, uint32_t rows) {
    uint32_t most = wf_q8_0_tile_rows(dot), tiles = rows == 2 ? 2 : (rows + most - 1) / most;
    for (uint32_t i = 0; i < tiles; i++) {
        uint32_t count = rows / tiles + (i < rows % tiles ? 1 : 0);
        wf_gemm_q8_0_tile(&t, dot, count, 1);
        t.a = (const char *)t.a + count * t.lda;
        t.c += count * t.ldc;
    }
}

static void row_block(const wf_gemm *g, wf_dot dot, uint32_t row, uint32_t rows) {
    const uint32_t all = wf_q8_0_blocks(g->w->k), panel_end = (g->n1 + WF_PANEL - 1) / WF_PANEL;
    const bool widen = dot == WF_DOT_I16 && rows > wf_q8_0_tile_rows(dot);
    parts s = parts_of(g->scratch, dot, g->w->k);
    for (uint32_t i = 0; i < rows; i++) {
        s.steps[i] = wf_quantize_row(dot, g->a + (size_t)(row + i) * g->lda, all * WF_Q8_K, s.q + i * s.lda);
    }
    const uint32_t most = widen ? KC_BLOCKS : all;
    for (uint32_t first = 0; first < all; first += most) {
        wf_q8_0_tile t = {.a = s.q + wf_quantized_row_bytes(dot, first * WF_Q8_K), .lda = s.lda, .panel = all,
                          .ldc = g->ldc, .blocks = least(most, all - first), .first = first == 0};
        for (uint32_t p = g->n0 / WF_PANEL; p < panel_end; p++) {
            t.b = wf_q8_0_panel(g->w, p) + first;
            t.c = g->c + (size_t)row * g->ldc + (size_t)p * WF_PANEL;
            if (widen) {
                wf_q8_0_widen(t.b, t.blocks, s.wide);
                t.wide = s.wide;
            }
            rows_times_panel(t, dot, rows);
            if (first + t.blocks == all) {
                wf_gemm_epilogue(g, row, rows, p * WF_PANEL, WF_PANEL, s.steps);
            }
        }
    }
    if (g->n1 == g->w->n) {
        wf_gemm_zero_lanes(g, row, rows);
    }
}

/* One row: two panels at once, and those half of all apart, so that the weights come in two long streams. One leaves the memory of some
   CPUs idle, and what jumps every few KB is not read ahead (README.md, "One row"). */
static void one_row(const wf_gemm *g, wf_dot dot) {
    const uint32_t all = wf_q8_0_blocks(g->w->k), first = g->n0 / WF_PANEL, panels = (g->n1 + WF_PANEL - 1) / WF_PANEL - first;
    const uint32_t half = (panels + 1) / 2;
    parts s = parts_of(g->scratch, dot, g->w->k);
    s.steps[0] = wf_quantize_row(dot, g->a, all * WF_Q8_K, s.q);
    wf_q8_0_tile t = {.a = s.q, .panel = (size_t)half * all, .apart = (size_t)half * WF_PANEL, .blocks = all, .first = true};
    for (uint32_t p = 0; p < half; p++) {
        t.b = wf_q8_0_panel(g->w, first + p);
        t.c = g->c + (size_t)(first + p) * WF_PANEL;
        wf_gemm_q8_0_tile(&t, dot, 1, p + half < panels ? 2 : 1);
    }
    wf_gemm_epilogue(g, 0, 1, g->n0, panels * WF_PANEL, s.steps);
    if (g->n1 == g->w->n) {
        wf_gemm_zero_lanes(g, 0, 1);
    }
}

static void gemm(const wf_gemm *g) {
    wf_dot dot = wf_dot_current() == WF_DOT_PAIRS ? WF_DOT_I16 : wf_dot_current(); /* weights are what the file's writer made them */
    if (g->m == 1) {
        one_row(g, dot);
        return;
    }
    uint32_t blocks = (g->m + ROWS - 1) / ROWS;
    for (uint32_t i = 0, row = 0; i < blocks; i++) {
        uint32_t rows = g->m / blocks + (i < g->m % blocks ? 1 : 0);
        row_block(g, dot, row, rows);
        row += rows;
    }
}

const wf_codec wf_codec_q8_0_int8 = {WF_Q8_0, true, wf_q8_0_packed_bytes, wf_q8_0_pack, scratch_bytes, gemm};
