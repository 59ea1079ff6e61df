/* pixel_shuffle, fast: a tile is one line of the result, written from left to right, so that only reads jump. Limit: memory; a row of
   the result is at least 128 bytes, of three channels 12 are pixels. */
#include <string.h>

#include "kernels/simd128/rows.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->out.shape.n * call->out.shape.h;
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t line, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *in = &call->in[0].shape, *out = &call->out.shape;
    uint32_t r = call->p->kernel_h, c = out->c, stride = wf_shape_stride(out);
    float *to = wf_row_f32(&call->out, line * out->w);
    for (uint32_t x = 0; x < in->w; x++) {
        const float *from = wf_row_f32(&call->in[0], line / r * in->w + x) + (size_t)(line % r) * r * c; /* h·r is a multiple of r */
        for (uint32_t j = 0; j < r; j++, to += stride, from += c) {
            for (uint32_t k = c & ~3u; k < stride; k += 4) {
                wasm_v128_store(to + k, wasm_f32x4_splat(0));
            }
            memcpy(to, from, c * sizeof *to);
        }
    }
}

extern const wf_op_impl wf_pixel_shuffle_simd;
const wf_op_impl wf_pixel_shuffle_simd = {1, tiles, run, NULL, NULL};
