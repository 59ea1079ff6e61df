/* prefix: the rows of w0 [p, c] in front of every segment of in0: class, distillation and register tokens. A map [n, h, w, c]
   becomes a sequence of p + h·w rows. Cost: one copy. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_prefix_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "prefix", node, err));
    if (call->w[0].n == 0 || call->w[0].k != in->c) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "prefix \"%s\": %u rows of %u do not go in front of rows of %u channels", node,
                       (unsigned)call->w[0].n, (unsigned)call->w[0].k, (unsigned)in->c);
    }
    wf_shape result = {in->n, in->h * in->w + call->w[0].n, 1, in->c, WF_LAYOUT_ROWS};
    *out = result;
    return wf_expect_size(out, "prefix", node, err);
}

uint64_t wf_prefix_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t segment, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *in = &call->in[0].shape;
    size_t stride = wf_shape_stride(in), rows = (size_t)in->h * in->w, front = call->w[0].n;
    wf_real *y = (wf_real *)call->out.data + segment * (front + rows) * stride;
    memcpy(y, call->w[0].data, front * stride * sizeof *y); /* tables and rows have the same stride and zero lanes */
    memcpy(y + front * stride, (const wf_real *)call->in[0].data + segment * rows * stride, rows * stride * sizeof *y);
}

WF_SCALAR_IMPL(prefix) = {1, wf_scalar_segment_tiles, run, NULL, NULL};
