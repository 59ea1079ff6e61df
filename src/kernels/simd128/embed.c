/* embed, fast: the row of a token is decoded straight into its place in the output (a stored row, rounded up to its block, is no
   longer than the output's padded one). Limit: memory. */
#include <string.h>

#include "kernels/simd128/rows.h"
#include "tensor/dtype.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    const wf_shape *s = &call->out.shape;
    return wf_ceil_div(wf_shape_rows(s), wf_tile_rows(wf_shape_stride(s)));
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_weight *w = &call->w[0];
    const wf_dtype_info *type = wf_dtype_get(w->type);
    const float *ids = call->in[0].data;
    uint32_t stride = wf_shape_stride(&call->out.shape), rows = wf_tile_rows(stride);
    uint32_t end = wf_min_u32((tile + 1) * rows, wf_shape_rows(&call->out.shape)), stored_k = wf_round_up(w->k, type->block);
    size_t row_bytes = (size_t)wf_dtype_row_bytes(w->type, stored_k);
    for (uint32_t row = tile * rows; row < end; row++) {
        float *y = wf_row_f32(&call->out, row);
        bool known = ids[row] >= 0 && ids[row] < (float)w->n;
        if (known) {
            type->decode((const uint8_t *)w->data + (uint32_t)ids[row] * row_bytes, y, stored_k);
        }
        uint32_t kept = known ? w->k : 0;
        memset(y + kept, 0, (stride - kept) * sizeof *y);
    }
}

extern const wf_op_impl wf_embed_simd;
const wf_op_impl wf_embed_simd = {1, tiles, run, NULL, NULL};
