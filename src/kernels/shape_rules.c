/* The checks of scalar/shape_rules.h. */
#include "kernels/scalar/shape_rules.h"

wf_status wf_expect_size(const wf_shape *s, const char *op, const char *node, wf_error *err) {
    const uint64_t limit = (uint64_t)1 << 29;
    /* Multiplied one by one, each product checked, so that no 64-bit product can wrap. */
    uint64_t elements = (uint64_t)s->n * s->h;
    if (s->c > limit - WF_LANES || elements > limit || (elements *= s->w) > limit ||
        elements * (s->layout == WF_LAYOUT_NCHW ? s->c : wf_shape_stride(s)) > limit) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "%s \"%s\": a tensor of %u x %u x %u x %u (n, h, w, channels) is above 2^29 elements; "
                       "use a smaller input or a smaller batch",
                       op, node, (unsigned)s->n, (unsigned)s->h, (unsigned)s->w, (unsigned)s->c);
    }
    return WF_OK;
}

wf_status wf_expect_input(const wf_view *in, bool picture_allowed, const char *op,
                           const char *node, wf_error *err) {
    const wf_shape *s = &in->shape;
    if (s->c == 0) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "%s \"%s\": its input is missing", op, node);
    }
    if (s->n == 0 || s->h == 0 || s->w == 0) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "%s \"%s\": input of %u x %u x %u x %u (n, h, w, channels) has an empty axis", op,
                       node, (unsigned)s->n, (unsigned)s->h, (unsigned)s->w, (unsigned)s->c);
    }
    if (s->layout != WF_LAYOUT_ROWS && !picture_allowed) {
        return wf_fail(
            err, WF_E_SHAPE, node, -1,
            "%s \"%s\": input is a picture (NCHW), which only conv2d reads; put the stem before it", op,
            node);
    }
    return wf_expect_size(s, op, node, err);
}

wf_status wf_expect_vector(const wf_weight *w, uint32_t c, const char *what, const char *op,
                           const char *node, wf_error *err) {
    if (w->n == 0 || (w->n == 1 && w->k == c)) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_SHAPE, node, -1, "%s \"%s\": %s is %u x %u but a vector of %u is expected", op,
                   node, what, (unsigned)w->n, (unsigned)w->k, (unsigned)c);
}

wf_status wf_expect_same_rows(const wf_shape *a, const wf_shape *b, const char *what,
                           const char *op, const char *node, wf_error *err) {
    if (b->layout == WF_LAYOUT_ROWS && a->n == b->n && (uint64_t)a->h * a->w == (uint64_t)b->h * b->w &&
        a->c == b->c) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_SHAPE, node, -1,
                   "%s \"%s\": %s is %u x %u x %u x %u (n, h, w, channels) but %u x %u x %u x %u is expected",
                   op, node, what, (unsigned)b->n, (unsigned)b->h, (unsigned)b->w, (unsigned)b->c,
                   (unsigned)a->n, (unsigned)a->h, (unsigned)a->w, (unsigned)a->c);
}

wf_status wf_expect_windows(const wf_op_call *call, uint32_t halved, const char *what, const char *op, const char *node,
                           wf_error *err) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    const uint32_t most = 1 << 12;
    bool none = p->window_h == 0 && p->window_w == 0 && p->shift_h == 0 && p->shift_w == 0;
    if (p->stripe != 0) {
        return none && halved % 2 == 0 && s->h % p->stripe == 0 && s->w % p->stripe == 0
                   ? WF_OK
                   : wf_fail(err, WF_E_SHAPE, node, -1,
                             "%s \"%s\": stripes of %u on a map of %u x %u with %u %s; stripes divide the map, and %s come in two halves",
                             op, node, (unsigned)p->stripe, (unsigned)s->h, (unsigned)s->w, (unsigned)halved, what, what);
    }
    if (!none && (p->window_h == 0 || p->window_w == 0 || p->window_h > most || p->window_w > most || p->shift_h >= p->window_h ||
                  p->shift_w >= p->window_w)) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1,
                       "%s \"%s\": windows of %u x %u shifted by %u x %u; sides are 1 to %u and shifts are smaller", op, node,
                       (unsigned)p->window_h, (unsigned)p->window_w, (unsigned)p->shift_h, (unsigned)p->shift_w, (unsigned)most);
    }
    return WF_OK;
}

wf_status wf_expect_others(const wf_op_call *call, uint64_t width, const char *op, const char *node, wf_error *err) {
    const wf_shape *q = &call->in[0].shape, *kv = &call->in[1].shape;
    bool apart = call->in[2].shape.c != 0;
    uint64_t each = (uint64_t)wf_kv_heads(call->p) * call->p->head_dim;
    WF_TRY(wf_expect_input(&call->in[1], false, op, node, err));
    if (q->n != kv->n || q->c != width || kv->c != each * (apart ? 1 : 2)) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "%s \"%s\": q has %u channels in %u segments and %s %u in %u; %u heads of size %u need %llu and %s%llu",
                       op, node, (unsigned)q->c, (unsigned)q->n, apart ? "k has" : "k and v have", (unsigned)kv->c, (unsigned)kv->n,
                       (unsigned)call->p->heads, (unsigned)call->p->head_dim, (unsigned long long)width, apart ? "" : "2 x ", (unsigned long long)each);
    }
    if (apart) {
        WF_TRY(wf_expect_same_rows(kv, &call->in[2].shape, "v", op, node, err));
    }
    return call->p->window_h + call->p->stripe == 0
               ? WF_OK
               : wf_fail(err, WF_E_ARGUMENT, node, -1, "%s \"%s\": windows want q, k and v in one input", op, node);
}

wf_status wf_expect_epilogue(const wf_op_call *call, const wf_shape *out, const char *op,
                           const char *node, wf_error *err) {
    WF_TRY(wf_expect_vector(&call->w[1], out->c, "bias", op, node, err));
    WF_TRY(wf_expect_vector(&call->w[2], out->c, "scale", op, node, err));
    if (call->in[1].shape.c != 0) {
        WF_TRY(wf_expect_same_rows(out, &call->in[1].shape, "residual", op, node, err));
    }
    if (call->p->act > WF_ACT_GELU_ERF) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "%s \"%s\": activation %u does not exist", op, node,
                       (unsigned)call->p->act);
    }
    return WF_OK;
}
