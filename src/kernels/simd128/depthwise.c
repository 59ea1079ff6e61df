/* depthwise, fast: a tile is one row of the map. 3 × 3 (PVT-v2): two cells at a time, four channels after the other, so that rows are
   read as they lie; three weights meet four cells, and a vector of the output costs 10½ loads and 9 multiply–adds. (Four channels along
   the whole row with all weights in registers load less, but rows a multiple of a kilobyte apart share few places in L1: 30 % slower.)
   Other windows, and cells at the left and right edge: two loads a multiply–add. GELU follows as a loop of its own over what has just
   been written: between the sums its constants push them out of the registers. Limit: GELU takes half of the time, loads the rest.
   Some of the channels, stripes and a residual (CSwin): a cell at a time into scratch, two loads a multiply–add. */
#include <string.h>

#include "kernels/simd128/depthwise_cell.h"
#include "kernels/simd128/vmath.h"
#include "kernels/window.h"

enum { CELLS = 2, MOST = 255 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->in[0].shape.n * call->in[0].shape.h;
}

typedef struct line {
    const float *x;       /* the segment's cell (0, 0) */
    const float *weights; /* [kernel_h · kernel_w, stride] */
    const float *bias;    /* [stride] or NULL */
    float *out;           /* [w, stride] */
    uint32_t y, h, w;
    size_t stride;
    bool gelu;
} line;

/* Cells (y, x) … (y, x + CELLS − 1) of a 3 × 3 window, whose columns are all inside the map. */
static void inner_cells(const line *l, uint32_t x, float *out) {
    const uint32_t top = l->y == 0, end = l->y + 1 == l->h ? 2 : 3;
    const float *corner = l->x + ((size_t)(l->y + top - 1) * l->w + x - 1) * l->stride;
    for (size_t channel = 0; channel < l->stride; channel += 4) {
        v128_t sum[CELLS];
        WF_UNROLL
        for (int c = 0; c < CELLS; c++) {
            sum[c] = l->bias != NULL ? wasm_v128_load(l->bias + channel) : wasm_f32x4_splat(0);
        }
        for (uint32_t r = top; r < end; r++) {
            const float *cell = corner + (r - top) * l->w * l->stride + channel, *k = l->weights + 3 * r * l->stride + channel;
            const v128_t taps[3] = {wasm_v128_load(k), wasm_v128_load(k + l->stride), wasm_v128_load(k + 2 * l->stride)};
            WF_UNROLL
            for (int column = 0; column < CELLS + 2; column++, cell += l->stride) {
                v128_t v = wasm_v128_load(cell);
                WF_UNROLL
                for (int c = 0; c < CELLS; c++) {
                    if (column >= c && column < c + 3) {
                        sum[c] = wf_madd(v, taps[column - c], sum[c]);
                    }
                }
            }
        }
        WF_UNROLL
        for (int c = 0; c < CELLS; c++) {
            wasm_v128_store(out + c * l->stride + channel, sum[c]);
        }
    }
}

/* Any cell: the taps that the map's edges do not cut off. */
static void any_cell(const wf_op_call *call, const line *l, uint32_t x) {
    const wf_op_params *p = call->p;
    const uint32_t up = p->kernel_h / 2, left = p->kernel_w / 2;
    wf_depthwise d = {.in = l->x, .weights = l->weights, .bias = l->bias, .stride = l->stride, .kernel_w = p->kernel_w};
    size_t down[MOST], across[MOST];
    float *out = l->out + x * l->stride;
    d.first_y = l->y < up ? up - l->y : 0, d.end_y = wf_min_u32(p->kernel_h, l->h + up - l->y);
    d.first_x = x < left ? left - x : 0, d.end_x = wf_min_u32(p->kernel_w, l->w + left - x);
    for (uint32_t ky = d.first_y; ky < d.end_y; ky++) {
        down[ky - d.first_y] = (size_t)(l->y + ky - up) * l->w * l->stride;
    }
    for (uint32_t kx = d.first_x; kx < d.end_x; kx++) {
        across[kx - d.first_x] = (x + kx - left) * l->stride;
    }
    d.down = down;
    d.across = across;
    wf_depthwise_cell(&d, (uint32_t)l->stride, out);
}

static bool is_plain(const wf_op_call *call) { return call->p->first == 0 && call->p->stripe == 0 && call->in[1].shape.c == 0; }

