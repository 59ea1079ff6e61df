/* layer_norm and its kin (p->norm_by), fast: four rows at a time, each with vectors of partial sums; a
   4 × 4 transpose turns these into one vector of four sums, so that the divisions and the root are
   paid once for four rows. Rows never mix: at the end of a tile missing ones are stood in for by the
   last.
     LAYER  one pass for Σ(x − m) and Σ(x − m)² around the mean m of the first 32 elements, which
            keeps the squares small (Chan, Golub and LeVeque 1983); then (x − mean) · inverse [· w0]
            [+ w1]. Where the mean is more than 4 deviations, what its rounding lost is subtracted
            too, so such rows keep their digits.
     RMS    one pass for Σx²; x · inverse [· w0] [+ w1].
     CRMS   Σx beside it; CARRIED is the same with the last element for one of the zero lanes.
   A weight of one element and 1/√depth are taken into `inverse`, at no cost unless there is a bias.
   Zero lanes enter no sum. Limit: 8 vector operations for four elements (RMS 4), 2.7 cycles where a
   core starts three; the copy of the same bytes within L2 takes 1.2. */
#include "kernels/simd128/byte_rows.h"
#include "kernels/simd128/rows.h"

enum { SAMPLE = 32 };

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

/* out[r]: lane r in all lanes. */
WF_INLINE void splat_lanes(v128_t v, v128_t out[4]) {
    out[0] = wasm_i32x4_shuffle(v, v, 0, 0, 0, 0);
    out[1] = wasm_i32x4_shuffle(v, v, 1, 1, 1, 1);
    out[2] = wasm_i32x4_shuffle(v, v, 2, 2, 2, 2);
    out[3] = wasm_i32x4_shuffle(v, v, 3, 3, 3, 3);
}

/* Of four rows, one a lane: y = (x − mean) · inverse − rest. */
typedef struct normaliser {
    v128_t mean, inverse, rest;
} normaliser;

/* Means of the first elements: every row has 32 lanes, zeros among them. */
WF_INLINE v128_t sample_means(const float *const x[4], uint32_t c) {
    v128_t sum[4];
    WF_UNROLL for (int r = 0; r < 4; r++) {
        sum[r] = wasm_v128_load(x[r]);
        WF_UNROLL for (int i = 4; i < SAMPLE; i += 4) {
            sum[r] = wasm_f32x4_add(sum[r], wasm_v128_load(x[r] + i));
        }
    }
    return wasm_f32x4_div(sum_of_four(sum), wasm_f32x4_splat((float)wf_min_u32(c, SAMPLE)));
}

WF_INLINE void add_moments(v128_t x, v128_t m, const bool centred, const bool sums, v128_t *sum, v128_t *squares) {
    v128_t d = centred ? wasm_f32x4_sub(x, m) : x;
    *sum = sums ? wasm_f32x4_add(*sum, d) : *sum;
    *squares = wf_madd(d, d, *squares);
}

/* Σ(x − m) (if `sums`) and Σ(x − m)² over rows of c elements, one row a lane; `centred`: m is not zero. */
WF_INLINE void moments(const float *const x[4], uint32_t c, const v128_t m[4], const bool centred, const bool sums,
                       v128_t *first, v128_t *second) {
    const uint32_t whole = c / 4 * 4;
    v128_t sum[4], squares[4];
    WF_UNROLL for (int r = 0; r < 4; r++) {
        sum[r] = squares[r] = wasm_f32x4_splat(0);
    }
    uint32_t i = 0;
    for (; i + 8 <= whole; i += 8) {
        WF_UNROLL for (int r = 0; r < 8; r++) {
            add_moments(wasm_v128_load(x[r / 2] + i + r % 2 * 4), m[r / 2], centred, sums, &sum[r / 2], &squares[r / 2]);
        }
    }
    for (; i < whole; i += 4) {
        WF_UNROLL for (int r = 0; r < 4; r++) {
            add_moments(wasm_v128_load(x[r] + i), m[r], centred, sums, &sum[r], &squares[r]);
        }
    }
    if (whole != c) {
        v128_t mask = wf_lane_mask(c - whole);
        WF_UNROLL for (int r = 0; r < 4; r++) {
            v128_t d = wasm_v128_load(x[r] + whole);
            d = wasm_v128_and(centred ? wasm_f32x4_sub(d, m[r]) : d, mask);
            sum[r] = sums ? wasm_f32x4_add(sum[r], d) : sum[r];
            squares[r] = wf_madd(d, d, squares[r]);
        }
    }
    *first = sums ? sum_of_four(sum) : wasm_f32x4_splat(0);
    *second = sum_of_four(squares);
}

