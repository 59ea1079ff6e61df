/* transpose, fast: blocks of 4 × 4 through registers. A tile is 32 channels of one segment (one
   128-byte piece of every input row, 32 output rows); rows go in groups of 16, so that each output
   cache line is filled at once. Limit: memory, 8 bytes an element; the shuffles (8 for 16 elements)
   hide behind it. */
#include <string.h>

#include "kernels/simd128/rows.h"

enum { CHANNELS = 32, ROWS = 16 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->in[0].shape.n * (wf_shape_stride(&call->in[0].shape) / CHANNELS);
}

/* Input rows row … row+3 (those from `rows` on count as zero), channels channel … channel+3 (only
   the first `channels` exist) → output rows `channel` …, elements row … row+3. */
WF_INLINE void transpose_block(const float *x, uint32_t stride, float *y, uint32_t out_stride, uint32_t rows,
                               uint32_t channels) {
    v128_t block[4];
    WF_UNROLL
    for (uint32_t r = 0; r < 4; r++) {
        block[r] = r < rows ? wasm_v128_load(x + r * stride) : wasm_f32x4_splat(0);
    }
    wf_transpose4(block);
    WF_UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        if (i < channels) {
            wasm_v128_store(y + (size_t)i * out_stride, block[i]);
        }
    }
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->in[0].shape;
    uint32_t stride = wf_shape_stride(s), rows = s->h * s->w, groups = stride / CHANNELS;
    uint32_t segment = tile / groups, first = tile % groups * CHANNELS;
    uint32_t end = wf_min_u32(first + CHANNELS, s->c), out_stride = wf_shape_stride(&call->out.shape);
    const float *x = wf_row_f32(&call->in[0], segment * rows);                /* [rows, stride] */
    float *y = (float *)call->out.data + (size_t)segment * s->c * out_stride; /* [c, out_stride] */
    for (uint32_t row = 0; row < rows; row += ROWS) {
        for (uint32_t channel = first; channel < end; channel += 4) {
            for (uint32_t r = row; r < row + ROWS && r < rows; r += 4) {
                transpose_block(x + (size_t)r * stride + channel, stride,
                                y + (size_t)channel * out_stride + r, out_stride, rows - r, end - channel);
            }
        }
    }
    uint32_t written = wf_round_up(rows, 4); /* the last block wrote zeros up to here */
    for (uint32_t channel = first; channel < end; channel++) {
        memset(y + (size_t)channel * out_stride + written, 0, (out_stride - written) * sizeof *y);
    }
}

extern const wf_op_impl wf_transpose_simd;
const wf_op_impl wf_transpose_simd = {1, tiles, run, NULL, NULL};
