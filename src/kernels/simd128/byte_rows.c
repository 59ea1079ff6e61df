/* Quantizing rows to bytes: static, one pass of 6 operations for 4 elements; dynamic, after a pass for the largest magnitude
   (quantize_row.c). Then, where the CPU's dot does not read unsigned bytes, a pass that brings them into its form. */
#include "kernels/simd128/byte_rows.h"

#include "kernels/simd128/quantize_row.h"

void wf_bytes_static(const wf_grid *grid, const float *x, uint32_t k, uint8_t *u) {
    const wf_byte_rounding rounding = wf_byte_rounding_of(grid->zero);
    v128_t inverse[4];
    WF_UNROLL for (int j = 0; j < 4; j++) {
        inverse[j] = wasm_f32x4_splat(grid->inverse);
    }
    for (uint32_t i = 0; i < k; i += 16) {
        v128_t q[4];
        WF_UNROLL for (int j = 0; j < 4; j++) {
            v128_t of = inverse[j];
            if (grid->gain != NULL) {
                of = wasm_f32x4_mul(wasm_v128_load(grid->gain + i + 4 * j), of);
            }
            q[j] = wf_byte_steps(wasm_f32x4_mul(wasm_v128_load(x + i + 4 * j), of), &rounding);
        }
        wasm_v128_store(u + i, wf_bytes_of(q[0], q[1], q[2], q[3]));
    }
}

float wf_bytes_dynamic(const float *x, uint32_t k, uint8_t *u) { return wf_quantize_row(WF_DOT_U8S8, x, k, u); }

static void widen_row(const uint8_t *u, uint32_t k, int32_t zero, int16_t *out) {
    const v128_t zeros = wasm_i16x8_splat((int16_t)zero);
    for (uint32_t i = 0; i < k; i += 16) {
        v128_t v = wasm_v128_load(u + i);
        v = wasm_i8x16_shuffle(v, v, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
        wasm_v128_store(out + i, wasm_i16x8_sub(wasm_u16x8_extend_low_u8x16(v), zeros));
        wasm_v128_store(out + i + 8, wasm_i16x8_sub(wasm_u16x8_extend_high_u8x16(v), zeros));
    }
}

void wf_form_row(wf_dot dot, const uint8_t *u, uint32_t k, int32_t zero, void *out) {
    if (dot == WF_DOT_I16) {
        widen_row(u, k, zero, out);
        return;
    }
    const v128_t flip = wasm_i8x16_splat(dot == WF_DOT_S8S8 ? -128 : 0);
    for (uint32_t i = 0; i < k; i += 16) {
        wasm_v128_store((uint8_t *)out + i, wasm_v128_xor(wasm_v128_load(u + i), flip));
    }
}
