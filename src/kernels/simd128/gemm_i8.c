/* C = A · Wᵀ for an I8 matrix. All of k runs in registers; a block of 64 to 256 columns of W stays in the L1 or L2 cache
   while the rows of the tile pass, six at a time, and their sums go through the epilogue at once. Rows of floats are quantized
   first; rows of bytes are read in place where the CPU's dot takes unsigned bytes. The sums are exact integers, so that
   neither the lowering nor any blocking changes a bit. Cost: m · n · k multiply–adds, and the epilogue. */
#include <string.h>

#include "kernels/simd128/byte_rows.h"
#include "kernels/simd128/codecs.h"
#include "kernels/simd128/gemm_i8_epilogue.h"
#include "kernels/simd128/gemm_i8_tile.h"
#include "kernels/simd128/i8_panel.h"

enum { ROWS = 96, TILE_ROWS = 6, ROW_UNIT = 16 };

/* Parts of the scratch memory, each 64-byte aligned. */
typedef struct parts {
    float *row_steps;      /* [ROWS] */
    int32_t *sums;         /* [TILE_ROWS, WF_I8_COLUMNS] */
    wf_i8_factors *factors;
    int16_t *wide;         /* [panels of a block] */
    uint8_t *bytes;        /* [k]: a row on its way to int16 */
    char *form;            /* [rows, lda] */
    size_t lda;            /* bytes */
} parts;

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Lowerings that are no dot of four bytes. */
static bool sums_in_two_steps(wf_dot dot) { return dot == WF_DOT_I16 || dot == WF_DOT_PAIRS; }

/* Columns of a block: many, since C is written in pieces of as many (3136 × 64 × 256: 27 GMAC/s with 64, 34 with 256), but the block stays
   near: widened in half of a small L2 cache, bytes in L1. */
static uint32_t block_columns(wf_dot dot, uint32_t k) {
    if (!sums_in_two_steps(dot)) {
        return k <= 256 ? 128 : 64;
    }
    return k <= 256 ? 256 : k <= 512 ? 128 : 64;
}

static size_t wide_bytes(uint32_t k) {
    return block_columns(WF_DOT_I16, k) / WF_PANEL * wf_i8_wide_count(wf_i8_groups(k)) * sizeof(int16_t);
}

static size_t scratch_bytes(uint32_t m, uint32_t k) {
    const size_t k32 = wf_round_up(k, WF_LANES);
    return ROWS * sizeof(float) + TILE_ROWS * WF_I8_COLUMNS * sizeof(int32_t) + sizeof(wf_i8_factors) + wide_bytes(k) + k32 +
           least(m, ROWS) * 2 * k32;
}

static parts parts_of(void *scratch, wf_dot dot, uint32_t k) {
    const uint32_t k32 = wf_round_up(k, WF_LANES);
    parts p = {.row_steps = scratch};
    p.sums = (int32_t *)(p.row_steps + ROWS);
    p.factors = (wf_i8_factors *)(p.sums + TILE_ROWS * WF_I8_COLUMNS);
    p.wide = (int16_t *)(p.factors + 1);
    p.bytes = (uint8_t *)p.wide + wide_bytes(k);
    p.form = (char *)p.bytes + k32;
    p.lda = wf_form_bytes(dot, k32);
    return p;
}

