/* attention, fast: softmax(scale · q kᵀ + b) v as two matrix products over the f32 micro-kernel of the
   GEMM. A tile is one head of one window (or segment) and up to 96 query rows. It lists the rows that
   see each other, packs the head's keys and values once, both as panels of eight columns, so that any
   head_dim works and no load leaves the head:
       keys    [tokens/8][head_dim][8]   transposed: a panel holds eight keys
       values  [head_dim/8][tokens][8]
   and then takes six query rows at a time: a strip of finished scores [6, tokens] in scratch, the
   softmax over it (maximum subtracted, the exp of vmath.h), strip · values. The row map (window.h)
   lives in list_rows alone: strides and lists would list other rows there, as stripes do. Causal rows
   score and mix the keys up to the strip's last row only, and what lies behind a row's own place weighs
   zero: its result does not depend on how many rows follow. A position bias is spread
   out once for all windows [heads][tokens][tokens/8·8] in a phase before, so that it is added in
   whole vectors; the mask of a shifted map touches the last windows only.
   Limit: the f32 peak of the micro-kernel, plus one exp a score (~1 ns); packing costs a hundredth
   of the products, in windows of 7 × 7 a fiftieth. */
#include <string.h>

#include "kernels/simd128/gemm_f32_tile.h"
#include "kernels/simd128/softmax_row.h"
#include "kernels/window.h"

enum { QUERIES = 96, STRIP = WF_TILE_ROWS, PANEL = 8 };

typedef struct geometry {
    uint32_t tokens, padded_tokens; /* keys of a window; rounded up to a panel */
    uint32_t dim, padded_dim, heads, kv_heads;
} geometry;

static geometry geometry_of(const wf_op_call *call, const wf_windows *w) {
    const wf_shape *others = &call->in[1].shape;
    geometry g = {.tokens = others->c != 0 ? others->h * others->w : w->cells, .dim = call->p->head_dim, .heads = call->p->heads};
    g.padded_tokens = wf_round_up(g.tokens, PANEL);
    g.padded_dim = wf_round_up(g.dim, PANEL);
    g.kv_heads = wf_kv_heads(call->p);
    return g;
}

/* Phase 0 spreads the bias out, a head a tile. */
static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    return phase == 0 ? (call->w[0].n != 0 ? call->p->heads : 0) : wf_window_tiles(call, QUERIES);
}

static size_t workspace_bytes(const wf_op_call *call) {
    wf_windows w = wf_windows_of(call, 0);
    geometry g = geometry_of(call, &w);
    return call->w[0].n != 0 ? sizeof(float) * g.heads * g.tokens * g.padded_tokens : 0;
}

/* A thread's memory, in this order. */
typedef struct strips {
    const float **rows; /* [listed] what the queries have */
    const float **keys_of, **values_of; /* [listed] what the tokens that they see have for k and for v */
    uint32_t *out;      /* [listed] the rows of their results, or WF_WINDOW_PADDING */
    int32_t *side;      /* [listed] tokens of different sides do not see each other */
    float *queries;     /* [6, padded_dim] */
    float *keys;        /* [padded_tokens/8][dim][8] */
    float *values;      /* [padded_dim/8][tokens][8] */
    float *scores;      /* [6, padded_tokens] */
    float *mixed;       /* [6, padded_dim] */
    float *zeros;       /* [width · 3] of padding without a bias */
} strips;

/* A window's tokens, or the keys and a block of queries. */
static size_t listed_tokens(const geometry *g) { return g->padded_tokens > QUERIES ? g->padded_tokens : QUERIES; }

static strips strips_of(const geometry *g, void *scratch) {
    size_t tokens = g->padded_tokens, listed = listed_tokens(g);
    strips s = {.rows = scratch};
    s.keys_of = s.rows + listed;
    s.values_of = s.keys_of + listed;
    s.out = (uint32_t *)(void *)(s.values_of + listed);
    s.side = (int32_t *)(s.out + listed);
    s.queries = (float *)(void *)(s.side + listed);
    s.keys = s.queries + STRIP * g->padded_dim;
    s.values = s.keys + tokens * g->dim;
    s.scores = s.values + (size_t)g->tokens * g->padded_dim;
    s.mixed = s.scores + STRIP * tokens;
    s.zeros = s.mixed + STRIP * g->padded_dim;
    return s;
}

static size_t half_scratch(const wf_op_call *call, uint32_t half) {
    wf_windows w = wf_windows_of(call, half);
    geometry g = geometry_of(call, &w);
    size_t tokens = g.padded_tokens, zeros = call->p->window_h != 0 ? call->in[0].shape.c : 0;
    return listed_tokens(&g) * (3 * sizeof(float *) + sizeof(uint32_t) + sizeof(int32_t)) +
           sizeof(float) * (STRIP * (2 * (size_t)g.padded_dim + tokens) + tokens * g.dim + (size_t)g.tokens * g.padded_dim + zeros);
}

