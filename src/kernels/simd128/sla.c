/* sla, fast: both products over the f32 micro-kernel of the GEMM, O(tokens). The unit of work is one head in one window (window.h).
   Phase 0, a tile is a unit: blocks of 64 tokens are packed, the keys transposed, the values as panels of eight columns with a column
   of ones behind, so that Σ k⁺ᵀ v and Σ k⁺ are one product, which lands in the workspace as panels [(dim + 1)/8][dim][8], the form
   that the other product reads. Where k and v are fewer rows than q, tiles behind these stretch v to the map, a line of it each,
   into the workspace behind the sums.
   Phase 1, a tile is up to 96 cells of a unit: q⁺ of a few cells times those panels gives numerator and denominator; then the
   convolution of v.
   Limit: the micro-kernel's peak for the products (13 % of them for the ones when dim is 64), two loads a multiply–add in the
   convolution. */
#include <string.h>

#include "kernels/resample_axis.h"
#include "kernels/simd128/depthwise_cell.h"
#include "kernels/simd128/gemm_f32_tile.h"
#include "kernels/window.h"

enum { BLOCK = 64, QUERIES = 96, PANEL = 8 };

typedef struct geometry {
    uint32_t dim, padded, panels, width;
    size_t stride, positions; /* of rows of in0 and of w0 */
    const wf_view *others;    /* whose rows are k and v, or NULL */
    uint32_t seen;            /* of them, a segment */
} geometry;

static geometry geometry_of(const wf_op_call *call) {
    const uint32_t dim = call->p->head_dim;
    geometry g = {dim, wf_round_up(dim, 4), dim / PANEL + 1, call->p->heads * dim, wf_shape_stride(&call->in[0].shape),
                  wf_round_up(call->w[0].k, WF_LANES), call->in[1].shape.c != 0 ? &call->in[1] : NULL,
                  call->in[1].shape.h * call->in[1].shape.w};
    return g;
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    uint32_t lines = phase == 0 && call->in[1].shape.c != 0 ? call->in[0].shape.n * call->in[0].shape.h : 0;
    return wf_window_tiles(call, phase == 0 ? UINT32_MAX : QUERIES) + lines;
}

/* A thread's memory: where the rows and columns of a window begin in in0, in elements; then
   phase 0: keys [padded][BLOCK], values [panels][BLOCK][8]; phase 1: q⁺ [rows][padded], mixed [rows][panels · 8], local [padded]. */
typedef struct strips {
    size_t *down, *across; /* [window_h], [window_w] */
    float *floats;
} strips;

static size_t most_lines(const wf_op_call *call) {
    wf_windows a = wf_windows_of(call, 0), b = wf_windows_of(call, wf_window_halves(call->p) - 1);
    size_t x = a.v.window + a.h.window, y = b.v.window + b.h.window;
    return wf_round_up((uint32_t)(x > y ? x : y), 8);
}

static size_t scratch_bytes(const wf_op_call *call) {
    geometry g = geometry_of(call);
    return most_lines(call) * sizeof(size_t) + sizeof(float) * BLOCK * (g.padded + (size_t)g.panels * PANEL);
}

static size_t sums_floats(const wf_op_call *call, const geometry *g) {
    return (size_t)wf_window_tiles(call, UINT32_MAX) * g->panels * g->dim * PANEL;
}

/* v of the whole map, rows as those of q: behind the sums. */
static float *stretched(const wf_op_call *call, const geometry *g) { return (float *)call->workspace + sums_floats(call, g); }

static size_t workspace_bytes(const wf_op_call *call) {
    geometry g = geometry_of(call);
    return sizeof(float) * (sums_floats(call, &g) + (g.others != NULL ? wf_shape_rows(&call->in[0].shape) * g.stride : 0));
}

static strips list_window(const wf_op_call *call, const geometry *g, const wf_window_tile *t, void *scratch) {
    strips s = {.down = scratch};
    uint32_t top = t->window / t->w.h.count * t->w.v.window, left = t->window % t->w.h.count * t->w.h.window;
    s.across = s.down + t->w.v.window;
    s.floats = (float *)(void *)(s.down + most_lines(call));
    uint32_t row = wf_window_cell(&t->w.v, top), column = wf_window_cell(&t->w.h, left);
    for (uint32_t y = 0; y < t->w.v.window; y++) {
        s.down[y] = ((size_t)t->segment * t->w.v.extent + row) * t->w.h.extent * g->stride;
        row = row + 1 == t->w.v.extent ? 0 : row + 1;
    }
    for (uint32_t x = 0; x < t->w.h.window; x++) {
        s.across[x] = column * g->stride;
        column = column + 1 == t->w.h.extent ? 0 : column + 1;
    }
    return s;
}