/* The sums of a half of the channels at one cell, in [c rounded up to 4]. */
static void part_cell(const wf_op_call *call, uint32_t row, uint32_t half, float *sums) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    const wf_window_axis v = wf_window_axis_of(call, true, half), h = wf_window_axis_of(call, false, half);
    const uint32_t c = call->out.shape.c / wf_window_halves(p), up = p->kernel_h / 2, left = p->kernel_w / 2;
    const uint32_t y = row / s->w % s->h % v.window, x = row % s->w % h.window; /* in the stripe */
    const size_t stride = wf_shape_stride(s);
    size_t down[MOST], across[MOST];
    wf_depthwise d = {.in = wf_row_f32(&call->in[0], row - y * s->w - x) + p->first + half * c,
                      .weights = (const float *)call->w[0].data + half * c,
                      .bias = call->w[1].data != NULL ? (const float *)call->w[1].data + half * c : NULL,
                      .down = down, .across = across, .stride = wf_shape_stride(&call->out.shape), .kernel_w = p->kernel_w};
    d.first_y = y < up ? up - y : 0, d.end_y = wf_min_u32(p->kernel_h, v.window + up - y);
    d.first_x = x < left ? left - x : 0, d.end_x = wf_min_u32(p->kernel_w, h.window + left - x);
    for (uint32_t ky = d.first_y; ky < d.end_y; ky++) {
        down[ky - d.first_y] = (size_t)(y + ky - up) * s->w * stride;
    }
    for (uint32_t kx = d.first_x; kx < d.end_x; kx++) {
        across[kx - d.first_x] = (x + kx - left) * stride;
    }
    wf_depthwise_cell(&d, c, sums);
}

static void run_parts(const wf_op_call *call, uint32_t row, float *sums) {
    const uint32_t halves = wf_window_halves(call->p), c = call->out.shape.c / halves;
    const float *base = call->in[1].data != NULL ? wf_row_f32(&call->in[1], row) : NULL;
    float *out = wf_row_f32(&call->out, row);
    memset(out, 0, wf_shape_stride(&call->out.shape) * sizeof *out);
    for (uint32_t half = 0; half < halves; half++) {
        part_cell(call, row, half, sums);
        for (uint32_t i = 0; i < c && call->p->act == WF_ACT_GELU_ERF; i += 4) {
            wasm_v128_store(sums + i, wf_gelu(wasm_v128_load(sums + i)));
        }
        for (uint32_t i = 0; i < c; i++) {
            out[half * c + i] = base != NULL ? base[half * c + i] + sums[i] : sums[i];
        }
    }
}

static size_t scratch_bytes(const wf_op_call *call) {
    return is_plain(call) ? 0 : wf_shape_stride(&call->out.shape) * sizeof(float);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    for (uint32_t x = 0; x < call->in[0].shape.w && !is_plain(call); x++) {
        run_parts(call, tile * call->in[0].shape.w + x, scratch);
    }
    if (!is_plain(call)) {
        return;
    }
    const wf_shape *s = &call->in[0].shape;
    const line l = {wf_row_f32(&call->in[0], tile / s->h * s->h * s->w), call->w[0].data, call->w[1].data,
                    wf_row_f32(&call->out, tile * s->w), tile % s->h, s->h, s->w, wf_shape_stride(s), call->p->act == WF_ACT_GELU_ERF};
    const bool small = call->p->kernel_h == 3 && call->p->kernel_w == 3;
    for (uint32_t x = 0; x < l.w;) {
        float *out = l.out + x * l.stride;
        const uint32_t cells = small && x > 0 && x + CELLS < l.w ? CELLS : 1;
        if (cells == CELLS) {
            inner_cells(&l, x, out);
        } else {
            any_cell(call, &l, x);
        }
        for (size_t i = 0; i < cells * l.stride && l.gelu; i += 8) {
            v128_t a = wf_gelu(wasm_v128_load(out + i)), b = wf_gelu(wasm_v128_load(out + i + 4));
            wasm_v128_store(out + i, a);
            wasm_v128_store(out + i + 4, b);
        }
        x += cells;
    }
}

extern const wf_op_impl wf_depthwise_simd;
const wf_op_impl wf_depthwise_simd = {1, tiles, run, scratch_bytes, NULL};