static size_t scratch_bytes(const wf_op_call *call) {
    size_t a = half_scratch(call, 0), b = half_scratch(call, wf_window_halves(call->p) - 1);
    return a > b ? a : b;
}

/* bias[i][j] of one head, spread out of the table. */
static void spread(const wf_op_call *call, uint32_t head) {
    wf_windows w = wf_windows_of(call, 0);
    geometry g = geometry_of(call, &w);
    float *bias = (float *)call->workspace + (size_t)head * g.tokens * g.padded_tokens;
    uint32_t across = w.h.window, wide = 2 * across - 1;
    size_t stride = wf_round_up(g.heads, WF_LANES);
    for (uint32_t i = 0; i < g.tokens; i++, bias += g.padded_tokens) {
        for (uint32_t j = 0; j < g.padded_tokens; j++) {
            uint32_t at = (i / across + w.v.window - 1 - j / across) * wide + i % across + across - 1 - j % across;
            bias[j] = j < g.tokens ? ((const float *)call->w[0].data)[at * stride + head] : 0;
        }
    }
}

/* The tokens of the tile's window. A padded cell has the bias of the layer in front as its row. */
static void list_rows(const wf_op_call *call, const geometry *g, const strips *s, const wf_window_tile *tile) {
    const wf_windows *w = &tile->w;
    uint32_t top = tile->window / w->h.count, left = tile->window % w->h.count;
    uint32_t first = tile->segment * w->v.extent * w->h.extent, j = 0;
    const float *padding = call->w[1].data;
    if (padding == NULL && call->p->window_h != 0) {
        memset(s->zeros, 0, call->in[0].shape.c * sizeof(float));
        padding = s->zeros;
    }
    for (uint32_t y = 0; y < w->v.window; y++) {
        uint32_t row = wf_window_cell(&w->v, top * w->v.window + y);
        for (uint32_t x = 0; x < w->h.window; x++, j++) {
            uint32_t column = wf_window_cell(&w->h, left * w->h.window + x);
            bool inside = row != WF_WINDOW_PADDING && column != WF_WINDOW_PADDING;
            s->out[j] = inside ? first + row * w->h.extent + column : WF_WINDOW_PADDING;
            s->rows[j] = inside ? wf_row_f32(&call->in[0], s->out[j]) : padding;
            s->keys_of[j] = s->rows[j] + (size_t)g->heads * g->dim;
            s->values_of[j] = s->keys_of[j] + (size_t)g->kv_heads * g->dim;
            s->side[j] = (int32_t)(2 * wf_window_side(&w->v, top, y) + wf_window_side(&w->h, left, x));
        }
    }
    for (; j < g->padded_tokens; j++) {
        s->side[j] = 0;
    }
}

/* The tile's queries of a segment, and the rows of in1 (and in2) that all of them see. */
static void list_others(const wf_op_call *call, const geometry *g, const strips *s, const wf_window_tile *tile) {
    for (uint32_t i = tile->first; i < tile->end; i++) {
        s->out[i - tile->first] = tile->segment * tile->w.cells + i;
        s->rows[i - tile->first] = wf_row_f32(&call->in[0], s->out[i - tile->first]);
    }
    for (uint32_t j = 0, row = tile->segment * g->tokens; j < g->tokens; j++, row++) {
        s->keys_of[j] = wf_row_f32(&call->in[1], row);
        s->values_of[j] = call->in[2].data != NULL ? wf_row_f32(&call->in[2], row) : s->keys_of[j] + (size_t)g->kv_heads * g->dim;
    }
}

/* The first `tokens` keys and values for a head of queries. */
static void pack_head(const geometry *g, const strips *to, uint32_t head, uint32_t tokens) {
    const size_t at = (size_t)(head / (g->heads / g->kv_heads)) * g->dim;
    float *keys = to->keys;
    for (uint32_t j = 0; j < tokens; j += PANEL) {
        for (uint32_t i = 0; i < g->dim; i += 4, keys += 4 * PANEL) {
            uint32_t columns = wf_min_u32(4, g->dim - i);
            WF_UNROLL
            for (uint32_t half = 0; half < PANEL; half += 4) {
                v128_t block[4];
                WF_EACH(r, 4) {
                    uint32_t row = j + half + r;
                    block[r] = row < tokens ? wf_load_part(to->keys_of[row] + at, i, g->dim) : wasm_f32x4_splat(0);
                }
                wf_transpose4(block);
                for (uint32_t r = 0; r < columns; r++) {
                    wasm_v128_store(keys + r * PANEL + half, block[r]);
                }
            }
        }
        keys -= (wf_round_up(g->dim, 4) - g->dim) *
                PANEL; /* the last step of a panel wrote `columns` lines only */
    }
    for (uint32_t i = 0; i < g->dim; i += PANEL) {
        float *values = to->values + (size_t)i * g->tokens;
        uint32_t left = g->dim - i;
        for (uint32_t j = 0; j < tokens; j++, values += PANEL) {
            const float *row = to->values_of[j] + at + i;
            wasm_v128_store(values, wf_load_part(row, 0, left));
            wasm_v128_store(values + 4, left > 4 ? wf_load_part(row, 4, left) : wasm_f32x4_splat(0));
        }
    }
}

