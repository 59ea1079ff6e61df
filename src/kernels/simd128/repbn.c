/* repbn, fast: y = a ∘ in0 + b over whole padded rows, a and b made in float in a first phase (their lanes behind c are finite and 0,
   so zero lanes stay zero). Limit: memory, 8 bytes an element; a and b stay in L1. `out` may be in0. */
#include "kernels/simd128/rows.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    const wf_shape *s = &call->out.shape;
    return phase == 0 ? 1 : wf_ceil_div(wf_shape_rows(s), wf_tile_rows(wf_shape_stride(s)));
}

static size_t workspace_bytes(const wf_op_call *call) {
    return 2 * wf_shape_stride(&call->in[0].shape) * sizeof(float);
}

static void make(const wf_op_call *call, float *a, float *b, uint32_t stride) {
    const float *gamma = call->w[0].data, *beta = call->w[1].data, *mean = call->w[2].data, *variance = call->w[3].data;
    const v128_t eps = wasm_f32x4_splat(call->p->eps), one = wasm_f32x4_splat(1), zero = wasm_f32x4_splat(0);
    const v128_t alpha = call->w[4].data != NULL ? wasm_v128_load32_splat(call->w[4].data) : zero;
    for (uint32_t i = 0; i < stride; i += 4) {
        v128_t root = wasm_f32x4_sqrt(wasm_f32x4_add(wasm_v128_load(variance + i), eps));
        v128_t over = wasm_f32x4_div(gamma != NULL ? wasm_v128_load(gamma + i) : one, root);
        wasm_v128_store(a + i, wasm_f32x4_add(over, alpha));
        wasm_v128_store(b + i, wasm_f32x4_sub(beta != NULL ? wasm_v128_load(beta + i) : zero, wasm_f32x4_mul(over, wasm_v128_load(mean + i))));
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)scratch;
    const wf_shape *s = &call->out.shape;
    uint32_t stride = wf_shape_stride(s), rows = wf_tile_rows(stride), first = tile * rows;
    uint32_t end = wf_min_u32(first + rows, wf_shape_rows(s));
    float *a = call->workspace, *b = a + stride;
    if (phase == 0) {
        make(call, a, b, stride);
        return;
    }
    for (uint32_t row = first; row < end; row++) {
        const float *x = wf_row_f32(&call->in[0], row);
        float *y = wf_row_f32(&call->out, row);
        for (uint32_t i = 0; i < stride; i += 8) {
            WF_UNROLL
            for (uint32_t v = 0; v < 8; v += 4) {
                wasm_v128_store(y + i + v, wf_madd(wasm_v128_load(x + i + v), wasm_v128_load(a + i + v),
                                                   wasm_v128_load(b + i + v)));
            }
        }
    }
}

extern const wf_op_impl wf_repbn_simd;
const wf_op_impl wf_repbn_simd = {2, tiles, run, NULL, workspace_bytes};
