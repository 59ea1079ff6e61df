/* rope, fast: four pairs at a time. Halves lie in two vectors; neighbours are shuffled apart and together again. What four do not
   divide, and heads that begin between two vectors, cost unaligned loads and a few single elements. Limit: memory, 8 bytes an element
   (the angles of a row stay in L1 for all its heads). `out` may be in0. */
#include <string.h>

#include "kernels/simd128/rows.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    const wf_shape *s = &call->out.shape;
    return wf_ceil_div(wf_shape_rows(s), wf_tile_rows(wf_shape_stride(s)));
}

/* a c − b s and b c + a s, with the roundings of the scalar form. */
WF_INLINE void turn(v128_t a, v128_t b, v128_t c, v128_t s, v128_t *to_a, v128_t *to_b) {
    *to_a = wasm_f32x4_sub(wasm_f32x4_mul(a, c), wasm_f32x4_mul(b, s));
    *to_b = wasm_f32x4_add(wasm_f32x4_mul(b, c), wasm_f32x4_mul(a, s));
}

/* One head: x and y [half · 2], the cosines and sines of its row [half]. */
WF_INLINE void turn_halves(const float *x, float *y, const float *cosine, const float *sine, uint32_t half) {
    uint32_t j = 0;
    for (; j + 4 <= half; j += 4) {
        v128_t a, b;
        turn(wasm_v128_load(x + j), wasm_v128_load(x + half + j), wasm_v128_load(cosine + j), wasm_v128_load(sine + j), &a, &b);
        wasm_v128_store(y + j, a);
        wasm_v128_store(y + half + j, b);
    }
    for (; j < half; j++) {
        float a = x[j], b = x[half + j];
        y[j] = a * cosine[j] - b * sine[j];
        y[half + j] = b * cosine[j] + a * sine[j];
    }
}

WF_INLINE void turn_neighbours(const float *x, float *y, const float *cosine, const float *sine, uint32_t half) {
    uint32_t j = 0;
    for (; j + 4 <= half; j += 4) {
        v128_t low = wasm_v128_load(x + 2 * j), high = wasm_v128_load(x + 2 * j + 4), a, b;
        turn(wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), wasm_i32x4_shuffle(low, high, 1, 3, 5, 7), wasm_v128_load(cosine + j),
             wasm_v128_load(sine + j), &a, &b);
        wasm_v128_store(y + 2 * j, wasm_i32x4_shuffle(a, b, 0, 4, 1, 5));
        wasm_v128_store(y + 2 * j + 4, wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
    }
    for (; j < half; j++) {
        float a = x[2 * j], b = x[2 * j + 1];
        y[2 * j] = a * cosine[j] - b * sine[j];
        y[2 * j + 1] = b * cosine[j] + a * sine[j];
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->out.shape;
    uint32_t turned = call->in[1].shape.c, half = turned / 2, stride = wf_shape_stride(s), rows = wf_tile_rows(stride);
    uint32_t end = wf_min_u32((tile + 1) * rows, wf_shape_rows(s));
    for (uint32_t row = tile * rows; row < end; row++) {
        const float *x = wf_row_f32(&call->in[0], row), *angles = wf_row_f32(&call->in[1], row % (s->h * s->w));
        float *y = wf_row_f32(&call->out, row);
        for (uint32_t head = 0; head < p->heads; head++, x += p->head_dim, y += p->head_dim) {
            if (p->pairs == WF_ROPE_HALVES) {
                turn_halves(x, y, angles, angles + half, half);
            } else {
                turn_neighbours(x, y, angles, angles + half, half);
            }
            if (x != y) {
                memcpy(y + turned, x + turned, (p->head_dim - turned) * sizeof *y);
            }
        }
        memset(y, 0, (stride - s->c) * sizeof *y);
    }
}

extern const wf_op_impl wf_rope_simd;
const wf_op_impl wf_rope_simd = {1, tiles, run, NULL, NULL};
