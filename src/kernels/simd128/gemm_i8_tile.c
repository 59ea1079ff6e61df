/* The micro-kernel in its lowerings (dot_probe.c), from the same panels; the forms of A are those of byte_rows.h:
   WF_DOT_U8S8, WF_DOT_S8S8   one relaxed dot for 4 k of 4 columns. Per 4 k and 6 × 8 tile: 2 loads of weights, 6 splats of
                activations, 12 dots; the loads hide, so that the rate is the dots' own.
   WF_DOT_PAIRS   the relaxed dot's sums of two products in 16 bits, i32x4.dot_i16x8_s with ones, and an addition for 4 k of 4 columns:
                three instructions in place of four of WF_DOT_I16, from a quarter of its bytes.
   WF_DOT_I16   i32x4.dot_i16x8_s and an addition for 2 k of 4 columns (byte_products.h). For many rows the weights are widened
                once, into memory.
   What an unsigned form and a zero point add to a sum is a multiple of Σ W: the sums begin at minus that (`start`). All of k runs
   in registers: no sum waits in memory. Limit: 16 products a dot, two dots a cycle where the CPU has VNNI. */
#include "kernels/simd128/gemm_i8_tile.h"

#include "kernels/simd128/byte_products.h"
#include "kernels/simd128/i8_panel.h"

typedef enum lowering { WIDEN_ON_THE_WAY, WIDE, DOT, PAIRS } lowering;

/* One tile of 8·panels columns; rows, panels and how are constants where this is inlined. Weights are read through pointers
   that move, which costs one addition a panel; an index costs three instructions in V8. Loops run at least once (k > 0), and
   say so: for a count of 0 the compiler would write all around them a second time. */
WF_INLINE void tile(const char *const a[6], const int8_t *const first[4], const int16_t *wide, const int32_t *start, int32_t *out,
                    size_t ldc, const uint32_t groups, const uint32_t rows, const uint32_t panels, const lowering how) {
    const uint32_t vectors = 2 * panels;
    const int8_t *b[4];
    v128_t sum[12], w[8], odd[8];
    WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
        v128_t begin = wasm_v128_load(start + 4 * j);
        b[j / 2] = first[j / 2];
        WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
            sum[i * vectors + j] = begin;
        }
    }
#if WF_SIMD_HAS_DOT
    const v128_t ones = wf_ones();
#endif
    uint32_t g = 0;
    if (how == WIDE) {
        do {
            w[0] = wasm_v128_load(wide);
            w[1] = wasm_v128_load(wide + 8);
            wf_add_products(sum, w, a, 4 * g, rows, 2, false);
            wide += 16;
        } while (++g < 2 * groups);
    } else {
        do {
            WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
                w[j] = wasm_v128_load(b[j / 2] + 16 * (j % 2));
                if (how == WIDEN_ON_THE_WAY) {
                    odd[j] = wf_odd_bytes(w[j]);
                    w[j] = wf_even_bytes(w[j]);
                }
            }
            WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
                b[p] += WF_I8_GROUP;
            }
#if WF_SIMD_HAS_DOT
            if (how == PAIRS) {
                wf_add_pairs(sum, w, ones, a, 4 * g, rows, vectors);
                continue;
            }
#endif
            if (how == DOT) {
                wf_add_products(sum, w, a, 4 * g, rows, vectors, true);
            } else {
                wf_add_products(sum, w, a, 8 * g, rows, vectors, false);
                wf_add_products(sum, odd, a, 8 * g + 4, rows, vectors, false);
            }
        } while (++g < groups);
    }
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            wasm_v128_store(out + i * ldc + 4 * j, sum[i * vectors + j]);
        }
    }
}

