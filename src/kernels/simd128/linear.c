/* linear on the codec's GEMM: rows in place, weights in panels, the epilogue fused (codec.h).
   Against the scalar twin: the same sums in the same order, four columns at once, each weight
   loaded once for six rows. Cost: rows · n · k multiply–adds at 80–95 % of the machine's peak
   (README.md). */
#include "kernels/simd128/gemm_grid.h"
#include "kernels/simd128/int8_product.h"

static wf_gemm_grid grid(const wf_op_call *call) {
    return wf_gemm_grid_make(wf_shape_rows(&call->out.shape), call->w[0].n, call->p->int8_rows ? 256 : 32);
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    if (wf_is_int8_product(call)) {
        return wf_int8_product_tiles(call);
    }
    wf_gemm_grid g = grid(call);
    return wf_gemm_grid_tiles(&g);
}

static size_t scratch_bytes(const wf_op_call *call) {
    if (wf_is_int8_product(call)) {
        return wf_int8_product_scratch(call);
    }
    wf_gemm_grid g = grid(call);
    return wf_gemm_codec(call)->scratch_bytes(wf_gemm_grid_tile_rows(&g), call->w[0].k);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    if (wf_is_int8_product(call)) {
        wf_int8_product_run(call, tile, scratch);
        return;
    }
    wf_gemm_grid cut = grid(call);
    uint32_t row, rows, n0, n1;
    wf_gemm_grid_tile(&cut, tile, call->w[0].n, &row, &rows, &n0, &n1);
    wf_gemm g = wf_gemm_of_call(call, row);
    g.lda = wf_shape_stride(&call->in[0].shape);
    g.a = (const float *)call->in[0].data + (size_t)row * g.lda;
    g.m = rows;
    g.n0 = n0;
    g.n1 = n1;
    g.scratch = scratch;
    wf_gemm_codec(call)->gemm(&g);
}

extern const wf_op_impl wf_linear_simd;
const wf_op_impl wf_linear_simd = {1, tiles, run, scratch_bytes, NULL};