/* scores[j] = scale · scores[j] + bias[j], and the mask for keys of another side. bias NULL: zeros. */
static void add_bias(const geometry *g, const strips *s, float *scores, const float *bias, int32_t side, float scale) {
    for (uint32_t j = 0; j < g->padded_tokens; j += 4) {
        v128_t x = wasm_f32x4_mul(wasm_v128_load(scores + j), wasm_f32x4_splat(scale));
        v128_t apart = wasm_i32x4_ne(wasm_v128_load(s->side + j), wasm_i32x4_splat(side));
        if (bias != NULL) {
            x = wasm_f32x4_add(x, wasm_v128_load(bias + j));
        }
        wasm_v128_store(scores + j, wasm_f32x4_add(x, wasm_v128_and(apart, wasm_f32x4_splat(WF_WINDOW_MASK))));
    }
}

/* Up to six of the listed queries, from `first` on; `place`: of the first in its window. */
static void attend(const wf_op_call *call, const geometry *g, const strips *s, uint32_t head, uint32_t first, uint32_t place, uint32_t rows) {
    bool causal = call->p->causal != 0;
    uint32_t tokens = causal ? place + rows : g->tokens, padded = wf_round_up(tokens, PANEL); /* that any of these rows sees */
    wf_f32_tile t = {.a = s->queries, .lda = g->padded_dim, .ldc = g->padded_tokens, .kc = g->dim, .first = true,
                     .b = s->keys, .panel = (size_t)PANEL * g->dim, .c = s->scores, .more = padded / PANEL - 1};
    for (uint32_t r = 0; r < rows; r++) {
        memcpy(s->queries + (size_t)r * g->padded_dim, s->rows[first + r] + (size_t)head * g->dim, g->dim * sizeof(float));
    }
    wf_gemm_f32_tile(&t, rows, 1);
    float inverse[STRIP], scale = call->p->scale;
    bool plain = call->w[0].n == 0 && call->p->shift_h + call->p->shift_w == 0;
    const float *bias = call->w[0].n != 0 ? (const float *)call->workspace + ((size_t)head * g->tokens + first) * g->padded_tokens : NULL;
    for (uint32_t r = 0; r < rows; r++) {
        float *scores = s->scores + (size_t)r * g->padded_tokens;
        if (!plain) {
            add_bias(g, s, scores, bias != NULL ? bias + (size_t)r * g->padded_tokens : NULL, s->side[first + r], scale);
        }
        inverse[r] = wf_softmax_row(scores, causal ? place + r + 1 : tokens, padded, plain ? scale : 1);
    }
    wf_f32_tile m = {.a = s->scores, .lda = g->padded_tokens, .ldc = g->padded_dim, .kc = tokens, .first = true,
                     .b = s->values, .panel = (size_t)PANEL * g->tokens, .c = s->mixed, .more = g->padded_dim / PANEL - 1};
    wf_gemm_f32_tile(&m, rows, 1);
    for (uint32_t r = 0; r < rows; r++) {
        if (s->out[first + r] == WF_WINDOW_PADDING) {
            continue;
        }
        float *y = wf_row_f32(&call->out, s->out[first + r]);
        wf_scale_part(y + (size_t)head * g->dim, s->mixed + (size_t)r * g->padded_dim, inverse[r], NULL, g->dim);
        if (head + 1 == g->heads) {
            memset(y + call->out.shape.c, 0, (wf_shape_stride(&call->out.shape) - call->out.shape.c) * sizeof *y);
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    if (phase == 0) {
        spread(call, tile);
        return;
    }
    wf_window_tile t = wf_window_tile_of(call, QUERIES, tile);
    geometry g = geometry_of(call, &t.w);
    strips s = strips_of(&g, scratch);
    bool others = call->in[1].data != NULL;
    if (others) {
        list_others(call, &g, &s, &t);
    } else {
        list_rows(call, &g, &s, &t);
    }
    pack_head(&g, &s, t.head, call->p->causal ? t.end : g.tokens);
    for (uint32_t i = t.first; i < t.end; i += STRIP) {
        attend(call, &g, &s, t.head, others ? i - t.first : i, i, wf_min_u32(STRIP, t.end - i));
    }
}

extern const wf_op_impl wf_attention_simd;
const wf_op_impl wf_attention_simd = {2, tiles, run, scratch_bytes, workspace_bytes};
