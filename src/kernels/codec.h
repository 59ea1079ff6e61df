/* Weight codecs: how a stored weight type becomes panels, and the matrix product that reads them.

   Panels hold 8 output rows side by side, so that a 6×2 micro-kernel reads one sequential stream (PERF.md). Rows beyond n and
   elements beyond k are zero. Packing works on 8 stored rows at a time: streaming packs a panel as soon as its rows have
   arrived and drops the source bytes. */
#ifndef WF_KERNELS_CODEC_H
#define WF_KERNELS_CODEC_H

#include "kernels/quantize.h"

enum { WF_PANEL = 8 };

/* C[i, j] = residual[i, j] + scale[j] · act(Σ_k A[i, k] · W[j, k] + bias[j]); absent parts are NULL.
   Only j in [n0, n1) are written (n0 a multiple of 8); when n1 == w->n the zero lanes up to ldc are written too. Σ runs over
   k = 0, 1, … in this order for every i, whatever m is: a row's result does not depend on its neighbours. Partial sums wait
   in C between blocks of k, so C overlaps neither A nor the residual. */
struct wf_gemm_i8;
typedef struct wf_gemm {
    const float *a; /* [m, lda]: rows padded with zeros to at least k rounded up to 32 */
    uint32_t m, lda;
    const wf_weight *w; /* panels of this codec */
    uint32_t n0, n1;
    const float *bias, *scale;           /* [n] with zero lanes */
    const float *residual; uint32_t ldr; /* [m, ldr] */
    uint32_t act;
    float *c; uint32_t ldc; /* [m, ldc] */
    void *scratch; /* codec->scratch_bytes(m, k) */
    const struct wf_gemm_i8 *i8; /* of an I8 matrix, else NULL */
} wf_gemm;

/* What a product with an I8 matrix has besides: C = … act((step · steps[j]) · Σ_k (u[i, k] − zero) · W[j, k] …), whose Σ is exact.
   Its column ranges begin and end at multiples of 32 (or at n), and it writes whole groups of 32 lanes up to ldc. */
typedef struct wf_gemm_i8 {
    const uint8_t *a;   /* [m, lda] bytes on the grid `in`; NULL: the floats of wf_gemm are quantized */
    const float *steps; /* [n] with zero lanes */
    bool is_static;     /* the grid `in` holds for all rows; else each row of floats gets a step of its own */
    wf_grid in;         /* gain: [k] here, one for each element of a row */
    uint8_t *c;         /* [m, ldc] bytes on the grid `out` instead of floats, or NULL */
    wf_grid out;
} wf_gemm_i8;

typedef struct wf_codec {
    wf_dtype type;
    /* Whether this codec's gemm quantizes A rows to int8 (Q8_0 with int8_rows, I8). */
    bool int8_rows;
    size_t (*packed_bytes)(uint32_t n, uint32_t k);
    /* Writes panel `panel` (rows 8·panel …) from `rows` ≤ 8 stored rows of stored_k elements each (stored_k ≥ k: padded blocks). */
    void (*pack)(void *packed, uint32_t n, uint32_t k, uint32_t panel, const void *stored, uint32_t rows, uint32_t stored_k);
    size_t (*scratch_bytes)(uint32_t m, uint32_t k);
    void (*gemm)(const wf_gemm *g);
} wf_codec;

/* NULL when the type has no fast kernel (the caller then reports it by name). */
const wf_codec *wf_codec_get(wf_dtype type, bool int8_rows);

/* Which integer-dot lowering the relaxed build uses: a probe with known operands at start, or forced in tests.
   The baseline build has only WF_DOT_I16. All give the exact Σ qx·qw; WF_DOT_PAIRS does where no two neighbours of a row of weights
   have positive or negative parts that add up to more than WF_PAIRS_MOST (quantize.h), and stands for WF_DOT_I16 elsewhere. */
typedef enum wf_dot { WF_DOT_I16, WF_DOT_U8S8, WF_DOT_S8S8, WF_DOT_PAIRS } wf_dot;
wf_dot wf_dot_probe(void);
wf_dot wf_dot_current(void);
void wf_dot_force(wf_dot dot);

#endif
