/* The inner step of the integer micro-kernels (gemm_i8_tile.c, gemm_q8_0_tile.c), in their lowerings (dot_probe.c):
   four bytes of weights and of activations a lane through the relaxed dot, or two int16 through
   i32x4.dot_i16x8_s; or the relaxed dot's sums of two bytes' products, which i32x4.dot_i16x8_s with ones
   adds up. Shifting a lane k₀k₁k₂k₃ right by 8 in 16-bit lanes leaves k₁ and k₃, shifting left first leaves k₀ and k₂, without
   a shuffle; activations are stored in that order. */
#ifndef WF_KERNELS_SIMD128_BYTE_PRODUCTS_H
#define WF_KERNELS_SIMD128_BYTE_PRODUCTS_H

#include <stdbool.h>

#include "base/simd.h"

WF_INLINE v128_t wf_odd_bytes(v128_t v) { return wasm_i16x8_shr(v, 8); }
WF_INLINE v128_t wf_even_bytes(v128_t v) { return wasm_i16x8_shr(wasm_i16x8_shl(v, 8), 8); }

/* sum[i, j] += the products of w[j] with the four bytes at a[i] + at; rows, vectors and dot are constants. */
WF_INLINE void wf_add_products(v128_t sum[12], const v128_t *w, const char *const a[6], size_t at, const uint32_t rows,
                               const uint32_t vectors, const bool dot) {
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        v128_t x = wasm_v128_load32_splat(a[i] + at);
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            v128_t *s = &sum[i * vectors + j];
#if WF_SIMD_HAS_DOT
            if (dot) {
                *s = wf_dot_i8x16_add(w[j], x, *s);
                continue;
            }
#endif
            (void)dot;
            *s = wasm_i32x4_add(*s, wasm_i32x4_dot_i16x8(w[j], x));
        }
    }
}

#if WF_SIMD_HAS_DOT
/* Eight 1 of 16 bits, in a register while a loop runs. */
WF_INLINE v128_t wf_ones(void) {
    static const int32_t table[] = {0x00010001};
    return wf_i32x4_at(wf_table(table), 0);
}

/* The same by sums of two products in 16 bits. */
WF_INLINE void wf_add_pairs(v128_t sum[12], const v128_t *w, v128_t ones, const char *const a[6], size_t at, const uint32_t rows,
                            const uint32_t vectors) {
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        v128_t x = wasm_v128_load32_splat(a[i] + at);
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            v128_t *s = &sum[i * vectors + j];
            *s = wasm_i32x4_add(*s, wasm_i32x4_dot_i16x8(wf_pairs_i8x16(w[j], x), ones));
        }
    }
}
#endif

#endif
