/* depthwise: y[n, h, w, c] = [in1 +] act(Σ over a kernel_h × kernel_w window around (h, w) of w0[cell, c] · x[cell, first + c] [+ w1[c]]),
   zeros outside the map: torch's Conv2d(c, c, k, padding = k//2, groups = c), as in the MLP of PVT-v2 (arXiv 2106.13797, section 3.3).
   x are the channels of in0 from p.first on. With p.stripe the map ends at the edges of stripes (window.h), columns for the first half
   of the channels, rows for the second: the locally enhanced positions of CSwin's values (arXiv 2107.00652, section 3.3). w0 is a table
   [kernel_h · kernel_w, c]. Kernels are odd, stride 1: the map keeps its size. Cost: kernel_h · kernel_w multiply–adds an element. */
#include "kernels/window.h"

#include "kernels/scalar/row_product.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_depthwise_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_op_params *p = call->p;
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "depthwise", node, err));
    if (p->kernel_h % 2 == 0 || p->kernel_w % 2 == 0 || p->kernel_h > 255 || p->kernel_w > 255) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "depthwise \"%s\": kernel %ux%u; only odd ones up to 255 keep the size of the map", node,
                       (unsigned)p->kernel_h, (unsigned)p->kernel_w);
    }
    if (p->first >= in->c) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "depthwise \"%s\": channels from %u on of an input with %u", node, (unsigned)p->first,
                       (unsigned)in->c);
    }
    uint32_t c = in->c - p->first;
    if (call->w[0].n != p->kernel_h * p->kernel_w || call->w[0].k != c) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "depthwise \"%s\": weights are %u x %u, but a %ux%u window of %u channels needs %u x %u",
                       node, (unsigned)call->w[0].n, (unsigned)call->w[0].k, (unsigned)p->kernel_h, (unsigned)p->kernel_w, (unsigned)c,
                       (unsigned)(p->kernel_h * p->kernel_w), (unsigned)c);
    }
    WF_TRY(wf_expect_vector(&call->w[1], c, "bias", "depthwise", node, err));
    WF_TRY(wf_expect_windows(call, c, "channels", "depthwise", node, err));
    if (p->act > WF_ACT_GELU_ERF) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "depthwise \"%s\": activation %u does not exist", node, (unsigned)p->act);
    }
    *out = *in;
    out->c = c;
    return call->in[1].shape.c == 0 ? WF_OK : wf_expect_same_rows(out, &call->in[1].shape, "residual", "depthwise", node, err);
}

uint64_t wf_depthwise_cost(const wf_op_call *call) {
    return wf_shape_elements(&call->out.shape) * call->p->kernel_h * call->p->kernel_w;
}
#endif

static wf_real window(const wf_op_call *call, uint32_t row, uint32_t channel) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    const wf_real *weights = call->w[0].data;
    const uint32_t half = p->stripe != 0 && channel >= call->out.shape.c / 2;
    const uint32_t high = wf_window_axis_of(call, true, half).window, wide = wf_window_axis_of(call, false, half).window;
    uint32_t cell = row % (s->h * s->w), first = row - cell;
    wf_real sum = 0;
    for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < p->kernel_w; kx++) {
            uint32_t y = cell / s->w + ky - p->kernel_h / 2, x = cell % s->w + kx - p->kernel_w / 2; /* wrap below zero */
            if (y < s->h && x < s->w && y / high == cell / s->w / high && x / wide == cell % s->w / wide) {
                sum += weights[(size_t)(ky * p->kernel_w + kx) * wf_shape_stride(&call->out.shape) + channel] *
                       wf_row(&call->in[0], first + y * s->w + x)[p->first + channel];
            }
        }
    }
    return sum + wf_vector_at(&call->w[1], channel, 0);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < call->out.shape.c; i++) {
            wf_real sum = window(call, row, i);
            sum = call->p->act == WF_ACT_GELU_ERF ? wf_scalar_gelu(sum) : sum;
            y[i] = call->in[1].data != NULL ? wf_row(&call->in[1], row)[i] + sum : sum;
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(depthwise) = {1, wf_scalar_row_tiles, run, NULL, NULL};
