/* The softmax of a row of scores, without its last division: exp(scale · (x − largest)) in place, zeros
   behind, and 1 / Σ for whoever uses the row. Two passes: one load and a maximum for four scores,
   then 2 to the power of scale / ln 2 · (x − largest), which is the cost: the product with 1 / ln 2
   is part of the scale, so that nothing is left to reduce but the integer (vmath.h). The largest score
   gives exactly 1. */
#ifndef WF_KERNELS_SIMD128_SOFTMAX_ROW_H
#define WF_KERNELS_SIMD128_SOFTMAX_ROW_H

#include "kernels/simd128/rows.h"
#include "kernels/simd128/vmath.h"

/* scores: [padded], a multiple of 4, of which the first `count` (at least 1) count. scale > 0. */
WF_INLINE float wf_softmax_row(float *scores, uint32_t count, uint32_t padded, float scale) {
    for (uint32_t j = count; j < padded; j++) {
        scores[j] = scores[0]; /* padding must not win the maximum */
    }
    v128_t most[4], sum = wasm_f32x4_splat(0);
    WF_EACH(v, 4) most[v] = wasm_v128_load(scores);
    uint32_t j = 0;
    for (; j + 16 <= padded; j += 16) {
        WF_EACH(v, 4) most[v] = wasm_f32x4_pmax(most[v], wasm_v128_load(scores + j + 4 * v));
    }
    for (; j < padded; j += 4) {
        most[0] = wasm_f32x4_pmax(most[0], wasm_v128_load(scores + j));
    }
    v128_t largest = wasm_f32x4_pmax(wasm_f32x4_pmax(most[0], most[1]), wasm_f32x4_pmax(most[2], most[3]));
    largest = wasm_f32x4_pmax(largest, wasm_i32x4_shuffle(largest, largest, 2, 3, 0, 1));
    largest = wasm_f32x4_pmax(largest, wasm_i32x4_shuffle(largest, largest, 1, 0, 3, 2));
    const v128_t factor = wasm_f32x4_splat(scale * 1.44269504f);
    const wf_exp2_constants constants = wf_exp2_load();
    for (j = 0; j + 4 <= count; j += 4) {
        v128_t e = wf_exp2(&constants, wasm_f32x4_mul(wasm_f32x4_sub(wasm_v128_load(scores + j), largest), factor));
        sum = wasm_f32x4_add(sum, e);
        wasm_v128_store(scores + j, e);
    }
    for (; j < padded; j += 4) {
        v128_t e = wf_exp2(&constants, wasm_f32x4_mul(wasm_f32x4_sub(wasm_v128_load(scores + j), largest), factor));
        e = wasm_v128_and(e, wf_lane_mask(count > j ? count - j : 0));
        sum = wasm_f32x4_add(sum, e);
        wasm_v128_store(scores + j, e);
    }
    return (float)(1 / wf_sum_lanes(sum));
}

#endif
