/* The int8 micro-kernel: sums[rows, 8·panels] = start + A · Wᵀ in exact integers, over all of k at once. */
#ifndef WF_KERNELS_SIMD128_GEMM_I8_TILE_H
#define WF_KERNELS_SIMD128_GEMM_I8_TILE_H

#include "kernels/codec.h"

typedef struct wf_i8_tile {
    const void *a; size_t lda;    /* [rows, 4·groups] in the form of the lowering (byte_rows.h), stride in bytes */
    const int8_t *b; size_t panel; /* panel p begins at b + p·panel (i8_panel.h) */
    const int16_t *wide;          /* WF_DOT_I16: panel 0 widened (wf_i8_widen), or NULL: widen on the way */
    const int32_t *start;         /* [8·panels] */
    int32_t *c; size_t ldc;       /* [rows, 8·panels] */
    uint32_t groups;              /* of 4 k */
    uint32_t repeat;              /* so many tiles side by side, one after the other */
} wf_i8_tile;

/* The most rows of a tile: what the registers hold. */
static inline uint32_t wf_i8_tile_rows(wf_dot dot) { return dot == WF_DOT_I16 || dot == WF_DOT_PAIRS ? 5 : 6; }

/* rows: 1, or 3 to wf_i8_tile_rows. panels: 1; with one row and no `wide` also as many as keep enough sums in flight. */
static inline uint32_t wf_i8_tile_panels(wf_dot dot) { return dot == WF_DOT_I16 || dot == WF_DOT_PAIRS ? 2 : 4; }
void wf_gemm_i8_tile(const wf_i8_tile *t, wf_dot dot, uint32_t rows, uint32_t panels);

/* int16 of a widened panel, and the widening: [group][k₀k₂ | k₁k₃][8 rows][2]. */
static inline size_t wf_i8_wide_count(uint32_t groups) { return (size_t)groups * 32; }
void wf_i8_widen(const int8_t *b, uint32_t groups, int16_t *wide);

#endif
