/* sla, fast: both products over the f32 micro-kernel of the GEMM, O(tokens).
   Phase 0, a tile is one head of one segment: blocks of 64 tokens are packed, the keys transposed, the values as panels of eight
   columns with a column of ones behind, so that Σ k⁺ᵀ v and Σ k⁺ are one product, which lands in the workspace as panels
   [(dim + 1)/8][dim][8], the form that the other product reads.
   Phase 1, a tile is one row of the map: q⁺ of a few cells times those panels gives numerator and denominator; then the window.
   Limit: the micro-kernel's peak for the products (13 % of them for the ones when dim is 64), two loads a multiply–add in the
   window. */
#include <string.h>

#include "kernels/simd128/gemm_f32_tile.h"
#include "kernels/simd128/rows.h"

enum { BLOCK = 64, PANEL = 8 };

typedef struct geometry {
    uint32_t tokens, dim, padded, panels, width, stride, positions;
} geometry;

static geometry geometry_of(const wf_op_call *call) {
    const wf_shape *s = &call->in[0].shape;
    const uint32_t dim = call->p->head_dim, width = call->p->heads * dim;
    geometry g = {s->h * s->w, dim, wf_round_up(dim, 4), dim / PANEL + 1, width, wf_shape_stride(s), wf_round_up(width, WF_LANES)};
    return g;
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    const wf_shape *s = &call->in[0].shape;
    return phase == 0 ? s->n * call->p->heads : s->n * s->h;
}

/* Phase 0: keys [padded][BLOCK], values [panels][BLOCK][8]; phase 1: q⁺ [rows][padded], mixed [rows][panels · 8], window [padded]. */
static size_t scratch_bytes(const wf_op_call *call) {
    geometry g = geometry_of(call);
    return sizeof(float) * BLOCK * (g.padded + (size_t)g.panels * PANEL);
}

static size_t workspace_bytes(const wf_op_call *call) {
    geometry g = geometry_of(call);
    return sizeof(float) * call->in[0].shape.n * call->p->heads * g.panels * g.dim * PANEL;
}

/* Elements i … i + 3 of x[dim], zeros behind its end; nothing is read there. */
WF_INLINE v128_t part(const float *x, uint32_t i, uint32_t dim) {
    if (i + 4 <= dim) {
        return wasm_v128_load(x + i);
    }
    float some[4] = {0, 0, 0, 0};
    memcpy(some, x + i, (dim - i) * sizeof *x);
    return wasm_v128_load(some);
}

WF_INLINE v128_t positive(v128_t x) { return wasm_f32x4_pmax(wasm_f32x4_splat(0), x); }

/* `rows` tokens from k (and its positions p) and v on; missing ones are zeros. */
static void pack(const geometry *g, const float *k, const float *p, uint32_t rows, float *keys, float *values) {
    const float *v = k + g->width;
    for (uint32_t j = 0; j < BLOCK; j += 4) {
        for (uint32_t i = 0; i < g->dim; i += 4) {
            v128_t block[4];
            for (uint32_t r = 0; r < 4; r++) {
                size_t at = j + r;
                block[r] = at < rows ? positive(wasm_f32x4_add(part(k + at * g->stride, i, g->dim), part(p + at * g->positions, i, g->dim)))
                                     : wasm_f32x4_splat(0);
            }
            wf_transpose4(block);
            for (uint32_t r = 0; r < 4; r++) {
                wasm_v128_store(keys + (size_t)(i + r) * BLOCK + j, block[r]);
            }
        }
    }
    for (uint32_t j = 0; j < rows; j++) {
        for (uint32_t i = 0; i < g->panels * PANEL; i += 4) {
            v128_t some = i < g->dim ? part(v + (size_t)j * g->stride, i, g->dim) : wasm_f32x4_splat(0);
            wasm_v128_store(values + ((size_t)(i / PANEL) * BLOCK + j) * PANEL + i % PANEL, some);
        }
        values[((size_t)(g->dim / PANEL) * BLOCK + j) * PANEL + g->dim % PANEL] = 1;
    }
}

static void sum_keys(const wf_op_call *call, const geometry *g, uint32_t tile, float *keys) {
    const uint32_t heads = call->p->heads, head = tile % heads;
    float *values = keys + (size_t)BLOCK * g->padded, *sums = (float *)call->workspace + (size_t)tile * g->panels * g->dim * PANEL;
    const float *k = wf_row_f32(&call->in[0], tile / heads * g->tokens) + g->width + head * g->dim;
    const float *p = (const float *)call->w[0].data + head * g->dim;
    for (uint32_t j = 0; j < g->tokens; j += BLOCK) {
        uint32_t rows = wf_min_u32(BLOCK, g->tokens - j);
        pack(g, k + (size_t)j * g->stride, p + (size_t)j * g->positions, rows, keys, values);
        wf_f32_tile t = {.lda = BLOCK, .ldc = PANEL, .kc = rows, .first = j == 0};
        for (uint32_t n = 0; n < g->panels; n++) {
            t.b = values + (size_t)n * BLOCK * PANEL;
            for (uint32_t i = 0; i < g->dim; i += WF_TILE_ROWS) {
                t.a = keys + (size_t)i * BLOCK;
                t.c = sums + ((size_t)n * g->dim + i) * PANEL;
                wf_gemm_f32_tile(&t, wf_min_u32(WF_TILE_ROWS, g->dim - i), 1);
            }
        }
    }
}

