/* group_norm, fast: three phases. 0: for each block of rows (16 KiB, whatever the thread count) the
   mean and the centred sum of squares M2 = Σ(x − mean)², the second pass from L1. 1: per segment,
   the blocks' means and M2 are joined in block order, in double: mean = Σ nᵢ meanᵢ / n,  M2 = Σ M2ᵢ
   + Σ nᵢ (meanᵢ − mean)²   (Chan, Golub and LeVeque 1983) 2: per block, (x − mean) · inverse [· w0
   + w1]. Zero lanes are harmless in Σx but not in Σ(x − m)², so the last vector of a row is masked;
   where c is a multiple of 32 a block is one run without rows. Against the scalar kernel: float
   sums within a block of at most 4096 elements (or one row), everything else as there. Limit:
   memory, 8 bytes in and 4 out an element. */
#include "kernels/simd128/rows.h"

typedef struct block_moments {
    double mean, squares;
} block_moments;

typedef struct segment_moments {
    float mean, inverse;
} segment_moments;

static uint32_t segment_rows(const wf_op_call *call) {
    return call->in[0].shape.h * call->in[0].shape.w;
}

static uint32_t block_rows(const wf_op_call *call) {
    return wf_tile_rows(wf_shape_stride(&call->in[0].shape));
}

static uint32_t segment_blocks(const wf_op_call *call) {
    return wf_ceil_div(segment_rows(call), block_rows(call));
}

/* Workspace: moments [n, blocks], then the segments' [n]. */
static size_t workspace_bytes(const wf_op_call *call) {
    return call->in[0].shape.n *
           (segment_blocks(call) * sizeof(block_moments) + sizeof(segment_moments));
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    return phase == 1 ? call->in[0].shape.n : call->in[0].shape.n * segment_blocks(call);
}

/* Σ(x − mean) and Σ(x − mean)² over `runs` runs of `length` floats, `stride` apart; only logical
 * elements enter. */
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
                q[v] = wasm_f32x4_add(q[v], wasm_f32x4_mul(d, d));
            }
        }
        for (; i < length; i += 4) {
            v128_t d = wasm_f32x4_sub(wasm_v128_load(x + i), m);
            d = i + 4 <= length ? d : wasm_v128_and(d, mask);
            s[0] = wasm_f32x4_add(s[0], d);
            q[0] = wasm_f32x4_add(q[0], wasm_f32x4_mul(d, d));
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
    uint32_t blocks = segment_blocks(call), segment = tile / blocks,
             first = tile % blocks * block_rows(call);
    uint32_t rows = wf_min_u32(block_rows(call), segment_rows(call) - first),
             stride = wf_shape_stride(s);
    const float *x = wf_row_f32(&call->in[0], segment * segment_rows(call) + first);
    double count = (double)rows * s->c, sum, squares;
    bool one_run = stride == s->c && rows > 1;
    uint32_t runs = one_run ? 1 : rows, length = one_run ? rows * stride : s->c;
    sum_moments(x, runs, length, stride, 0, &sum, &squares);
    float rough = (float)(sum / count);
    sum_moments(x, runs, length, stride, rough, &sum, &squares);
    double shift = sum / count; /* what rounding and float sums cost the first mean */
    block_moments *m = (block_moments *)call->workspace + tile;
    m->mean = rough + shift;
    m->squares = squares - count * shift * shift;
}

static segment_moments *segment_slot(const wf_op_call *call, uint32_t segment) {
    block_moments *blocks = call->workspace;
    return (segment_moments *)(blocks + (size_t)call->in[0].shape.n * segment_blocks(call)) +
           segment;
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
    out->inverse = (float)(1 / __builtin_sqrt(squares / count + call->p->eps));
}

WF_INLINE v128_t normal_at(const float *x, v128_t mean, v128_t inverse, const float *weight,
                           const float *bias, uint32_t i) {
    v128_t y = wasm_f32x4_mul(wasm_f32x4_sub(wasm_v128_load(x + i), mean), inverse);
    y = weight != NULL ? wasm_f32x4_mul(y, wasm_v128_load(weight + i)) : y;
    return bias != NULL ? wasm_f32x4_add(y, wasm_v128_load(bias + i)) : y;
}

static void apply_block(const wf_op_call *call, uint32_t tile) {
    const wf_shape *s = &call->in[0].shape;
    uint32_t blocks = segment_blocks(call), segment = tile / blocks,
             first = tile % blocks * block_rows(call);
    uint32_t rows = wf_min_u32(block_rows(call), segment_rows(call) - first),
             stride = wf_shape_stride(s);
    uint32_t row = segment * segment_rows(call) + first, whole = s->c / 4 * 4;
    const float *weight = call->w[0].data, *bias = call->w[1].data,
                *x = wf_row_f32(&call->in[0], row);
    const segment_moments *m = segment_slot(call, segment);
    v128_t mean = wasm_f32x4_splat(m->mean), inverse = wasm_f32x4_splat(m->inverse),
           mask = wf_lane_mask(s->c % 4);
    float *y = wf_row_f32(&call->out, row);
    for (uint32_t r = 0; r < rows; r++, x += stride, y += stride) {
        uint32_t i = 0;
        for (; i < whole; i += 4) {
            wasm_v128_store(y + i, normal_at(x, mean, inverse, weight, bias, i));
        }
        if (i < s->c) {
            wasm_v128_store(y + i,
                            wasm_v128_and(normal_at(x, mean, inverse, weight, bias, i), mask));
            i += 4;
        }
        for (; i < stride; i += 4) {
            wasm_v128_store(y + i, wasm_f32x4_splat(0));
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)scratch;
    if (phase == 0) {
        measure_block(call, tile);
    } else if (phase == 1) {
        join_blocks(call, tile);
    } else {
        apply_block(call, tile);
    }
}

extern const wf_op_impl wf_group_norm_simd;
const wf_op_impl wf_group_norm_simd = {3, tiles, run, NULL, workspace_bytes};
