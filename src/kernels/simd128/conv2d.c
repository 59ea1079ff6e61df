/* conv2d as an implicit GEMM: the patches of a row block are gathered into scratch memory
   (patches.h), then the codec's GEMM runs on them with the fused epilogue. A 1×1 kernel with stride
   1 reads the map in place. Cost: output rows · n · k multiply–adds at linear's rate, plus the
   gathering. */
#include "kernels/simd128/gemm_grid.h"
#include "kernels/simd128/patches.h"

static bool is_linear(const wf_op_call *call) {
    const wf_op_params *p = call->p;
    return p->kernel_h == 1 && p->kernel_w == 1 && p->stride_h == 1 && p->stride_w == 1 && p->pad_h == 0 &&
           p->pad_w == 0 && call->in[0].shape.layout == WF_LAYOUT_ROWS;
}

static wf_gemm_grid grid(const wf_op_call *call) {
    uint32_t min_columns = call->p->int8_rows ? 256 : is_linear(call) ? 32 : 128;
    return wf_gemm_grid_make(wf_shape_rows(&call->out.shape), call->w[0].n, min_columns);
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    wf_gemm_grid g = grid(call);
    return wf_gemm_grid_tiles(&g);
}

/* The patches come first in the scratch memory, then the codec's part, 64-byte aligned. */
static size_t patches_bytes(const wf_op_call *call, uint32_t rows) {
    size_t bytes = is_linear(call) ? 0 : wf_patches_floats(rows, call->w[0].k) * sizeof(float);
    return (bytes + 63) / 64 * 64;
}

static size_t scratch_bytes(const wf_op_call *call) {
    wf_gemm_grid g = grid(call);
    uint32_t rows = wf_gemm_grid_tile_rows(&g);
    return patches_bytes(call, rows) + wf_gemm_codec(call)->scratch_bytes(rows, call->w[0].k);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    wf_gemm_grid cut = grid(call);
    uint32_t row, rows, n0, n1;
    wf_gemm_grid_tile(&cut, tile, call->w[0].n, &row, &rows, &n0, &n1);
    wf_gemm g = wf_gemm_of_call(call, row);
    if (is_linear(call)) {
        g.lda = wf_shape_stride(&call->in[0].shape);
        g.a = (const float *)call->in[0].data + (size_t)row * g.lda;
    } else {
        g.lda = wf_round_up(call->w[0].k, WF_LANES);
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
const wf_op_impl wf_conv2d_simd = {1, tiles, run, scratch_bytes, NULL};
