/* conv2d: y[n, oy, ox, o] =
       [in1 +] [w2[o] ·] act(Σ_{kh, kw, ci} x[n, oy·s + kh − p, ox·s + kw − p, ci] · w0[o, (kh, kw, ci)] [+ w1[o]])
   where cells outside the map are zero and the output has ⌊(size + 2p − k)/s⌋ + 1 cells an axis
   (torch's Conv2d without dilation and groups). Written as it is computed everywhere: gather the
   patch of one output cell as a row of kh·kw·ci numbers, then a row product. The input is a
   channels-last map or, at the stem, the raw picture [n, c, h, w].
   Cost: output rows · n · k multiply–adds. */
#include "kernels/scalar/int8_rows.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

/* ⌊(size + 2·pad − kernel)/stride⌋ + 1, or 0 when the kernel does not fit. */
static uint32_t output_size(uint32_t size, uint32_t kernel, uint32_t stride, uint32_t pad) {
    uint64_t padded = (uint64_t)size + 2 * (uint64_t)pad;
    return padded < kernel ? 0 : (uint32_t)((padded - kernel) / stride) + 1;
}

wf_status wf_conv2d_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_weight *w = &call->w[0];
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_input(&call->in[0], true, "conv2d", node, err));
    if (w->n == 0) {
        return wf_fail(err, WF_E_MISSING, node, -1, "conv2d \"%s\": its weight is missing", node);
    }
    if (p->kernel_h == 0 || p->kernel_w == 0 || p->stride_h == 0 || p->stride_w == 0 || p->kernel_h > 65535 ||
        p->kernel_w > 65535 || p->pad_h >= p->kernel_h || p->pad_w >= p->kernel_w) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1,
                       "conv2d \"%s\": kernel %ux%u, stride %ux%u, padding %ux%u; kernel and "
                       "stride must be at least 1 and "
                       "the padding smaller than the kernel",
                       node, (unsigned)p->kernel_h, (unsigned)p->kernel_w, (unsigned)p->stride_h,
                       (unsigned)p->stride_w, (unsigned)p->pad_h, (unsigned)p->pad_w);
    }
    uint64_t k = (uint64_t)p->kernel_h * p->kernel_w * in->c; /* < 2^61: c is bounded by the size check */
    if (w->k != k) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "conv2d \"%s\": input has %u channels, so a %ux%u kernel has %llu weights "
                       "an output, but the weight "
                       "has %u",
                       node, (unsigned)in->c, (unsigned)p->kernel_h, (unsigned)p->kernel_w,
                       (unsigned long long)k, (unsigned)w->k);
    }
    wf_shape result = {in->n, output_size(in->h, p->kernel_h, p->stride_h, p->pad_h),
                       output_size(in->w, p->kernel_w, p->stride_w, p->pad_w), w->n, WF_LAYOUT_ROWS};
    if (result.h == 0 || result.w == 0) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "conv2d \"%s\": a map of %ux%u is smaller than the %ux%u kernel; use a larger input",
                       node, (unsigned)in->h, (unsigned)in->w, (unsigned)p->kernel_h, (unsigned)p->kernel_w);
    }
    WF_TRY(wf_expect_size(&result, "conv2d", node, err));
    WF_TRY(wf_expect_epilogue(call, &result, "conv2d", node, err));
    *out = result;
    return WF_OK;
}

uint64_t wf_conv2d_cost(const wf_op_call *call) {
    return (uint64_t)wf_shape_rows(&call->out.shape) * call->w[0].n * call->w[0].k;
}
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    size_t patch = wf_round_up(call->w[0].k, 16) * sizeof(wf_real), bytes = wf_i8_scratch_bytes(call);
    return call->w[WF_W_STEPS].n == 0 ? patch : patch + bytes;
}

/* Element (n, y, x, channel) of the input, zero outside the map. */
static wf_real input_at(const wf_view *in, uint32_t n, int64_t y, int64_t x, uint32_t channel) {
    const wf_shape *s = &in->shape;
    if (y < 0 || x < 0 || y >= s->h || x >= s->w) {
        return 0;
    }
    if (s->layout == WF_LAYOUT_NCHW) {
        return (
            (const wf_real *)in->data)[(((size_t)n * s->c + channel) * s->h + (size_t)y) * s->w + (size_t)x];
    }
    return wf_row(in, (n * s->h + (uint32_t)y) * s->w + (uint32_t)x)[channel];
}

/* The same of a map of bytes: the zero of the grid outside. */
static uint8_t byte_at(const wf_view *in, int32_t zero, uint32_t n, int64_t y, int64_t x, uint32_t channel) {
    const wf_shape *s = &in->shape;
    bool inside = y >= 0 && x >= 0 && y < s->h && x < s->w;
    return inside ? wf_row_u8(in, (n * s->h + (uint32_t)y) * s->w + (uint32_t)x)[channel] : (uint8_t)zero;
}

/* patch: [k] reals, unless in0 holds bytes; then work for the I8 product. */
static void run_i8(const wf_op_call *call, const wf_real *patch, const uint8_t *bytes, uint32_t row) {
    const uint32_t k = call->w[0].k;
    uint8_t *u = (uint8_t *)(patch + wf_round_up(k, 16));
    if (call->p->in_u8) {
        wf_grid g = wf_grid_of(&call->w[WF_W_IN_GRID]);
        wf_byte_row grid = {g.scale, g.zero};
        wf_row_product_i8(call, bytes, grid, wf_i8_work(call, u), row);
    } else {
        wf_byte_row grid = wf_row_quantize(call, patch, k, call->in[0].shape.c, u);
        wf_row_product_i8(call, u, grid, wf_i8_work(call, u), row);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    const wf_op_params *p = call->p;
    const wf_shape *out = &call->out.shape;
    wf_real *patch = scratch; /* [kernel_h, kernel_w, c] */
    uint8_t *bytes = scratch; /* the same where in0 holds bytes */
    int32_t zero = p->in_u8 ? wf_grid_of(&call->w[WF_W_IN_GRID]).zero : 0;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        uint32_t ox = row % out->w, oy = row / out->w % out->h, n = row / out->w / out->h;
        wf_real *cell = patch;
        uint8_t *byte = bytes;
        for (uint32_t kh = 0; kh < p->kernel_h; kh++) {
            for (uint32_t kw = 0; kw < p->kernel_w; kw++) {
                int64_t y = (int64_t)oy * p->stride_h + kh - p->pad_h,
                        x = (int64_t)ox * p->stride_w + kw - p->pad_w;
                for (uint32_t channel = 0; channel < call->in[0].shape.c; channel++) {
                    if (p->in_u8) {
                        *byte++ = byte_at(&call->in[0], zero, n, y, x, channel);
                    } else {
                        *cell++ = input_at(&call->in[0], n, y, x, channel);
                    }
                }
            }
        }
        if (wf_is_i8_product(call)) {
            run_i8(call, patch, bytes, row);
            continue;
        }
        if (call->p->int8_rows) {
            wf_row_round_to_int8(patch, call->w[0].k);
        }
        wf_row_product(call, patch, row);
    }
}

WF_SCALAR_IMPL(conv2d) = {1, wf_scalar_row_tiles, run, scratch_bytes, NULL};
