/* group_norm, fast, in three phases:
     0  each block of rows (16 KiB, whatever the thread count): its mean and its centred sum of
        squares M2 = Σ(x − mean)², both from one pass around the mean of its first elements
     1  each segment: the blocks joined in their order, in double (Chan, Golub and LeVeque 1983):
        mean = Σ nᵢ meanᵢ / n,  M2 = Σ M2ᵢ + Σ nᵢ (meanᵢ − mean)²
        and the factors of each channel
     2  each block: (x − mean) · (inverse [· w0]) [+ w1]
   Zero lanes are harmless in Σx but not in Σ(x − m)²: there the last vector of a row is masked;
   where c is a multiple of 32 a block is one run without rows. Only the sums within a block are
   float; the mean is applied in two parts, so a map whose mean is 1000 deviations loses nothing.
   Limit: memory, 8 bytes in and 4 out an element, beside 7 vector operations for four. */
#include "kernels/simd128/byte_rows.h"
#include "kernels/simd128/rows.h"

typedef struct block_moments {
    double mean, squares;
} block_moments;

typedef struct segment_moments {
    float mean, rest; /* mean + rest is the mean to double the digits */
    float inverse;    /* 1/√(variance + eps) */
    float unused;     /* the factors that follow lie at multiples of 16 bytes */
} segment_moments;

static uint32_t segment_rows(const wf_op_call *call) { return call->in[0].shape.h * call->in[0].shape.w; }

static uint32_t block_rows(const wf_op_call *call) {
    return wf_tile_rows(wf_shape_stride(&call->in[0].shape));
}

static uint32_t segment_blocks(const wf_op_call *call) {
    return wf_ceil_div(segment_rows(call), block_rows(call));
}

/* Workspace: moments [n, blocks], then the segments' [n] and their factors [n, 2, stride]. */
static size_t workspace_bytes(const wf_op_call *call) {
    const wf_shape *s = &call->in[0].shape;
    size_t factors = 2 * (size_t)wf_shape_stride(s) * sizeof(float);
    return s->n * (segment_blocks(call) * sizeof(block_moments) + sizeof(segment_moments) + factors);
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    return phase == 1 ? call->in[0].shape.n : call->in[0].shape.n * segment_blocks(call);
}

/* The mean of the first rows of a block, so many that they hold some 64 elements: a number near the
   block's mean, around which squares stay small. Zero lanes add nothing. */
static float sample_mean(const float *x, uint32_t rows, uint32_t c, uint32_t stride) {
    uint32_t count = wf_min_u32(rows, wf_ceil_div(64, c));
    v128_t s[4];
    WF_UNROLL
    for (int v = 0; v < 4; v++) {
        s[v] = wasm_f32x4_splat(0);
    }
    for (size_t i = 0; i < (size_t)count * stride; i += 16) {
        WF_UNROLL
        for (int v = 0; v < 4; v++) {
            s[v] = wasm_f32x4_add(s[v], wasm_v128_load(x + i + 4 * v));
        }
    }
    double sum = wf_sum_lanes(s[0]) + wf_sum_lanes(s[1]) + wf_sum_lanes(s[2]) + wf_sum_lanes(s[3]);
    return (float)(sum / ((double)count * c));
}

/* Σ(x − mean) and Σ(x − mean)² over `runs` runs of `length` floats, `stride` apart; only logical
   elements enter. */
