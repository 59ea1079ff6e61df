/* pixel_shuffle: [n, h, w, r·r·c] → [n, h·r, w·r, c], r = p.kernel_h: each row becomes a square of r × r cells,
   out[y·r + i, x·r + j, k] = in0[y, x, (i·r + j)·c + k]. So a linear layer per patch gives pixels (a transposed convolution without
   overlap). torch's PixelShuffle (arXiv 1609.05158) has the channel first, (k, i, j): weights are stored reordered. Cost: one copy. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_pixel_shuffle_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "pixel_shuffle", node, err));
    uint64_t r = call->p->kernel_h;
    if (r == 0 || r > 1024 || in->c % (r * r) != 0) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "pixel_shuffle \"%s\": %u channels are no whole number of %u x %u cells", node,
                       (unsigned)in->c, (unsigned)r, (unsigned)r);
    }
    if (in->h * r > UINT32_MAX || in->w * r > UINT32_MAX) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "pixel_shuffle \"%s\": a map of %u x %u, %u times as large, is too large", node,
                       (unsigned)in->h, (unsigned)in->w, (unsigned)r);
    }
    wf_shape result = {in->n, in->h * (uint32_t)r, in->w * (uint32_t)r, in->c / (uint32_t)(r * r), WF_LAYOUT_ROWS};
    *out = result;
    return wf_expect_size(out, "pixel_shuffle", node, err);
}

uint64_t wf_pixel_shuffle_cost(const wf_op_call *call) { return wf_shape_elements(&call->out.shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *in = &call->in[0].shape, *out = &call->out.shape;
    uint32_t r = call->p->kernel_h, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) { /* a cell of the result */
        uint32_t x = row % out->w, line = row / out->w, i = line % out->h % r, j = x % r;
        uint32_t from = line / r * in->w + x / r; /* line / r: all lines of the batch, since h·r is a multiple of r */
        memcpy(wf_row(&call->out, row), wf_row(&call->in[0], from) + (size_t)(i * r + j) * out->c, out->c * sizeof(wf_real));
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(pixel_shuffle) = {1, wf_scalar_row_tiles, run, NULL, NULL};