WF_INLINE v128_t positive(v128_t x) { return wasm_f32x4_pmax(wasm_f32x4_splat(0), x); }

/* `rows` tokens of what a window sees from place j on: keys with positions p, and values; missing ones are zeros. */
static void pack(const wf_op_call *call, const geometry *g, const strips *s, const wf_window_tile *t, uint32_t j, uint32_t rows,
                 const float *p, float *keys, float *values) {
    const float *in = call->in[0].data, *at[BLOCK];
    for (uint32_t r = 0; r < rows && g->others != NULL; r++) {
        at[r] = wf_row_f32(g->others, t->segment * g->seen + j + r) + (size_t)t->head * g->dim;
    }
    for (uint32_t r = 0, y = j / t->w.h.window, x = j % t->w.h.window; r < rows && g->others == NULL; r++) {
        at[r] = in + s->down[y] + s->across[x] + g->width + (size_t)t->head * g->dim;
        x = x + 1 == t->w.h.window ? 0 : x + 1;
        y += x == 0;
    }
    for (uint32_t c = 0; c < BLOCK; c += 4) {
        for (uint32_t i = 0; i < g->dim; i += 4) {
            v128_t block[4];
            WF_EACH(r, 4) {
                block[r] = c + r < rows ? positive(wasm_f32x4_add(wf_load_part(at[c + r], i, g->dim),
                                                                  wf_load_part(p + (c + r) * g->positions, i, g->dim)))
                                        : wasm_f32x4_splat(0);
            }
            wf_transpose4(block);
            WF_EACH(r, 4) {
                wasm_v128_store(keys + (size_t)(i + r) * BLOCK + c, block[r]);
            }
        }
    }
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < g->panels * PANEL; i += 4) {
            v128_t some = i < g->dim ? wf_load_part(at[r] + g->width, i, g->dim) : wasm_f32x4_splat(0);
            wasm_v128_store(values + ((size_t)(i / PANEL) * BLOCK + r) * PANEL + i % PANEL, some);
        }
        values[((size_t)(g->dim / PANEL) * BLOCK + r) * PANEL + g->dim % PANEL] = 1;
    }
}

