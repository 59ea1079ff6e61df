/* What the row-wise fast kernels share: rows of float padded to 32 lanes, and their division into
   tiles.

   Tiles depend on shapes alone, never on the number of threads, so a sum that is split by tiles has
   one order everywhere. A tile is about 16 KiB of input: it fits the L1 cache, and is a microsecond
   of work, twenty times the cost of handing it out. */
#ifndef WF_KERNELS_SIMD128_ROWS_H
#define WF_KERNELS_SIMD128_ROWS_H

#include "base/simd.h"
#include "kernels/op.h"

enum { WF_TILE_FLOATS = 4096 };

/* For loops that wait for memory: unrolling them makes a page's download longer and nothing faster. */
#define WF_SMALL __attribute__((minsize))

/* Row r: [stride] floats, those from c on zero. */
WF_INLINE float *wf_row_f32(const wf_view *view, uint32_t r) {
    return (float *)view->data + (size_t)r * wf_shape_stride(&view->shape);
}

/* Rows of `stride` floats in a tile. */
WF_INLINE uint32_t wf_tile_rows(uint32_t stride) {
    return stride < WF_TILE_FLOATS ? WF_TILE_FLOATS / stride : 1;
}

WF_INLINE uint32_t wf_ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

WF_INLINE uint32_t wf_min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Keeps lanes 0 … count−1 of four. */
WF_INLINE v128_t wf_lane_mask(uint32_t count) {
    return wasm_i32x4_lt(wasm_i32x4_make(0, 1, 2, 3), wasm_i32x4_splat((int32_t)count));
}

/* Lanes 0 … count − 1 < 4 of x, zeros behind; nothing is read there (rows.c: out of line, since it is rare). */
v128_t wf_load_tail(const float *x, uint32_t count);

/* Elements i … i + 3 of x[dim], zeros behind its end. */
WF_INLINE v128_t wf_load_part(const float *x, uint32_t i, uint32_t dim) {
    return i + 4 <= dim ? wasm_v128_load(x + i) : wf_load_tail(x + i, dim - i);
}

/* y = scale · x [+ plus], n floats; what lies behind y's is left as it is. plus is NULL or holds n floats. */
WF_INLINE void wf_scale_part(float *y, const float *x, float scale, const float *plus, uint32_t n) {
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        v128_t v = wasm_f32x4_mul(wasm_v128_load(x + i), wasm_f32x4_splat(scale));
        wasm_v128_store(y + i, plus != NULL ? wasm_f32x4_add(v, wasm_v128_load(plus + i)) : v);
    }
    for (; i < n; i++) {
        float v = x[i] * scale;
        y[i] = plus != NULL ? v + plus[i] : v;
    }
}

/* Lane 0 + 1 + 2 + 3 in double, in this order. */
WF_INLINE double wf_sum_lanes(v128_t v) {
    return (double)wasm_f32x4_extract_lane(v, 0) + (double)wasm_f32x4_extract_lane(v, 1) +
           (double)wasm_f32x4_extract_lane(v, 2) + (double)wasm_f32x4_extract_lane(v, 3);
}

/* Turns four vectors of partial sums into one vector of four sums. */
WF_INLINE void wf_transpose4(v128_t r[4]) {
    v128_t a = wasm_i32x4_shuffle(r[0], r[1], 0, 4, 1, 5); /* 00 10 01 11 */
    v128_t b = wasm_i32x4_shuffle(r[2], r[3], 0, 4, 1, 5); /* 20 30 21 31 */
    v128_t c = wasm_i32x4_shuffle(r[0], r[1], 2, 6, 3, 7); /* 02 12 03 13 */
    v128_t d = wasm_i32x4_shuffle(r[2], r[3], 2, 6, 3, 7); /* 22 32 23 33 */
    r[0] = wasm_i64x2_shuffle(a, b, 0, 2);
    r[1] = wasm_i64x2_shuffle(a, b, 1, 3);
    r[2] = wasm_i64x2_shuffle(c, d, 0, 2);
    r[3] = wasm_i64x2_shuffle(c, d, 1, 3);
}

#endif
