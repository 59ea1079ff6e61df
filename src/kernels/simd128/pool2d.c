/* pool2d, fast: a tile is one row of the map. A column sum (over the kernel's height) is computed
   once per cell and used by the kernel_w windows that contain it; windows divide by the number of
   cells inside the map. 3 × 3, PoolFormer's size: two column sums travel along the row in
   registers, 16 channels at a time: 4 loads and a store per vector, no scratch. Other sizes: the
   column sums of the row go to scratch [w, stride] first. Limit: 6 vector operations for four
   elements, 5 of them additions. Zero lanes stay zero: 0 · r − 0. */
#include "kernels/simd128/rows.h"

enum { CHUNK = 16, VECTORS = CHUNK / 4 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->in[0].shape.n * call->in[0].shape.h;
}

static bool is_3x3(const wf_op_call *call) { return call->p->kernel_h == 3 && call->p->kernel_w == 3; }

static size_t scratch_bytes(const wf_op_call *call) {
    const wf_shape *s = &call->in[0].shape;
    return is_3x3(call) ? 0 : (size_t)s->w * wf_shape_stride(s) * sizeof(float);
}

/* The part of the map that one tile reads: `count` map rows from `first` on, of which `centre` is
   the one written. */
typedef struct band {
    const float *first, *centre; /* [w, stride] each */
    uint32_t count;
} band;

WF_INLINE void column_sum(v128_t sum[VECTORS], const float *x, size_t line, uint32_t count) {
    WF_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        sum[v] = wasm_v128_load(x + 4 * v);
    }
    for (uint32_t r = 1; r < count; r++) {
        WF_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            sum[v] = wasm_f32x4_add(sum[v], wasm_v128_load(x + r * line + 4 * v));
        }
    }
}

/* mean [− x] of a window whose cells add up to `sum`. */
WF_INLINE void store_mean(float *y, const float *x, v128_t sum, v128_t inverse, bool minus_input) {
    v128_t mean = wasm_f32x4_mul(sum, inverse);
    wasm_v128_store(y, minus_input ? wasm_f32x4_sub(mean, wasm_v128_load(x)) : mean);
}

WF_INLINE void store_window(float *y, const float *x, const v128_t sum[VECTORS], uint32_t cells,
                            bool minus_input) {
    v128_t inverse = wasm_f32x4_splat(1.0f / (float)cells);
    WF_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        store_mean(y + 4 * v, x + 4 * v, sum[v], inverse, minus_input);
    }
}

/* 16 channels on their way along a row: of the column sums so far, the last one and it plus the one
   before. A step takes the next column at x (`line` floats a map row) and writes the cell before it. */
typedef struct pair_of_columns {
    v128_t last[VECTORS], both[VECTORS];
} pair_of_columns;

WF_INLINE void step(pair_of_columns *p, const float *x, size_t line, const uint32_t count, v128_t inverse, float *y,
                    const float *centre, bool minus_input) {
    WF_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        v128_t next = wasm_v128_load(x + 4 * v);
        WF_UNROLL
        for (uint32_t r = 1; r < count; r++) {
            next = wasm_f32x4_add(next, wasm_v128_load(x + r * line + 4 * v));
        }
        store_mean(y + 4 * v, centre + 4 * v, wasm_f32x4_add(p->both[v], next), inverse, minus_input);
        p->both[v] = wasm_f32x4_add(p->last[v], next);
        p->last[v] = next;
    }
}

/* count and minus_input are constants at each call, so that the inner loops unroll. */
WF_INLINE void pool_3x3(const band *b, float *out, uint32_t w, uint32_t stride, uint32_t count,
                        bool minus_input) {
    const size_t line = (size_t)w * stride;
    const v128_t edge = wasm_f32x4_splat(1.0f / (float)(2 * count)), inner = wasm_f32x4_splat(1.0f / (float)(3 * count));
    for (uint32_t channel = 0; channel < stride; channel += CHUNK) {
        const float *x = b->first + channel, *centre = b->centre + channel;
        float *y = out + channel;
        pair_of_columns p;
        column_sum(p.last, x, line, count);
        WF_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            p.both[v] = p.last[v];
        }
        for (uint32_t i = 1; i < w; i++, y += stride, centre += stride) {
            x += stride;
            step(&p, x, line, count, i == 1 ? edge : inner, y, centre, minus_input);
        }
        store_window(y, centre, p.both, (w > 1 ? 2 : 1) * count, minus_input);
    }
}

static void pool_any(const band *b, float *out, uint32_t w, uint32_t stride, uint32_t half, bool minus_input,
                     float *columns /* [w, stride] */) {
    size_t line = (size_t)w * stride;
    v128_t sum[VECTORS];
    for (size_t i = 0; i < line; i += CHUNK) {
        column_sum(sum, b->first + i, line, b->count);
        WF_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            wasm_v128_store(columns + i + 4 * v, sum[v]);
        }
    }
    for (uint32_t i = 0; i < w; i++) {
        uint32_t first = i > half ? i - half : 0, end = w - i > half ? i + half + 1 : w;
        for (uint32_t channel = 0; channel < stride; channel += CHUNK) {
            column_sum(sum, columns + (size_t)first * stride + channel, stride, end - first);
            store_window(out + (size_t)i * stride + channel, b->centre + (size_t)i * stride + channel, sum,
                         b->count * (end - first), minus_input);
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    const wf_shape *s = &call->in[0].shape;
    uint32_t stride = wf_shape_stride(s), h = tile % s->h, half_h = call->p->kernel_h / 2;
    uint32_t top = h > half_h ? h - half_h : 0, bottom = s->h - h > half_h ? h + half_h + 1 : s->h;
    band b = {wf_row_f32(&call->in[0], (tile - h + top) * s->w), wf_row_f32(&call->in[0], tile * s->w),
              bottom - top};
    float *out = wf_row_f32(&call->out, tile * s->w);
    bool minus_input = call->p->minus_input != 0;
    if (!is_3x3(call)) {
        pool_any(&b, out, s->w, stride, call->p->kernel_w / 2, minus_input, scratch);
    } else if (b.count == 3 && minus_input) {
        pool_3x3(&b, out, s->w, stride, 3, true);
    } else if (b.count == 3) {
        pool_3x3(&b, out, s->w, stride, 3, false);
    } else if (b.count == 2) {
        pool_3x3(&b, out, s->w, stride, 2, minus_input);
    } else {
        pool_3x3(&b, out, s->w, stride, 1, minus_input);
    }
}

extern const wf_op_impl wf_pool2d_simd;
const wf_op_impl wf_pool2d_simd = {1, tiles, run, scratch_bytes, NULL};
