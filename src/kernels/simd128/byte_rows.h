/* Rows of bytes for the int8 products (kernels/quantize.h has the definition of their grids), and the forms in which a lowering
   of the dot reads them:
       WF_DOT_U8S8, WF_DOT_PAIRS   the bytes themselves
       WF_DOT_S8S8   bytes − 128
       WF_DOT_I16    int16, byte − zero, the four elements of a group in the order 0 2 1 3 */
#ifndef WF_KERNELS_SIMD128_BYTE_ROWS_H
#define WF_KERNELS_SIMD128_BYTE_ROWS_H

#include <stdbool.h>

#include "base/simd.h"
#include "kernels/codec.h"

/* What rounding to bytes needs: 1.5 · 2²³ + zero, the bits of 1.5 · 2²³, and −2²², below which the trick with the bits ends. */
typedef struct wf_byte_rounding {
    v128_t shift, bits, lowest;
} wf_byte_rounding;

WF_INLINE wf_byte_rounding wf_byte_rounding_of(int32_t zero) {
    static const uint32_t table[] = {0x4b400000u, 0xca800000u}; /* as a v128.const they would be dear (README.md) */
    const uint32_t *k = wf_table(table);
    return (wf_byte_rounding){wasm_f32x4_splat(12582912.0f + (float)zero), wasm_v128_load32_splat(k), wasm_v128_load32_splat(k + 1)};
}

/* Four numbers of steps → four int32 that saturate to bytes: nearest(steps + zero). */
WF_INLINE v128_t wf_byte_steps(v128_t steps, const wf_byte_rounding *r) {
    return wasm_i32x4_sub(wasm_f32x4_add(wasm_f32x4_pmax(r->lowest, steps), r->shift), r->bits);
}

WF_INLINE v128_t wf_bytes_of(v128_t a, v128_t b, v128_t c, v128_t d) {
    return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b), wasm_i16x8_narrow_i32x4(c, d));
}

/* x[k] → u[k], k a multiple of 16; grid->gain has k elements. */
void wf_bytes_static(const wf_grid *grid, const float *x, uint32_t k, uint8_t *u);
/* The same with a step of the row's own, which is returned; zero is 128. */
float wf_bytes_dynamic(const float *x, uint32_t k, uint8_t *u);

/* Whether the dot reads bytes as they are. */
static inline bool wf_form_is_bytes(wf_dot dot) { return dot == WF_DOT_U8S8 || dot == WF_DOT_PAIRS; }
/* Bytes of a row of k elements (a multiple of 32) in the form of a lowering. */
static inline size_t wf_form_bytes(wf_dot dot, uint32_t k) { return dot == WF_DOT_I16 ? 2 * (size_t)k : k; }
/* What the form leaves to be subtracted from a sum, in units of Σ W. */
static inline int32_t wf_form_offset(wf_dot dot, int32_t zero) {
    return wf_form_is_bytes(dot) ? zero : dot == WF_DOT_S8S8 ? zero - 128 : 0;
}
/* u[k] → the form; for the byte forms out may be u. k a multiple of 16. */
void wf_form_row(wf_dot dot, const uint8_t *u, uint32_t k, int32_t zero, void *out);

#endif
