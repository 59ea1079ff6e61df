/* segment_mean, fast: a tile is 32 channels of one segment, their sums in eight registers. Rows are
   added in blocks of 32 and the blocks' sums then added up, so that a large map loses no digits;
   the order is fixed by the shape. Limit: memory, 4 bytes an element. */
#include "kernels/simd128/rows.h"

enum { CHANNELS = 32, VECTORS = CHANNELS / 4, BLOCK = 32 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->out.shape.n * (wf_shape_stride(&call->out.shape) / CHANNELS);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->in[0].shape;
    uint32_t stride = wf_shape_stride(s), all = s->h * s->w, groups = stride / CHANNELS;
    uint32_t segment = tile / groups, channel = tile % groups * CHANNELS;
    uint32_t rows = call->p->count != 0 ? call->p->count : all - call->p->first;
    const float *x = wf_row_f32(&call->in[0], segment * all + call->p->first) + channel;
    v128_t total[VECTORS];
    WF_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        total[v] = wasm_f32x4_splat(0);
    }
    for (uint32_t first = 0; first < rows; first += BLOCK) {
        uint32_t end = wf_min_u32(first + BLOCK, rows);
        v128_t sum[VECTORS];
        WF_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            sum[v] = wasm_f32x4_splat(0);
        }
        for (uint32_t row = first; row < end; row++, x += stride) {
            WF_UNROLL
            for (int v = 0; v < VECTORS; v++) {
                sum[v] = wasm_f32x4_add(sum[v], wasm_v128_load(x + 4 * v));
            }
        }
        WF_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            total[v] = wasm_f32x4_add(total[v], sum[v]);
        }
    }
    float *y = wf_row_f32(&call->out, segment) + channel;
    v128_t count = wasm_f32x4_splat((float)rows);
    WF_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        wasm_v128_store(y + 4 * v, wasm_f32x4_div(total[v], count)); /* zero lanes: 0 / count */
    }
}

extern const wf_op_impl wf_segment_mean_simd;
const wf_op_impl wf_segment_mean_simd = {1, tiles, run, NULL, NULL};