static v128_t inverse_root(v128_t square, float eps) {
    v128_t root = wasm_f32x4_sqrt(wasm_f32x4_add(square, wasm_f32x4_splat(eps)));
    return wasm_f32x4_div(wasm_f32x4_splat(1), root);
}

static normaliser measure_rows(const float *const x[4], uint32_t c, const wf_op_params *p) {
    const v128_t none = wasm_f32x4_splat(0);
    normaliser n = {none, none, none};
    v128_t m[4] = {none, none, none, none}, sum, squares;
    if (p->norm_by == WF_BY_RMS) {
        moments(x, c, m, false, false, &sum, &squares);
        n.inverse = inverse_root(wasm_f32x4_div(squares, wasm_f32x4_splat((float)c)), p->eps);
        return n;
    }
    if (p->norm_by == WF_BY_CRMS || p->norm_by == WF_BY_CARRIED) {
        moments(x, c, m, false, true, &sum, &squares);
        squares = wasm_f32x4_add(squares, wasm_f32x4_mul(sum, sum));
        n.inverse = inverse_root(wasm_f32x4_div(squares, wasm_f32x4_splat((float)(p->count != 0 ? p->count : c + 1))), p->eps);
        return n;
    }
    const v128_t count = wasm_f32x4_splat((float)c), sample = sample_means(x, c);
    splat_lanes(sample, m);
    moments(x, c, m, true, true, &sum, &squares);
    v128_t shift = wasm_f32x4_div(sum, count); /* the mean − the sample's */
    v128_t variance = wasm_f32x4_sub(wasm_f32x4_div(squares, count), wasm_f32x4_mul(shift, shift));
    n.inverse = inverse_root(wasm_f32x4_max(variance, none), p->eps);
    n.mean = wasm_f32x4_add(sample, shift);
    v128_t lost = wasm_f32x4_add(wasm_f32x4_sub(sample, n.mean), shift);
    v128_t far = wasm_f32x4_gt(wasm_f32x4_abs(wasm_f32x4_mul(n.mean, n.inverse)), wasm_f32x4_splat(4));
    n.rest = wasm_v128_and(wasm_f32x4_mul(lost, n.inverse), far);
    return n;
}

/* Four vectors of x, one of each row, normalised. A rest of 0 changes no bit, nor does a scale (of the bias) of 1. */
WF_INLINE void normal_at(v128_t v[4], const v128_t mean[4], const v128_t inverse[4], const v128_t *rest,
                         const float *weight, const float *bias, const v128_t *scale, const bool centred) {
    WF_UNROLL for (int r = 0; r < 4; r++) {
        v[r] = wasm_f32x4_mul(centred ? wasm_f32x4_sub(v[r], mean[r]) : v[r], inverse[r]);
        v[r] = rest != NULL ? wasm_f32x4_sub(v[r], rest[r]) : v[r];
    }
    if (weight != NULL) {
        v128_t w = wasm_v128_load(weight);
        WF_UNROLL for (int r = 0; r < 4; r++) {
            v[r] = wasm_f32x4_mul(v[r], w);
        }
    }
    if (bias != NULL) {
        v128_t b = scale != NULL ? wasm_f32x4_mul(wasm_v128_load(bias), *scale) : wasm_v128_load(bias);
        WF_UNROLL for (int r = 0; r < 4; r++) {
            v[r] = wasm_f32x4_add(v[r], b);
        }
    }
}

/* Elements of a row that the norm is about. */
static uint32_t normed(const wf_op_call *call) { return call->out.shape.c - (call->p->norm_by == WF_BY_CARRIED ? 1 : 0); }

static float scale_of(const wf_op_call *call) { return call->p->depth != 0 ? 1 / __builtin_sqrtf((float)call->p->depth) : 1; }

/* A weight that is one for all channels, or NULL. */
static const float *single_weight(const wf_op_call *call) { return call->w[0].k == 1 ? call->w[0].data : NULL; }

/* What multiplies whole rows goes into what every element is multiplied by anyhow. */
static void scale_rows(const wf_op_call *call, normaliser *n) {
    const float *single = single_weight(call);
    v128_t factor = wasm_f32x4_splat(scale_of(call) * (single != NULL ? *single : 1));
    n->inverse = wasm_f32x4_mul(n->inverse, factor);
    n->rest = wasm_f32x4_mul(n->rest, factor);
}

