/* layer_norm, fast: four rows at a time, each with one vector of partial sums; a 4 × 4 transpose
   turns these into one vector of four sums, so that the divisions and the root are paid once for
   four rows. Rows never mix: at the end of a tile missing ones are stood in for by the last.
   Three passes over rows in L1: Σx gives a rough mean m; Σ(x − m) and Σ(x − m)² correct it (Chan,
   Golub and LeVeque 1983); (x − m) · inverse − rest [· w0] [+ w1], where rest is what m was off by:
   rows whose mean dwarfs their deviation keep their digits. Zero lanes enter no sum.
   Limit: memory, 4 bytes in and 4 out an element; the L1 loads (3 an element) come close. */
#include "kernels/simd128/rows.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    const wf_shape *s = &call->out.shape;
    return wf_ceil_div(wf_shape_rows(s), wf_round_up(wf_tile_rows(wf_shape_stride(s)), 4));
}

/* Σ of each of four vectors as the lanes of one. */
WF_INLINE v128_t sum_of_four(const v128_t part[4]) {
    v128_t r[4] = {part[0], part[1], part[2], part[3]};
    wf_transpose4(r);
    return wasm_f32x4_add(wasm_f32x4_add(r[0], r[1]), wasm_f32x4_add(r[2], r[3]));
}

WF_INLINE v128_t splat_lane(v128_t v, int lane) {
    switch (lane) {
    case 0:
        return wasm_i32x4_shuffle(v, v, 0, 0, 0, 0);
    case 1:
        return wasm_i32x4_shuffle(v, v, 1, 1, 1, 1);
    case 2:
        return wasm_i32x4_shuffle(v, v, 2, 2, 2, 2);
    default:
        return wasm_i32x4_shuffle(v, v, 3, 3, 3, 3);
    }
}

/* d ← x − mean, and its sums. */
WF_INLINE void add_moments(v128_t d, v128_t *sum, v128_t *squares) {
    *sum = wasm_f32x4_add(*sum, d);
    *squares = wasm_f32x4_add(*squares, wasm_f32x4_mul(d, d));
}

/* Of four rows, one a lane: y = (x − mean) · inverse − rest. */
typedef struct normaliser {
    v128_t mean, inverse, rest;
} normaliser;

/* For four rows of c elements. */
WF_INLINE normaliser measure_rows(const float *const x[4], uint32_t c, float eps) {
    uint32_t whole = c / 4 * 4, rest = c % 4;
    v128_t sum[4], squares[4], count = wasm_f32x4_splat((float)c);
    WF_UNROLL
    for (int r = 0; r < 4; r++) {
        sum[r] = wasm_f32x4_splat(0);
    }
    /* The last vector may reach into zero lanes: they add nothing. */
    for (uint32_t i = 0; i < c; i += 4) {
        WF_UNROLL
        for (int r = 0; r < 4; r++) {
            sum[r] = wasm_f32x4_add(sum[r], wasm_v128_load(x[r] + i));
        }
    }
    v128_t rough = wasm_f32x4_div(sum_of_four(sum), count), m[4];
    WF_UNROLL
    for (int r = 0; r < 4; r++) {
        m[r] = splat_lane(rough, r);
        sum[r] = squares[r] = wasm_f32x4_splat(0);
    }
    for (uint32_t i = 0; i < whole; i += 4) {
        WF_UNROLL
        for (int r = 0; r < 4; r++) {
            add_moments(wasm_f32x4_sub(wasm_v128_load(x[r] + i), m[r]), &sum[r], &squares[r]);
        }
    }
    if (rest != 0) {
        v128_t mask = wf_lane_mask(rest);
        WF_UNROLL
        for (int r = 0; r < 4; r++) {
            v128_t d = wasm_f32x4_sub(wasm_v128_load(x[r] + whole), m[r]);
            add_moments(wasm_v128_and(d, mask), &sum[r], &squares[r]);
        }
    }
    v128_t shift = wasm_f32x4_div(sum_of_four(sum), count); /* true mean − rough mean */
    v128_t variance =
        wasm_f32x4_sub(wasm_f32x4_div(sum_of_four(squares), count), wasm_f32x4_mul(shift, shift));
    variance = wasm_f32x4_max(variance, wasm_f32x4_splat(0));
    v128_t root = wasm_f32x4_sqrt(wasm_f32x4_add(variance, wasm_f32x4_splat(eps)));
    normaliser n = {rough, wasm_f32x4_div(wasm_f32x4_splat(1), root), rough};
    n.rest = wasm_f32x4_mul(shift, n.inverse);
    return n;
}

/* n: of one row, in all lanes. */
WF_INLINE v128_t normal_at(const float *x, const normaliser *n, const float *weight, const float *bias,
                           uint32_t i) {
    v128_t y = wasm_f32x4_mul(wasm_f32x4_sub(wasm_v128_load(x + i), n->mean), n->inverse);
    y = wasm_f32x4_sub(y, n->rest);
    y = weight != NULL ? wasm_f32x4_mul(y, wasm_v128_load(weight + i)) : y;
    return bias != NULL ? wasm_f32x4_add(y, wasm_v128_load(bias + i)) : y;
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->out.shape;
    uint32_t c = s->c, stride = wf_shape_stride(s), rows = wf_round_up(wf_tile_rows(stride), 4);
    uint32_t end = wf_min_u32((tile + 1) * rows, wf_shape_rows(s)), whole = c / 4 * 4;
    const float *weight = call->w[0].data, *bias = call->w[1].data; /* [stride] each, or absent */
    v128_t zero = wasm_f32x4_splat(0), mask = wf_lane_mask(c % 4);
    for (uint32_t row = tile * rows; row < end; row += 4) {
        const float *x[4];
        for (uint32_t r = 0; r < 4; r++) {
            x[r] = wf_row_f32(&call->in[0], wf_min_u32(row + r, end - 1));
        }
        normaliser four = measure_rows(x, c, call->p->eps);
        WF_UNROLL
        for (uint32_t r = 0; r < 4; r++) {
            if (row + r >= end) {
                break;
            }
            float *y = wf_row_f32(&call->out, row + r);
            normaliser n = {splat_lane(four.mean, (int)r), splat_lane(four.inverse, (int)r),
                            splat_lane(four.rest, (int)r)};
            uint32_t i = 0;
            for (; i < whole; i += 4) {
                wasm_v128_store(y + i, normal_at(x[r], &n, weight, bias, i));
            }
            if (i < c) {
                wasm_v128_store(y + i, wasm_v128_and(normal_at(x[r], &n, weight, bias, i), mask));
                i += 4;
            }
            for (; i < stride; i += 4) {
                wasm_v128_store(y + i, zero);
            }
        }
    }
}

extern const wf_op_impl wf_layer_norm_simd;
const wf_op_impl wf_layer_norm_simd = {1, tiles, run, NULL, NULL};
