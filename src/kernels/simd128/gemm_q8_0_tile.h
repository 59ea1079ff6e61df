/* The int8 micro-kernel over Q8_0 panels: C[rows, 8·panels] += Σ_blocks d · (Σ qx·qw). */
#ifndef WF_KERNELS_SIMD128_GEMM_Q8_0_TILE_H
#define WF_KERNELS_SIMD128_GEMM_Q8_0_TILE_H

#include "kernels/simd128/q8_0_panel.h"

/* A block's weights as int16, for WF_DOT_I16: [group of 4 k][k₀k₂ | k₁k₃][8 rows of a panel][2]. */
typedef int16_t wf_q8_0_wide_block[WF_Q8_K / 4][2][WF_PANEL][2];

typedef struct wf_q8_0_tile {
    const void *a; size_t lda;           /* [rows, 32·blocks] quantized rows, stride in bytes */
    const wf_q8_0_panel_block *b;        /* panel p begins at b + p·panel */
    size_t panel;
    const wf_q8_0_wide_block *wide;      /* the first panel's blocks, widened; NULL = widen on the way */
    float *c; size_t ldc;                /* [rows, 8], of a second panel `apart` behind */
    size_t apart;
    uint32_t blocks;
    bool first; /* C is taken as zero */
} wf_q8_0_tile;

/* The most rows of a tile: what the registers hold. */
static inline uint32_t wf_q8_0_tile_rows(wf_dot dot) { return dot == WF_DOT_I16 ? 5 : 6; }

/* rows: 1, or 3 to wf_q8_0_tile_rows. panels: 1, or 2 with one row. `wide` is used with one panel only. */
void wf_gemm_q8_0_tile(const wf_q8_0_tile *t, wf_dot dot, uint32_t rows, uint32_t panels);
void wf_q8_0_widen(const wf_q8_0_panel_block *b, uint32_t blocks, wf_q8_0_wide_block *wide);

#endif