/* Which parts there are is known where this is inlined, but for `any`, which looks at every vector. */
typedef enum parts { ANY, CENTRED_AFFINE, CENTRED, SCALED } parts;

/* rows: how many of the four are written; x and y may be the same rows. */
WF_INLINE void apply(const wf_op_call *call, const normaliser *n, const float *const x[4], float *const y[4],
                     const parts how) {
    const uint32_t c = normed(call), stride = wf_shape_stride(&call->out.shape), whole = c / 4 * 4;
    const float *weight = single_weight(call) == NULL ? call->w[0].data : NULL, *bias = call->w[1].data; /* [stride] each, or absent */
    const v128_t scale = wasm_f32x4_splat(scale_of(call));
    v128_t mean[4], inverse[4], rest[4];
    splat_lanes(n->mean, mean);
    splat_lanes(n->inverse, inverse);
    splat_lanes(n->rest, rest);
    for (uint32_t i = 0; i < stride; i += 4) {
        v128_t v[4];
        WF_UNROLL for (int r = 0; r < 4; r++) {
            v[r] = wasm_v128_load(x[r] + i);
        }
        if (how == CENTRED_AFFINE) {
            normal_at(v, mean, inverse, NULL, weight + i, bias + i, NULL, true);
        } else if (how == CENTRED) {
            normal_at(v, mean, inverse, NULL, NULL, NULL, NULL, true);
        } else if (how == SCALED) {
            normal_at(v, mean, inverse, NULL, weight + i, NULL, NULL, false);
        } else {
            normal_at(v, mean, inverse, rest, weight != NULL ? weight + i : NULL, bias != NULL ? bias + i : NULL, &scale, true);
        }
        if (i >= whole) {
            v128_t mask = wf_lane_mask(c > i ? c - i : 0);
            WF_UNROLL for (int r = 0; r < 4; r++) {
                v[r] = wasm_v128_and(v[r], mask);
            }
        }
        WF_UNROLL for (int r = 0; r < 4; r++) {
            wasm_v128_store(y[r] + i, v[r]);
        }
    }
}

static void apply_rows(const wf_op_call *call, const normaliser *n, const float *const x[4], float *const y[4]) {
    const bool weight = call->w[0].data != NULL && single_weight(call) == NULL, bias = call->w[1].data != NULL;
    if (wasm_v128_any_true(n->rest) || (bias && call->p->depth > 1)) {
        apply(call, n, x, y, ANY);
    } else if (call->p->norm_by == WF_BY_DEVIATION && weight && bias) {
        apply(call, n, x, y, CENTRED_AFFINE);
    } else if (call->p->norm_by == WF_BY_DEVIATION && !weight && !bias) {
        apply(call, n, x, y, CENTRED);
    } else if (call->p->norm_by != WF_BY_DEVIATION && weight && !bias) {
        apply(call, n, x, y, SCALED);
    } else {
        apply(call, n, x, y, ANY);
    }
}

/* Bytes are made of four rows of floats in scratch memory. */
static size_t scratch_bytes(const wf_op_call *call) {
    return call->p->out_u8 ? 4 * (size_t)wf_shape_stride(&call->out.shape) * sizeof(float) : 0;
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    const wf_shape *s = &call->out.shape;
    const bool bytes = call->p->out_u8 != 0;
    const uint32_t stride = wf_shape_stride(s);
    wf_grid grid = bytes ? wf_grid_of(&call->w[WF_W_OUT_GRID]) : (wf_grid){0};
    uint32_t rows = wf_round_up(wf_tile_rows(wf_shape_stride(s)), 4);
    uint32_t end = wf_min_u32((tile + 1) * rows, wf_shape_rows(s));
    for (uint32_t row = tile * rows; row < end; row += 4) {
        const float *x[4];
        float *y[4];
        for (uint32_t r = 0; r < 4; r++) {
            x[r] = wf_row_f32(&call->in[0], wf_min_u32(row + r, end - 1));
            y[r] = bytes ? (float *)scratch + (size_t)r * stride : wf_row_f32(&call->out, wf_min_u32(row + r, end - 1));
        }
        normaliser four = measure_rows(x, normed(call), call->p);
        scale_rows(call, &four);
        apply_rows(call, &four, x, y);
        for (uint32_t r = 0; bytes && r < 4 && row + r < end; r++) {
            wf_bytes_static(&grid, y[r], stride, (uint8_t *)call->out.data + (size_t)(row + r) * stride);
        }
    }
}

extern const wf_op_impl wf_layer_norm_simd;
const wf_op_impl wf_layer_norm_simd = {1, tiles, run, scratch_bytes, NULL};