/* Rows row … of A in the form that the dot reads: t->a, t->lda. */
static void prepare_rows(const wf_gemm *g, wf_dot dot, uint32_t row, uint32_t rows, const parts *s, wf_i8_tile *t) {
    const wf_gemm_i8 *x = g->i8;
    const uint32_t k32 = wf_round_up(g->w->k, WF_LANES);
    const int32_t zero = x->is_static ? x->in.zero : 128;
    if (x->a != NULL && wf_form_is_bytes(dot)) {
        t->a = x->a + (size_t)row * g->lda;
        t->lda = g->lda;
        return;
    }
    t->a = s->form;
    t->lda = s->lda;
    for (uint32_t i = 0; i < rows; i++) {
        char *to = s->form + i * s->lda;
        const uint8_t *u = x->a != NULL ? x->a + (size_t)(row + i) * g->lda : NULL;
        if (u == NULL) {
            uint8_t *bytes = dot == WF_DOT_I16 ? s->bytes : (uint8_t *)to;
            const float *a = g->a + (size_t)(row + i) * g->lda;
            if (x->is_static) {
                wf_bytes_static(&x->in, a, k32, bytes);
            } else {
                s->row_steps[i] = wf_bytes_dynamic(a, k32, bytes);
            }
            u = bytes;
        }
        if (!wf_form_is_bytes(dot)) {
            wf_form_row(dot, u, k32, zero, to);
        }
    }
}

/* Rows are dealt out evenly to tiles (two: one by one); a row alone takes several panels at once. */
static void rows_times_block(const wf_gemm *g, const wf_i8_tile *all, wf_dot dot, uint32_t row, uint32_t rows, uint32_t column,
                             uint32_t columns, const parts *s) {
    const uint32_t panels = least(columns / WF_PANEL, wf_i8_panels(g->w->n) - column / WF_PANEL);
    const uint32_t most = wf_i8_tile_rows(dot), tiles = rows == 2 ? 2 : (rows + most - 1) / most;
    const uint32_t group = rows <= 2 ? wf_i8_tile_panels(dot) : 1;
    const bool dynamic = !g->i8->is_static;
    wf_i8_tile t = *all;
    t.ldc = WF_I8_COLUMNS;
    for (uint32_t i = 0, done = 0; i < tiles; i++) {
        const uint32_t count = rows / tiles + (i < rows % tiles ? 1 : 0);
        for (uint32_t p = 0, some; p < panels; p += some * t.repeat) {
            some = panels - p >= group ? group : 1;
            t.repeat = (panels - p) / some;
            t.b = all->b + p * all->panel;
            t.wide = all->wide != NULL ? all->wide + p * wf_i8_wide_count(t.groups) : NULL;
            t.start = s->factors->start + p * WF_PANEL;
            t.c = s->sums + p * WF_PANEL;
            wf_gemm_i8_tile(&t, dot, count, some);
        }
        wf_i8_epilogue(g, s->factors, row + done, count, column, columns, s->sums, dynamic ? s->row_steps + done : NULL);
        t.a = (const char *)t.a + count * t.lda;
        done += count;
    }
}

static void row_block(const wf_gemm *g, wf_dot dot, uint32_t row, uint32_t rows) {
    const uint32_t k = g->w->k, end = g->n1 == g->w->n ? g->ldc : g->n1;
    parts s = parts_of(g->scratch, dot, k);
    wf_i8_tile t = {.groups = wf_i8_groups(k), .panel = wf_i8_panel_bytes(k)};
    prepare_rows(g, dot, row, rows, &s, &t);
    for (uint32_t i = 0; i < TILE_ROWS * WF_I8_COLUMNS; i++) {
        s.sums[i] = 0; /* of panels that do not exist */
    }
    const uint32_t most = block_columns(dot, k);
    for (uint32_t column = g->n0; column < end; column += most) {
        const uint32_t columns = least(most, end - column), panels = wf_i8_panels(g->w->n);
        wf_i8_factors_make(g, column, columns, wf_form_offset(dot, g->i8->is_static ? g->i8->in.zero : 128), s.factors);
        t.b = wf_i8_panel(g->w, column / WF_PANEL);
        t.wide = NULL;
        if (dot == WF_DOT_I16 && rows > wf_i8_tile_rows(dot)) {
            for (uint32_t p = column / WF_PANEL; p < panels && p < (column + columns) / WF_PANEL; p++) {
                wf_i8_widen(wf_i8_panel(g->w, p), t.groups, s.wide + (p - column / WF_PANEL) * wf_i8_wide_count(t.groups));
            }
            t.wide = s.wide;
        }
        rows_times_block(g, &t, dot, row, rows, column, columns, &s);
    }
}

