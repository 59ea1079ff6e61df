/* The softmax of a row of scores, without its last division: exp(scale · x − largest) in place, zeros
   behind, and 1 / Σ for whoever uses the row. Two passes: one load, a product and a maximum for four
   scores, then the exp of vmath.h, which is the cost. */
#ifndef WF_KERNELS_SIMD128_SOFTMAX_ROW_H
#define WF_KERNELS_SIMD128_SOFTMAX_ROW_H

#include "kernels/simd128/rows.h"
#include "kernels/simd128/vmath.h"

/* scores: [padded], a multiple of 4, of which the first `count` (at least 1) count. */
WF_INLINE float wf_softmax_row(float *scores, uint32_t count, uint32_t padded, float scale) {
    const v128_t factor = wasm_f32x4_splat(scale);
    for (uint32_t j = count; j < padded; j++) {
        scores[j] = scores[0]; /* padding must not win the maximum */
    }
    v128_t largest = wasm_f32x4_mul(wasm_v128_load(scores), factor), sum = wasm_f32x4_splat(0);
    v128_t odd = largest; /* two at a time: a maximum waits for the one before it */
    uint32_t j = 4;
    for (; j + 8 <= padded; j += 8) {
        largest = wasm_f32x4_pmax(largest, wasm_f32x4_mul(wasm_v128_load(scores + j), factor));
        odd = wasm_f32x4_pmax(odd, wasm_f32x4_mul(wasm_v128_load(scores + j + 4), factor));
    }
    if (j < padded) {
        odd = wasm_f32x4_pmax(odd, wasm_f32x4_mul(wasm_v128_load(scores + j), factor));
    }
    largest = wasm_f32x4_pmax(largest, odd);
    largest = wasm_f32x4_pmax(largest, wasm_i32x4_shuffle(largest, largest, 2, 3, 0, 1));
    largest = wasm_f32x4_pmax(largest, wasm_i32x4_shuffle(largest, largest, 1, 0, 3, 2));
    for (j = 0; j + 4 <= count; j += 4) {
        v128_t e = wf_exp(wasm_f32x4_sub(wasm_f32x4_mul(wasm_v128_load(scores + j), factor), largest));
        sum = wasm_f32x4_add(sum, e);
        wasm_v128_store(scores + j, e);
    }
    for (; j < padded; j += 4) {
        v128_t e = wf_exp(wasm_f32x4_sub(wasm_f32x4_mul(wasm_v128_load(scores + j), factor), largest));
        e = wasm_v128_and(e, wf_lane_mask(count > j ? count - j : 0));
        sum = wasm_f32x4_add(sum, e);
        wasm_v128_store(scores + j, e);
    }
    return (float)(1 / wf_sum_lanes(sum));
}

#endif
