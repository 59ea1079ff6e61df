/* The f32 micro-kernel: C[rows, 8·panels] += A[rows, kc] · B, B in panels [kc][8]. */
#ifndef WF_KERNELS_SIMD128_GEMM_F32_TILE_H
#define WF_KERNELS_SIMD128_GEMM_F32_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tiles that exist: up to 4 panels with 1 row, 2 panels with up to 3 rows, 1 panel with up to
   WF_TILE_ROWS. Without the fused multiply–add a product needs a register of its own, and V8 would
   spill with 6 rows: half the speed. */
#if defined(WF_RELAXED)
enum { WF_TILE_ROWS = 6 };
#else
enum { WF_TILE_ROWS = 5 };
#endif

typedef struct wf_f32_tile {
    const float *a; size_t lda;    /* [rows, kc] */
    const float *b; size_t panel;  /* panel p begins at b + p·panel */
    float *c; size_t ldc;          /* [rows, 8·panels] */
    uint32_t kc; /* at least 1 */
    bool first; /* C is taken as zero: the first block of K */
    uint32_t more; /* groups of panels after the first, each at b + panels·panel and c + 8·panels of the one before */
} wf_f32_tile;

void wf_gemm_f32_tile(const wf_f32_tile *t, uint32_t rows, uint32_t panels);

#endif