static void sum_keys(const wf_op_call *call, const geometry *g, const strips *s, const wf_window_tile *tile) {
    float *keys = s->floats, *values = keys + (size_t)BLOCK * g->padded;
    float *sums = (float *)call->workspace + (size_t)tile->unit * g->panels * g->dim * PANEL;
    const float *p = (const float *)call->w[0].data + (tile->head - tile->w.first_head) * g->dim;
    p += tile->half != 0 ? wf_windows_of(call, 0).cells * g->positions : 0;
    const uint32_t seen = g->others != NULL ? g->seen : tile->w.cells;
    for (uint32_t j = 0; j < seen; j += BLOCK) {
        uint32_t rows = wf_min_u32(BLOCK, seen - j);
        pack(call, g, s, tile, j, rows, p + j * g->positions, keys, values);
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

/* A line of the map of all segments. */
static void stretch(const wf_op_call *call, const geometry *g, uint32_t line) {
    const wf_shape *s = &call->in[0].shape;
    const float *v = wf_row_f32(g->others, line / s->h * g->seen) + g->width;
    const size_t from = wf_shape_stride(&g->others->shape);
    float *out = stretched(call, g) + (size_t)line * s->w * g->stride;
    for (uint32_t x = 0; x < s->w; x++, out += g->stride) {
        wf_axis_taps taps;
        wf_axis_taps_of(&taps, line % s->h * s->w + x, g->seen, s->h * s->w, WF_POSITION_BILINEAR);
        for (uint32_t i = 0; i < g->width; i += 4) {
            v128_t sum = wasm_f32x4_splat(0);
            for (uint32_t t = 0; t < taps.count; t++) {
                sum = wf_madd(wf_load_part(v + (taps.first + t) * from, i, g->width), wasm_f32x4_splat((float)taps.weight[t]), sum);
            }
            wasm_v128_store(out + i, sum);
        }
    }
}

/* The convolution of the values of the tile's head at cell (y, x) of its window. */
static void convolve(const wf_op_call *call, const geometry *g, const strips *s, const wf_window_tile *t, uint32_t y, uint32_t x,
                     float *out) {
    const wf_op_params *p = call->p;
    const uint32_t up = p->kernel_h / 2, left = p->kernel_w / 2, column = t->half * g->dim;
    const float *values = g->others != NULL ? stretched(call, g) : (const float *)call->in[0].data + 2 * g->width;
    wf_depthwise d = {.in = values + (size_t)t->head * g->dim,
                      .weights = (const float *)call->w[1].data + column,
                      .bias = call->w[2].data != NULL ? (const float *)call->w[2].data + column : NULL,
                      .stride = wf_round_up(call->w[1].k, WF_LANES),
                      .kernel_w = p->kernel_w};
    d.first_y = y < up ? up - y : 0, d.end_y = wf_min_u32(p->kernel_h, t->w.v.window + up - y);
    d.first_x = x < left ? left - x : 0, d.end_x = wf_min_u32(p->kernel_w, t->w.h.window + left - x);
    d.down = s->down + y + d.first_y - up;
    d.across = s->across + x + d.first_x - left;
    wf_depthwise_cell(&d, g->dim, out);
}

/* Up to WF_TILE_ROWS cells of the tile's window from cell j on. */
static void attend(const wf_op_call *call, const geometry *g, const strips *s, const wf_window_tile *tile, uint32_t j, uint32_t rows) {
    const uint32_t ldc = g->panels * PANEL, column = tile->head * g->dim, across = tile->w.h.window;
    float *queries = s->floats, *mixed = queries + (size_t)WF_TILE_ROWS * g->padded, *local = mixed + (size_t)WF_TILE_ROWS * ldc;
    for (uint32_t r = 0; r < rows; r++) {
        const float *q = (const float *)call->in[0].data + s->down[(j + r) / across] + s->across[(j + r) % across] + column;
        for (uint32_t i = 0; i < g->dim; i += 4) {
            wasm_v128_store(queries + r * g->padded + i, positive(wf_load_part(q, i, g->dim)));
        }
    }
    wf_f32_tile t = {.a = queries, .lda = g->padded, .ldc = ldc, .kc = g->dim, .first = true};
    const float *sums = (const float *)call->workspace + (size_t)tile->unit * ldc * g->dim;
    for (uint32_t n = 0; n < g->panels; n++) {
        t.b = sums + (size_t)n * g->dim * PANEL;
        t.c = mixed + n * PANEL;
        wf_gemm_f32_tile(&t, rows, 1);
    }
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t y = (j + r) / across, x = (j + r) % across;
        const float *m = mixed + r * ldc;
        size_t row = (s->down[y] + s->across[x]) / g->stride;
        float inverse = 1 / (m[g->dim] + call->p->eps), *out = wf_row_f32(&call->out, (uint32_t)row) + column;
        convolve(call, g, s, tile, y, x, local);
        wf_scale_part(out, m, inverse, local, g->dim);
        if (tile->head + 1 == call->p->heads) {
            memset(out + g->dim, 0, (wf_shape_stride(&call->out.shape) - g->width) * sizeof *out);
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    const geometry g = geometry_of(call);
    const uint32_t units = wf_window_tiles(call, UINT32_MAX);
    if (phase == 0 && tile >= units) {
        stretch(call, &g, tile - units);
        return;
    }
    const wf_window_tile t = wf_window_tile_of(call, phase == 0 ? UINT32_MAX : QUERIES, tile);
    const strips s = list_window(call, &g, &t, scratch);
    if (phase == 0) {
        sum_keys(call, &g, &s, &t);
        return;
    }
    for (uint32_t j = t.first; j < t.end; j += WF_TILE_ROWS) {
        attend(call, &g, &s, &t, j, wf_min_u32(WF_TILE_ROWS, t.end - j));
    }
}

extern const wf_op_impl wf_sla_simd;
const wf_op_impl wf_sla_simd = {2, tiles, run, scratch_bytes, workspace_bytes};