static void sum_moments(const float *x, uint32_t runs, uint32_t length, uint32_t stride, float mean,
                        double *sum, double *squares) {
    v128_t m = wasm_f32x4_splat(mean), mask = wf_lane_mask(length % 4), s[4], q[4];
    WF_UNROLL
    for (int v = 0; v < 4; v++) {
        s[v] = q[v] = wasm_f32x4_splat(0);
    }
    for (uint32_t run = 0; run < runs; run++, x += stride) {
        uint32_t i = 0;
        for (; i + 16 <= length; i += 16) {
            WF_UNROLL
            for (int v = 0; v < 4; v++) {
                v128_t d = wasm_f32x4_sub(wasm_v128_load(x + i + 4 * v), m);
                s[v] = wasm_f32x4_add(s[v], d);
                q[v] = wf_madd(d, d, q[v]);
            }
        }
        for (; i < length; i += 4) {
            v128_t d = wasm_f32x4_sub(wasm_v128_load(x + i), m);
            d = i + 4 <= length ? d : wasm_v128_and(d, mask);
            s[0] = wasm_f32x4_add(s[0], d);
            q[0] = wf_madd(d, d, q[0]);
        }
    }
    *sum = *squares = 0;
    for (int v = 0; v < 4; v++) {
        *sum += wf_sum_lanes(s[v]);
        *squares += wf_sum_lanes(q[v]);
    }
}

static void measure_block(const wf_op_call *call, uint32_t tile) {
    const wf_shape *s = &call->in[0].shape;
    uint32_t blocks = segment_blocks(call), segment = tile / blocks, first = tile % blocks * block_rows(call);
    uint32_t rows = wf_min_u32(block_rows(call), segment_rows(call) - first), stride = wf_shape_stride(s);
    const float *x = wf_row_f32(&call->in[0], segment * segment_rows(call) + first);
    double count = (double)rows * s->c, sum, squares;
    bool one_run = stride == s->c && rows > 1;
    uint32_t runs = one_run ? 1 : rows, length = one_run ? rows * stride : s->c;
    float rough = sample_mean(x, rows, s->c, stride);
    sum_moments(x, runs, length, stride, rough, &sum, &squares);
    double shift = sum / count; /* from the sample's mean to the block's */
    block_moments *m = (block_moments *)call->workspace + tile;
    m->mean = rough + shift;
    m->squares = squares - count * shift * shift;
}

static segment_moments *segment_slot(const wf_op_call *call, uint32_t segment) {
    block_moments *blocks = call->workspace;
    return (segment_moments *)(blocks + (size_t)call->in[0].shape.n * segment_blocks(call)) + segment;
}

static void join_blocks(const wf_op_call *call, uint32_t segment) {
    uint32_t blocks = segment_blocks(call), rows = segment_rows(call), c = call->in[0].shape.c;
    const block_moments *m = (const block_moments *)call->workspace + (size_t)segment * blocks;
    double count = (double)rows * c, sum = 0, squares = 0;
    for (uint32_t b = 0; b < blocks; b++) {
        sum += (double)wf_min_u32(block_rows(call), rows - b * block_rows(call)) * c * m[b].mean;
    }
    double mean = sum / count;
    for (uint32_t b = 0; b < blocks; b++) {
        double n = (double)wf_min_u32(block_rows(call), rows - b * block_rows(call)) * c,
               off = m[b].mean - mean;
        squares += m[b].squares + n * off * off;
    }
    segment_moments *out = segment_slot(call, segment);
    out->mean = (float)mean;
    out->rest = (float)(mean - out->mean);
    out->inverse = (float)(1 / __builtin_sqrt(squares / count + call->p->eps));
}

/* The segment's factors, [stride] each: scale = inverse [· w0], shift = [w1] − rest · scale; behind c both are zero,
   and so is (0 − mean) · 0 + 0. */
static float *segment_scale(const wf_op_call *call, uint32_t segment) {
    const wf_shape *s = &call->in[0].shape;
    return (float *)segment_slot(call, s->n) + (size_t)segment * 2 * wf_shape_stride(s);
}

