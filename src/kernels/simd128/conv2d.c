/* conv2d as an implicit GEMM: patches are gathered (patches.h), then the codec's GEMM runs on them
   with the fused epilogue. Many output rows are cut into row blocks, and each tile gathers the
   patches of its block into its scratch memory, where they stay in L2. Few rows are cut by columns
   too, so a first phase gathers their patches once for all, into the workspace. A 1×1 kernel with
   stride 1 reads the map in place. Cost: output rows · n · k multiply–adds at linear's rate, plus
   the gathering. */
#include "kernels/simd128/gemm_grid.h"
#include "kernels/simd128/int8_product.h"
#include "kernels/simd128/patches.h"

enum { GATHERED_ROWS = 512, PATCHES_PER_TILE = 16 };

static bool is_linear(const wf_op_call *call) {
    const wf_op_params *p = call->p;
    return p->kernel_h == 1 && p->kernel_w == 1 && p->stride_h == 1 && p->stride_w == 1 && p->pad_h == 0 &&
           p->pad_w == 0 && call->in[0].shape.layout == WF_LAYOUT_ROWS;
}

/* Whether phase 0 gathers all patches; otherwise it has no tiles. */
static bool gathers_first(const wf_op_call *call) {
    return !is_linear(call) && !wf_is_int8_product(call) && wf_shape_rows(&call->out.shape) <= GATHERED_ROWS;
}

static wf_gemm_grid grid(const wf_op_call *call) {
    uint32_t rows = wf_shape_rows(&call->out.shape), n = call->w[0].n;
    if (is_linear(call) || gathers_first(call)) {
        return wf_gemm_grid_make(rows, n, call->p->int8_rows ? 256 : 32);
    }
    return wf_gemm_grid_rows(rows, n);
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    if (phase == 0) {
        uint32_t rows = wf_shape_rows(&call->out.shape);
        return gathers_first(call) ? (rows + PATCHES_PER_TILE - 1) / PATCHES_PER_TILE : 0;
    }
    if (wf_is_int8_product(call)) {
        return wf_int8_product_tiles(call);
    }
    wf_gemm_grid g = grid(call);
    return wf_gemm_grid_tiles(&g);
}

static size_t workspace_bytes(const wf_op_call *call) {
    uint32_t rows = wf_shape_rows(&call->out.shape);
    return gathers_first(call) ? wf_patches_floats(rows, call->w[0].k) * sizeof(float) : 0;
}

/* The patches of a tile come first in the scratch memory, then the codec's part, 64-byte aligned. */
static size_t patches_bytes(const wf_op_call *call, uint32_t rows) {
    bool own = !is_linear(call) && !gathers_first(call);
    size_t bytes = own ? wf_patches_floats(rows, call->w[0].k) * sizeof(float) : 0;
    return (bytes + 63) / 64 * 64;
}

static size_t scratch_bytes(const wf_op_call *call) {
    if (wf_is_int8_product(call)) {
        return wf_int8_product_scratch(call);
    }
    wf_gemm_grid g = grid(call);
    uint32_t rows = wf_gemm_grid_tile_rows(&g);
    return patches_bytes(call, rows) + wf_gemm_codec(call)->scratch_bytes(rows, call->w[0].k);
}

static void gather(const wf_op_call *call, uint32_t tile) {
    uint32_t row = tile * PATCHES_PER_TILE, rows = wf_shape_rows(&call->out.shape) - row;
    rows = rows < PATCHES_PER_TILE ? rows : PATCHES_PER_TILE;
    wf_patches_gather(call, row, rows, (float *)call->workspace + (size_t)row * wf_round_up(call->w[0].k, WF_LANES));
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    if (phase == 0) {
        gather(call, tile);
        return;
    }
    if (wf_is_int8_product(call)) {
        wf_int8_product_run(call, tile, scratch);
        return;
    }
    wf_gemm_grid cut = grid(call);
    uint32_t row, rows, n0, n1;
    wf_gemm_grid_tile(&cut, tile, call->w[0].n, &row, &rows, &n0, &n1);
    wf_gemm g = wf_gemm_of_call(call, row);
    g.lda = wf_round_up(call->w[0].k, WF_LANES);
    if (is_linear(call)) {
        g.lda = wf_shape_stride(&call->in[0].shape);
        g.a = (const float *)call->in[0].data + (size_t)row * g.lda;
    } else if (gathers_first(call)) {
        g.a = (const float *)call->workspace + (size_t)row * g.lda;
    } else {
        g.a = scratch;
        wf_patches_gather(call, row, rows, scratch);
    }
    g.m = rows;
    g.n0 = n0;
    g.n1 = n1;
    g.scratch = (char *)scratch + patches_bytes(call, wf_gemm_grid_tile_rows(&cut));
    wf_gemm_codec(call)->gemm(&g);
}

extern const wf_op_impl wf_conv2d_simd;
const wf_op_impl wf_conv2d_simd = {2, tiles, run, scratch_bytes, workspace_bytes};
