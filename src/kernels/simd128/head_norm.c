/* head_norm, fast: a head's elements stay in L1 over the three passes (mean, squares about it, result); whole vectors, then the
   rest one by one, for head sizes that are no multiple of four. Runs on the few models with qk_norm. */
#include <string.h>

#include "kernels/simd128/rows.h"

enum { ROWS = 16 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return wf_ceil_div(wf_shape_rows(&call->out.shape), ROWS);
}

static void normalise(float *v, uint32_t dim, float eps, const float *weight, const float *bias) {
    uint32_t whole = dim / 4 * 4;
    v128_t part = wasm_f32x4_splat(0);
    for (uint32_t i = 0; i < whole; i += 4) {
        part = wasm_f32x4_add(part, wasm_v128_load(v + i));
    }
    double sum = wf_sum_lanes(part), squares = 0;
    for (uint32_t i = whole; i < dim; i++) {
        sum += v[i];
    }
    float mean = (float)(sum / dim);
    v128_t centre = wasm_f32x4_splat(mean);
    part = wasm_f32x4_splat(0);
    for (uint32_t i = 0; i < whole; i += 4) {
        v128_t d = wasm_f32x4_sub(wasm_v128_load(v + i), centre);
        part = wasm_f32x4_add(part, wasm_f32x4_mul(d, d));
    }
    squares = wf_sum_lanes(part);
    for (uint32_t i = whole; i < dim; i++) {
        squares += ((double)v[i] - mean) * ((double)v[i] - mean);
    }
    float inverse = (float)(1 / __builtin_sqrt(squares / dim + eps));
    for (uint32_t i = 0; i < whole; i += 4) {
        v128_t y = wasm_f32x4_mul(wasm_f32x4_sub(wasm_v128_load(v + i), centre), wasm_f32x4_splat(inverse));
        y = weight != NULL ? wasm_f32x4_mul(y, wasm_v128_load(weight + i)) : y;
        wasm_v128_store(v + i, bias != NULL ? wasm_f32x4_add(y, wasm_v128_load(bias + i)) : y);
    }
    for (uint32_t i = whole; i < dim; i++) {
        float y = (v[i] - mean) * inverse * (weight != NULL ? weight[i] : 1);
        v[i] = bias != NULL ? y + bias[i] : y;
    }
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_op_params *p = call->p;
    uint32_t end = wf_min_u32((tile + 1) * ROWS, wf_shape_rows(&call->out.shape));
    for (uint32_t row = tile * ROWS; row < end; row++) {
        const float *x = wf_row_f32(&call->in[0], row);
        float *y = wf_row_f32(&call->out, row);
        if (x != y) {
            memcpy(y, x, wf_shape_stride(&call->out.shape) * sizeof *y);
        }
        for (uint32_t head = p->first; head < p->first + p->heads; head++) {
            normalise(y + (size_t)head * p->head_dim, p->head_dim, p->eps, call->w[0].data, call->w[1].data);
        }
    }
}

extern const wf_op_impl wf_head_norm_simd;
const wf_op_impl wf_head_norm_simd = {1, tiles, run, NULL, NULL};