static void prepare_factors(const wf_op_call *call, uint32_t segment) {
    const segment_moments *m = segment_slot(call, segment);
    const uint32_t stride = wf_shape_stride(&call->in[0].shape), c = call->in[0].shape.c;
    const float *weight = call->w[0].data, *bias = call->w[1].data; /* [stride] each, or absent */
    float *scale = segment_scale(call, segment), *shift = scale + stride;
    for (uint32_t i = 0; i < stride; i += 4) {
        v128_t inverse = wasm_v128_and(wasm_f32x4_splat(m->inverse), wf_lane_mask(c > i ? c - i : 0));
        v128_t factor = weight != NULL ? wasm_f32x4_mul(wasm_v128_load(weight + i), inverse) : inverse;
        v128_t added = bias != NULL ? wasm_v128_load(bias + i) : wasm_f32x4_splat(0);
        wasm_v128_store(scale + i, factor);
        wasm_v128_store(shift + i, wasm_f32x4_sub(added, wasm_f32x4_mul(wasm_f32x4_splat(m->rest), factor)));
    }
}

/* The same as bytes on the reader's grid. */
static void apply_bytes(const wf_op_call *call, const segment_moments *m, const float *x, const float *scale, const float *shift,
                        uint32_t rows, uint8_t *u) {
    const uint32_t stride = wf_shape_stride(&call->in[0].shape);
    const wf_grid grid = wf_grid_of(&call->w[WF_W_OUT_GRID]);
    const v128_t mean = wasm_f32x4_splat(m->mean), inverse = wasm_f32x4_splat(grid.inverse);
    const wf_byte_rounding rounding = wf_byte_rounding_of(grid.zero);
    for (; rows > 0; rows--, x += stride, u += stride) {
        for (uint32_t i = 0; i < stride; i += 16) {
            v128_t y[4];
            WF_UNROLL
            for (uint32_t v = 0; v < 4; v++) {
                uint32_t at = i + 4 * v;
                v128_t centred = wasm_f32x4_sub(wasm_v128_load(x + at), mean), step = inverse;
                step = grid.gain != NULL ? wasm_f32x4_mul(wasm_v128_load(grid.gain + at), step) : step;
                y[v] = wf_madd(centred, wasm_v128_load(scale + at), wasm_v128_load(shift + at));
                y[v] = wf_byte_steps(wasm_f32x4_mul(y[v], step), &rounding);
            }
            wasm_v128_store(u + i, wf_bytes_of(y[0], y[1], y[2], y[3]));
        }
    }
}

static void apply_block(const wf_op_call *call, uint32_t tile) {
    uint32_t blocks = segment_blocks(call), segment = tile / blocks;
    uint32_t first = tile % blocks * block_rows(call);
    uint32_t rows = wf_min_u32(block_rows(call), segment_rows(call) - first);
    uint32_t row = segment * segment_rows(call) + first, stride = wf_shape_stride(&call->in[0].shape);
    const float *x = wf_row_f32(&call->in[0], row);
    const float *scale = segment_scale(call, segment), *shift = scale + stride;
    if (call->p->out_u8) {
        apply_bytes(call, segment_slot(call, segment), x, scale, shift, rows, (uint8_t *)call->out.data + (size_t)row * stride);
        return;
    }
    float *y = wf_row_f32(&call->out, row);
    const v128_t mean = wasm_f32x4_splat(segment_slot(call, segment)->mean);
    for (; rows > 0; rows--, x += stride, y += stride) {
        for (uint32_t i = 0; i < stride; i += 16) {
            WF_UNROLL
            for (uint32_t v = 0; v < 16; v += 4) {
                v128_t centred = wasm_f32x4_sub(wasm_v128_load(x + i + v), mean);
                v128_t factor = wasm_v128_load(scale + i + v);
                wasm_v128_store(y + i + v, wf_madd(centred, factor, wasm_v128_load(shift + i + v)));
            }
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)scratch;
    if (phase == 0) {
        measure_block(call, tile);
    } else if (phase == 1) {
        join_blocks(call, tile);
        prepare_factors(call, tile);
    } else {
        apply_block(call, tile);
    }
}

extern const wf_op_impl wf_group_norm_simd;
const wf_op_impl wf_group_norm_simd = {3, tiles, run, NULL, workspace_bytes};
