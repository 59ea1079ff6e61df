/* The blocked matrix product over float weights, shared by every codec whose panels can be read as
   f32: f32 panels in place, f16 and Q8_0 panels decoded block by block. */
#ifndef WF_KERNELS_SIMD128_GEMM_BLOCKED_H
#define WF_KERNELS_SIMD128_GEMM_BLOCKED_H

#include "kernels/codec.h"

/* k in a block of the weights, at most: a block of a panel (16 KiB) and six rows of A (12 KiB) share
   the L1 cache. Rows in a block: 128 × 512 floats (256 KiB) stay in the L2 cache while all panels
   pass. */
enum { WF_GEMM_KC = 512, WF_GEMM_MC = 128 };

/* The f32 values [kc][8] of panel `panel`, elements k0 … k0+kc−1: in place, or decoded into
   `buffer` [kc][8]. k0 is a multiple of 32. */
typedef const float *(*wf_panel_block)(const wf_weight *w, uint32_t panel, uint32_t k0, uint32_t kc,
                                       float *buffer);

/* Floats of `buffer`: up to four panels are decoded side by side. */
enum { WF_GEMM_BUFFER = 4 * WF_GEMM_KC * WF_PANEL };

/* buffer: WF_GEMM_BUFFER floats, or NULL when `block` never decodes. */
void wf_gemm_blocked(const wf_gemm *g, wf_panel_block block, float *buffer);

#endif
