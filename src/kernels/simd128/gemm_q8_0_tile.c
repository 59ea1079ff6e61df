/* The int8 micro-kernel in its lowerings (dot_probe.c), all from the same panels:
   WF_DOT_I16   i32x4.dot_i16x8_s on widened weights (byte_products.h). For many rows these are
                widened once, into memory.
   WF_DOT_U8S8  relaxed dot with activations + 128; the sums begin at −128 Σ qw.
   WF_DOT_S8S8  relaxed dot as it is; the sums begin at 0.
   The integer sums of a block stay in registers, the float sums of the tile in C (L1): together
   they are too many. Limit: per block and 6 × 8 tile 96 relaxed dots beside 12 conversions, 12
   fused additions and their loads and stores, 60–70 % of the plain int8 peak; with WF_DOT_I16 192
   dots and 192 additions beside the same, 85 %. */
#include "kernels/simd128/gemm_q8_0_tile.h"

#include "kernels/simd128/byte_products.h"

typedef enum lowering { WIDEN_ON_THE_WAY, WIDE, DOT } lowering;

/* C += d · sum for the block's integer sums. */
WF_INLINE void add_block(const wf_q8_0_tile *t, uint32_t block, const uint32_t rows, const uint32_t panels,
                         const v128_t *sum) {
    const uint32_t vectors = 2 * panels;
    const bool fresh = t->first && block == 0;
    v128_t scale[4];
    WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
        scale[j] = wasm_v128_load(t->b[(j / 2) * t->panel + block].scale + 4 * (j % 2));
    }
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            float *c = t->c + i * t->ldc + j / 2 * t->apart + 4 * (j % 2);
            v128_t old = fresh ? wasm_f32x4_splat(0) : wasm_v128_load(c);
            wasm_v128_store(c, wf_madd(wasm_f32x4_convert_i32x4(sum[i * vectors + j]), scale[j], old));
        }
    }
}

/* rows, panels and how are constants where this is inlined; minus is all ones if sums begin at −128
   Σ qw, else zero. */
WF_INLINE void tile(const wf_q8_0_tile *t, const uint32_t rows, const uint32_t panels,
                    const lowering how, v128_t minus) {
    const uint32_t vectors = 2 * panels;
    const uint32_t group_bytes = how == DOT ? 4 : 8; /* of a row of A: 4 elements */
    const char *a[6];
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        a[i] = (const char *)t->a + i * t->lda;
    }
    uint32_t block = 0;
    do { /* at least once, as in gemm_i8_tile.c */
        const wf_q8_0_panel_block *b[2];
        v128_t sum[12];
        WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
            b[p] = t->b + p * t->panel + block;
        }
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            v128_t begin = wasm_i32x4_splat(0);
            if (how == DOT) {
                begin = wasm_i32x4_load16x4(b[j / 2]->minus_sum + 4 * (j % 2));
                begin = wasm_v128_and(wasm_i32x4_shl(begin, 7), minus);
            }
            WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
                sum[i * vectors + j] = begin;
            }
        }
        v128_t w[4], odd[4];
        const int16_t *wide = how == WIDE ? &t->wide[block][0][0][0][0] : NULL;
        for (uint32_t half = 0; how == WIDE && half < WF_Q8_K / 2; half++, wide += 2 * WF_PANEL) {
            w[0] = wasm_v128_load(wide);
            w[1] = wasm_v128_load(wide + WF_PANEL);
            wf_add_products(sum, w, a, 4 * half, rows, 2, false);
        }
        const int8_t *q[2];
        WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
            q[p] = b[p]->q[0][0];
        }
        for (uint32_t group = 0; how != WIDE && group < WF_Q8_K / 4; group++) {
            WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
                w[j] = wasm_v128_load(q[j / 2] + 16 * (j % 2));
                if (how == WIDEN_ON_THE_WAY) {
                    odd[j] = wf_odd_bytes(w[j]);
                    w[j] = wf_even_bytes(w[j]);
                }
            }
            WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
                q[p] += 4 * WF_PANEL;
            }
            if (how == DOT) {
                wf_add_products(sum, w, a, 4 * group, rows, vectors, true);
            } else {
                wf_add_products(sum, w, a, 8 * group, rows, vectors, false);
                wf_add_products(sum, odd, a, 8 * group + 4, rows, vectors, false);
            }
        }
        WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
            a[i] += group_bytes * (WF_Q8_K / 4);
        }
        add_block(t, block, rows, panels, sum);
    } while (++block < t->blocks);
}

/* Functions of their own, so that each gets its own register allocation. */
#define TILE(how, rows, panels)                                                           \
    static __attribute__((noinline)) void tile_##how##_##rows##x##panels(                 \
        const wf_q8_0_tile *t, v128_t minus) {                                            \
        tile(t, rows, panels, how, minus);                                                \
    }
typedef void (*tile_function)(const wf_q8_0_tile *t, v128_t minus);

TILE(WIDEN_ON_THE_WAY, 1, 1) TILE(WIDEN_ON_THE_WAY, 3, 1) TILE(WIDEN_ON_THE_WAY, 4, 1)
TILE(WIDEN_ON_THE_WAY, 5, 1) TILE(WIDEN_ON_THE_WAY, 1, 2)
TILE(WIDE, 3, 1) TILE(WIDE, 4, 1) TILE(WIDE, 5, 1)

#if WF_SIMD_HAS_DOT
TILE(DOT, 1, 1) TILE(DOT, 3, 1) TILE(DOT, 4, 1) TILE(DOT, 5, 1) TILE(DOT, 6, 1) TILE(DOT, 1, 2)
#endif

/* By rows; [0] has one row and two panels. NULL: never asked for. */
static const tile_function narrow[6] = {
    tile_WIDEN_ON_THE_WAY_1x2, tile_WIDEN_ON_THE_WAY_1x1, NULL, tile_WIDEN_ON_THE_WAY_3x1,
    tile_WIDEN_ON_THE_WAY_4x1, tile_WIDEN_ON_THE_WAY_5x1,
};
static const tile_function wide[6] = {NULL, NULL, NULL, tile_WIDE_3x1, tile_WIDE_4x1, tile_WIDE_5x1};
#if WF_SIMD_HAS_DOT
static const tile_function dots[7] = {tile_DOT_1x2, tile_DOT_1x1, NULL, tile_DOT_3x1,
                                      tile_DOT_4x1, tile_DOT_5x1, tile_DOT_6x1};
#endif

void wf_gemm_q8_0_tile(const wf_q8_0_tile *t, wf_dot dot, uint32_t rows, uint32_t panels) {
    uint32_t which = panels == 2 ? 0 : rows;
    v128_t minus = wasm_i32x4_splat(dot == WF_DOT_U8S8 ? -1 : 0);
#if WF_SIMD_HAS_DOT
    if (dot != WF_DOT_I16) {
        dots[which](t, minus);
        return;
    }
#endif
    (t->wide != NULL ? wide[which] : narrow[which])(t, minus);
}

void wf_q8_0_widen(const wf_q8_0_panel_block *b, uint32_t blocks, wf_q8_0_wide_block *out) {
    for (uint32_t block = 0; block < blocks; block++) {
        for (uint32_t group = 0; group < WF_Q8_K / 4; group++) {
            WF_UNROLL for (uint32_t j = 0; j < WF_PANEL; j += 4) {
                v128_t w = wasm_v128_load(b[block].q[group][j]);
                wasm_v128_store(out[block][group][0][j], wf_even_bytes(w));
                wasm_v128_store(out[block][group][1][j], wf_odd_bytes(w));
            }
        }
    }
}
