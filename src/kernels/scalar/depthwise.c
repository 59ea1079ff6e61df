/* depthwise: y[n, h, w, c] = act(Σ over a kernel_h × kernel_w window around (h, w) of w0[cell, c] · x[cell, c] [+ w1[c]]), zeros outside
   the map: torch's Conv2d(c, c, k, padding = k//2, groups = c), as in the MLP of PVT-v2 (arXiv 2106.13797, section 3.3). w0 is a table
   [kernel_h · kernel_w, c]. Kernels are odd, stride 1: the map keeps its size. Cost: kernel_h · kernel_w multiply–adds an element. */
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
    if (call->w[0].n != p->kernel_h * p->kernel_w || call->w[0].k != in->c) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "depthwise \"%s\": weights are %u x %u, but a %ux%u window of %u channels needs %u x %u",
                       node, (unsigned)call->w[0].n, (unsigned)call->w[0].k, (unsigned)p->kernel_h, (unsigned)p->kernel_w, (unsigned)in->c,
                       (unsigned)(p->kernel_h * p->kernel_w), (unsigned)in->c);
    }
    WF_TRY(wf_expect_vector(&call->w[1], in->c, "bias", "depthwise", node, err));
    if (p->act > WF_ACT_GELU_ERF) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "depthwise \"%s\": activation %u does not exist", node, (unsigned)p->act);
    }
    *out = *in;
    return WF_OK;
}

uint64_t wf_depthwise_cost(const wf_op_call *call) {
    return wf_shape_elements(&call->in[0].shape) * call->p->kernel_h * call->p->kernel_w;
}
#endif

static wf_real window(const wf_op_call *call, uint32_t row, uint32_t channel) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    const wf_real *weights = call->w[0].data;
    uint32_t cell = row % (s->h * s->w), first = row - cell;
    wf_real sum = 0;
    for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < p->kernel_w; kx++) {
            uint32_t y = cell / s->w + ky - p->kernel_h / 2, x = cell % s->w + kx - p->kernel_w / 2; /* wrap below zero */
            if (y < s->h && x < s->w) {
                sum += weights[(size_t)(ky * p->kernel_w + kx) * wf_shape_stride(s) + channel] *
                       wf_row(&call->in[0], first + y * s->w + x)[channel];
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
            y[i] = call->p->act == WF_ACT_GELU_ERF ? wf_scalar_gelu(sum) : sum;
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(depthwise) = {1, wf_scalar_row_tiles, run, NULL, NULL};