WF_INLINE void tiles(const wf_i8_tile *t, const uint32_t rows, const uint32_t panels, const lowering how) {
    const char *a[6];
    const int8_t *b[4];
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        a[i] = (const char *)t->a + i * t->lda;
    }
    WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
        b[p] = t->b + p * t->panel;
    }
    const int16_t *wide = t->wide;
    const int32_t *start = t->start;
    int32_t *out = t->c;
    const uint32_t groups = t->groups;
    const size_t ldc = t->ldc, panel = t->panel;
    uint32_t left = t->repeat;
    do {
        tile(a, b, wide, start, out, ldc, groups, rows, panels, how);
        WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
            b[p] += panels * panel;
        }
        wide = how == WIDE ? wide + panels * wf_i8_wide_count(groups) : wide;
        start += panels * WF_PANEL;
        out += panels * WF_PANEL;
    } while (--left > 0);
}

/* Functions of their own, so that each gets its own register allocation. */
#define TILE(how, rows, panels)                                                                             \
    static __attribute__((noinline)) void tile_##how##_##rows##x##panels(const wf_i8_tile *t) {             \
        tiles(t, rows, panels, how);                                                                         \
    }
TILE(WIDEN_ON_THE_WAY, 1, 1) TILE(WIDEN_ON_THE_WAY, 3, 1) TILE(WIDEN_ON_THE_WAY, 4, 1) TILE(WIDEN_ON_THE_WAY, 5, 1) TILE(WIDEN_ON_THE_WAY, 1, 2)
TILE(WIDE, 3, 1) TILE(WIDE, 4, 1) TILE(WIDE, 5, 1)
#if WF_SIMD_HAS_DOT
TILE(DOT, 1, 1) TILE(DOT, 3, 1) TILE(DOT, 4, 1) TILE(DOT, 5, 1) TILE(DOT, 6, 1) TILE(DOT, 1, 4)
TILE(PAIRS, 1, 1) TILE(PAIRS, 3, 1) TILE(PAIRS, 4, 1) TILE(PAIRS, 5, 1) TILE(PAIRS, 1, 2)
#endif

#define CASE(how, rows, panels) case 8 * rows + panels: tile_##how##_##rows##x##panels(t); return

static void tile_i16(const wf_i8_tile *t, uint32_t which) {
    if (t->wide != NULL) {
        switch (which) {
        CASE(WIDE, 3, 1); CASE(WIDE, 4, 1); CASE(WIDE, 5, 1);
        default: break;
        }
    }
    switch (which) {
    CASE(WIDEN_ON_THE_WAY, 1, 1); CASE(WIDEN_ON_THE_WAY, 3, 1); CASE(WIDEN_ON_THE_WAY, 4, 1);
    CASE(WIDEN_ON_THE_WAY, 5, 1); CASE(WIDEN_ON_THE_WAY, 1, 2);
    default: break;
    }
}

void wf_gemm_i8_tile(const wf_i8_tile *t, wf_dot dot, uint32_t rows, uint32_t panels) {
#if WF_SIMD_HAS_DOT
    if (dot == WF_DOT_PAIRS) {
        switch (8 * rows + panels) {
        CASE(PAIRS, 1, 1); CASE(PAIRS, 3, 1); CASE(PAIRS, 4, 1); CASE(PAIRS, 5, 1); CASE(PAIRS, 1, 2);
        default: return;
        }
    }
    if (dot != WF_DOT_I16) {
        switch (8 * rows + panels) {
        CASE(DOT, 1, 1); CASE(DOT, 3, 1); CASE(DOT, 4, 1); CASE(DOT, 5, 1); CASE(DOT, 6, 1); CASE(DOT, 1, 4);
        default: return;
        }
    }
#endif
    (void)dot;
    tile_i16(t, 8 * rows + panels);
}

void wf_i8_widen(const int8_t *b, uint32_t groups, int16_t *wide) {
    for (uint32_t g = 0; g < groups; g++, b += WF_I8_GROUP, wide += 32) {
        WF_UNROLL for (uint32_t j = 0; j < 2; j++) {
            v128_t w = wasm_v128_load(b + 16 * j);
            wasm_v128_store(wide + 8 * j, wf_even_bytes(w));
            wasm_v128_store(wide + 16 + 8 * j, wf_odd_bytes(w));
        }
    }
}