/* The window around cell (y, x): v is the head's first value of the segment's first cell. */
static void window(const wf_op_call *call, const geometry *g, const float *v, uint32_t y, uint32_t x, float *out) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    const uint32_t weights = wf_round_up(g->dim, WF_LANES), up = p->kernel_h / 2, left = p->kernel_w / 2;
    const uint32_t ky0 = y < up ? up - y : 0, ky1 = wf_min_u32(p->kernel_h, s->h + up - y);
    const uint32_t kx0 = x < left ? left - x : 0, kx1 = wf_min_u32(p->kernel_w, s->w + left - x);
    for (uint32_t i = 0; i < g->dim; i += 4) {
        v128_t sum = wasm_f32x4_splat(0);
        for (uint32_t ky = ky0; ky < ky1; ky++) {
            const float *w = (const float *)call->w[1].data + (size_t)(ky * p->kernel_w + kx0) * weights + i;
            const float *cell = v + ((size_t)(y + ky - up) * s->w + x + kx0 - left) * g->stride;
            for (uint32_t kx = kx0; kx < kx1; kx++, w += weights, cell += g->stride) {
                sum = wf_madd(part(cell, i, g->dim), wasm_v128_load(w), sum);
            }
        }
        if (call->w[2].data != NULL) {
            sum = wasm_f32x4_add(sum, wasm_v128_load((const float *)call->w[2].data + i));
        }
        wasm_v128_store(out + i, sum);
    }
}

/* Up to WF_TILE_ROWS cells from (y, x) on; q is the head's query of the first. */
static void attend(const wf_op_call *call, const geometry *g, uint32_t segment, uint32_t head, uint32_t y, uint32_t x, uint32_t rows,
                   float *queries) {
    const uint32_t w = call->in[0].shape.w, first = segment * g->tokens, row = first + y * w + x, ldc = g->panels * PANEL;
    const uint32_t column = head * g->dim;
    float *mixed = queries + (size_t)WF_TILE_ROWS * g->padded, *local = mixed + (size_t)WF_TILE_ROWS * ldc;
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < g->dim; i += 4) {
            wasm_v128_store(queries + r * g->padded + i, positive(part(wf_row_f32(&call->in[0], row + r) + column, i, g->dim)));
        }
    }
    wf_f32_tile t = {.a = queries, .lda = g->padded, .ldc = ldc, .kc = g->dim, .first = true};
    const float *sums = (const float *)call->workspace + (size_t)(segment * call->p->heads + head) * ldc * g->dim;
    for (uint32_t n = 0; n < g->panels; n++) {
        t.b = sums + (size_t)n * g->dim * PANEL;
        t.c = mixed + n * PANEL;
        wf_gemm_f32_tile(&t, rows, 1);
    }
    for (uint32_t r = 0; r < rows; r++) {
        const float *m = mixed + r * ldc;
        float inverse = 1 / (m[g->dim] + call->p->eps), *out = wf_row_f32(&call->out, row + r) + column;
        window(call, g, wf_row_f32(&call->in[0], first) + 2 * g->width + column, y, x + r, local);
        for (uint32_t i = 0; i < g->dim; i++) {
            out[i] = m[i] * inverse + local[i];
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    const geometry g = geometry_of(call);
    const wf_shape *s = &call->in[0].shape;
    if (phase == 0) {
        sum_keys(call, &g, tile, scratch);
        return;
    }
    for (uint32_t x = 0; x < s->w; x += WF_TILE_ROWS) {
        uint32_t rows = wf_min_u32(WF_TILE_ROWS, s->w - x);
        for (uint32_t head = 0; head < call->p->heads; head++) {
            attend(call, &g, tile / s->h, head, tile % s->h, x, rows, scratch);
        }
        for (uint32_t r = 0; r < rows; r++) {
            float *out = wf_row_f32(&call->out, tile * s->w + x + r);
            memset(out + g.width, 0, (wf_shape_stride(&call->out.shape) - g.width) * sizeof *out);
        }
    }
}

extern const wf_op_impl wf_sla_simd;
const wf_op_impl wf_sla_simd = {2, tiles, run, scratch_bytes, workspace_bytes};
