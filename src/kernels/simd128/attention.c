/* attention, fast: softmax(scale · q kᵀ) v as two matrix products over the f32 micro-kernel of the
   GEMM. A tile is one head of one segment and up to 96 query rows. It packs the head's keys and
   values once, both as panels of eight columns, so that any head_dim works and no load leaves the
   head:
       keys    [tokens/8][head_dim][8]   transposed: a panel holds eight keys
       values  [head_dim/8][tokens][8]
   and then takes six query rows at a time: a strip of finished scores [6, tokens] in scratch, the
   softmax over it (maximum subtracted, the exp of vmath.h), strip · values. The row map ("all rows
   of my segment") lives in pack_head alone: a window or a list packs other rows there.
   Limit: the f32 peak of the micro-kernel, plus one exp a score (~1 ns); packing costs a hundredth
   of the products. */
#include <string.h>

#include "kernels/simd128/gemm_f32_tile.h"
#include "kernels/simd128/softmax_row.h"

enum { QUERIES = 96, STRIP = WF_TILE_ROWS, PANEL = 8 };

typedef struct geometry {
    uint32_t tokens, padded_tokens; /* of a segment; rounded up to a panel */
    uint32_t dim, padded_dim;
    uint32_t blocks; /* of query rows in a segment */
} geometry;

static geometry geometry_of(const wf_op_call *call) {
    const wf_shape *s = &call->in[0].shape;
    uint32_t tokens = s->h * s->w, dim = call->p->head_dim;
    geometry g = {tokens, wf_round_up(tokens, PANEL), dim, wf_round_up(dim, PANEL),
                  wf_ceil_div(tokens, QUERIES)};
    return g;
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->in[0].shape.n * call->p->heads * geometry_of(call).blocks;
}

/* A thread's memory, in this order. */
typedef struct strips {
    float *keys;   /* [padded_tokens/8][dim][8] */
    float *values; /* [padded_dim/8][tokens][8] */
    float *scores; /* [6, padded_tokens] */
    float *mixed;  /* [6, padded_dim] */
} strips;

static strips strips_of(const geometry *g, void *scratch) {
    strips s = {.keys = scratch};
    s.values = s.keys + (size_t)g->padded_tokens * g->dim;
    s.scores = s.values + (size_t)g->tokens * g->padded_dim;
    s.mixed = s.scores + (size_t)STRIP * g->padded_tokens;
    return s;
}

static size_t scratch_bytes(const wf_op_call *call) {
    geometry g = geometry_of(call);
    return sizeof(float) * ((size_t)g.padded_tokens * g.dim + (size_t)g.tokens * g.padded_dim +
                            (size_t)STRIP * (g.padded_tokens + g.padded_dim));
}

/* Lanes 0 … count−1 of the four floats at x, the rest zero, without touching memory behind them. */
WF_INLINE v128_t load_part(const float *x, uint32_t count) {
    if (count >= 4) {
        return wasm_v128_load(x);
    }
    float part[4] = {0, 0, 0, 0};
    memcpy(part, x, count * sizeof *x);
    return wasm_v128_load(part);
}

/* k, v: the head's first key and value row; rows are `stride` floats apart. */
static void pack_head(const geometry *g, const float *k, const float *v, uint32_t stride, const strips *to) {
    float *keys = to->keys;
    for (uint32_t j = 0; j < g->padded_tokens; j += PANEL) {
        for (uint32_t i = 0; i < g->dim; i += 4, keys += 4 * PANEL) {
            uint32_t columns = wf_min_u32(4, g->dim - i);
            for (uint32_t half = 0; half < PANEL; half += 4) {
                v128_t block[4];
                for (uint32_t r = 0; r < 4; r++) {
                    uint32_t row = j + half + r;
                    block[r] = row < g->tokens ? load_part(k + (size_t)row * stride + i, columns)
                                               : wasm_f32x4_splat(0);
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
    float *values = to->values;
    for (uint32_t i = 0; i < g->dim; i += PANEL) {
        uint32_t left = g->dim - i;
        for (uint32_t j = 0; j < g->tokens; j++, values += PANEL) {
            const float *row = v + (size_t)j * stride + i;
            wasm_v128_store(values, load_part(row, left));
            wasm_v128_store(values + 4, left > 4 ? load_part(row + 4, left - 4) : wasm_f32x4_splat(0));
        }
    }
}

/* Up to six query rows q [rows, stride] → y [rows, out_stride]. */
static void attend(const geometry *g, const strips *s, const float *q, uint32_t stride, float *y,
                   uint32_t out_stride, uint32_t rows, float scale) {
    wf_f32_tile t = {.a = q, .lda = stride, .ldc = g->padded_tokens, .kc = g->dim, .first = true};
    for (uint32_t j = 0; j < g->padded_tokens; j += PANEL) {
        t.b = s->keys + (size_t)j * g->dim;
        t.c = s->scores + j;
        wf_gemm_f32_tile(&t, rows, 1);
    }
    float inverse[STRIP];
    for (uint32_t r = 0; r < rows; r++) {
        inverse[r] =
            wf_softmax_row(s->scores + (size_t)r * g->padded_tokens, g->tokens, g->padded_tokens, scale);
    }
    wf_f32_tile m = {
        .a = s->scores, .lda = g->padded_tokens, .ldc = g->padded_dim, .kc = g->tokens, .first = true};
    for (uint32_t i = 0; i < g->padded_dim; i += PANEL) {
        m.b = s->values + (size_t)i * g->tokens;
        m.c = s->mixed + i;
        wf_gemm_f32_tile(&m, rows, 1);
    }
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < g->dim; i++) {
            y[(size_t)r * out_stride + i] = s->mixed[(size_t)r * g->padded_dim + i] * inverse[r];
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    geometry g = geometry_of(call);
    strips s = strips_of(&g, scratch);
    uint32_t heads = call->p->heads, block = tile % g.blocks, head = tile / g.blocks % heads;
    uint32_t first = tile / g.blocks / heads * g.tokens; /* first row of the segment */
    uint32_t width = heads * g.dim, stride = wf_shape_stride(&call->in[0].shape);
    uint32_t out_stride = wf_shape_stride(&call->out.shape);
    const float *k = wf_row_f32(&call->in[0], first) + width + head * g.dim;
    pack_head(&g, k, k + width, stride, &s);
    uint32_t end = first + wf_min_u32((block + 1) * QUERIES, g.tokens);
    for (uint32_t row = first + block * QUERIES; row < end; row += STRIP) {
        uint32_t rows = wf_min_u32(STRIP, end - row);
        float *y = wf_row_f32(&call->out, row);
        attend(&g, &s, wf_row_f32(&call->in[0], row) + head * g.dim, stride, y + head * g.dim, out_stride,
               rows, call->p->scale);
        for (uint32_t r = 0; head + 1 == heads && r < rows; r++) {
            memset(y + (size_t)r * out_stride + width, 0, (out_stride - width) * sizeof *y);
        }
    }
}

extern const wf_op_impl wf_attention_simd;
const wf_op_impl wf_attention_simd = {1, tiles, run, scratch_bytes, NULL};