/* One row by 16-bit sums or products: two panels at once, and those half of all columns apart, so that the weights come in two long streams
   (README.md, "One row"). */
static void one_row(const wf_gemm *g, wf_dot dot) {
    const uint32_t k = g->w->k, end = (g->n1 == g->w->n ? g->ldc : g->n1) - g->n0, most = block_columns(dot, k);
    const uint32_t half = wf_round_up((end + 1) / 2, ROW_UNIT), all = wf_i8_panels(g->w->n);
    const size_t size = wf_i8_panel_bytes(k);
    parts s = parts_of(g->scratch, dot, k);
    int32_t *sums[2] = {s.sums, s.sums + WF_I8_COLUMNS}, *start[2] = {s.sums + 2 * WF_I8_COLUMNS, s.sums + 3 * WF_I8_COLUMNS};
    wf_i8_tile t = {.groups = wf_i8_groups(k), .repeat = 1};
    prepare_rows(g, dot, 0, 1, &s, &t);
    const int32_t offset = wf_form_offset(dot, g->i8->is_static ? g->i8->in.zero : 128);
    const float *steps = g->i8->is_static ? NULL : s.row_steps;
    for (uint32_t x = 0; x < half && x < end; x += most) {
        const uint32_t at[2] = {g->n0 + x, g->n0 + half + x};
        uint32_t columns[2] = {least(least(most, half - x), end - x), 0}, panels[2];
        columns[1] = half + x < end ? least(columns[0], end - half - x) : 0;
        for (int i = 0; i < 2; i++) {
            panels[i] = at[i] / WF_PANEL < all ? least(columns[i] / WF_PANEL, all - at[i] / WF_PANEL) : 0;
            wf_i8_factors_make(g, at[i], columns[i], offset, s.factors);
            memcpy(start[i], s.factors->start, columns[i] * sizeof(int32_t));
            memset(sums[i], 0, columns[i] * sizeof(int32_t)); /* of panels that do not exist */
        }
        for (uint32_t p = 0; p < panels[0]; p++) {
            const uint32_t pair = p < panels[1] ? 2 : 1;
            int32_t begin[2 * WF_PANEL], out[2 * WF_PANEL];
            for (uint32_t i = 0; i < pair; i++) {
                memcpy(begin + i * WF_PANEL, start[i] + p * WF_PANEL, WF_PANEL * sizeof(int32_t));
            }
            t.b = wf_i8_panel(g->w, at[0] / WF_PANEL + p);
            t.panel = (size_t)(half / WF_PANEL) * size;
            t.start = begin;
            t.c = out;
            wf_gemm_i8_tile(&t, dot, 1, pair);
            for (uint32_t i = 0; i < pair; i++) {
                memcpy(sums[i] + p * WF_PANEL, out + i * WF_PANEL, WF_PANEL * sizeof(int32_t));
            }
        }
        for (int i = 1; i >= 0; i--) { /* the factors of the second block are there */
            if (i == 0) {
                wf_i8_factors_make(g, at[0], columns[0], offset, s.factors);
            }
            wf_i8_epilogue(g, s.factors, 0, 1, at[i], columns[i], sums[i], steps);
        }
    }
}

/* The CPU's lowering, where it is exact for the weights of these columns. */
static wf_dot dot_for(const wf_gemm *g) {
    const wf_dot dot = wf_dot_current();
    const int32_t *large = wf_i8_large(g->w);
    for (uint32_t p = g->n0 / WF_PANEL; dot == WF_DOT_PAIRS && p * WF_PANEL < g->n1; p++) {
        if (large[p] != 0) {
            return WF_DOT_I16;
        }
    }
    return dot;
}

static void gemm(const wf_gemm *g) {
    wf_dot dot = dot_for(g);
    if (g->m == 1 && sums_in_two_steps(dot)) {
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

const wf_codec wf_codec_i8 = {WF_I8, true, wf_i8_packed_bytes, wf_i8_pack, scratch_bytes, gemm};
