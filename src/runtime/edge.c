/* Outputs leave in the source framework's shape and order, dense; inside they are padded rows. Orders: "nchw", "nhwc", "nlc", "nc",
   "nc11", and "window": [windows of all pictures, cells of a window, channels], as windowed attention sees the map. */
#include <string.h>

#include "runtime/model.h"

wf_status wf_edge_dims(const wf_edge *e, uint32_t *n_dims, uint32_t dims[4]) {
    const char *order = e->order;
    const wf_shape *s = e->shape;
    const wf_op_params *p = e->window;
    if (strcmp(order, "window") == 0) {
        if (p == NULL || p->window_h == 0 || s->h % p->window_h != 0 || s->w % p->window_w != 0) {
            return WF_E_SHAPE; /* rows of padding are not computed */
        }
        *n_dims = 3;
        dims[0] = s->n * (s->h / p->window_h) * (s->w / p->window_w), dims[1] = p->window_h * p->window_w, dims[2] = s->c;
    } else if (strcmp(order, "nhwc") == 0) {
        *n_dims = 4;
        dims[0] = s->n, dims[1] = s->h, dims[2] = s->w, dims[3] = s->c;
    } else if (strcmp(order, "nchw") == 0) {
        *n_dims = 4;
        dims[0] = s->n, dims[1] = s->c, dims[2] = s->h, dims[3] = s->w;
    } else if (strcmp(order, "nc11") == 0) {
        *n_dims = 4;
        dims[0] = s->n, dims[1] = s->c, dims[2] = dims[3] = 1;
    } else if (strcmp(order, "nlc") == 0) {
        *n_dims = 3;
        dims[0] = s->n, dims[1] = s->h * s->w, dims[2] = s->c;
    } else if (strcmp(order, "nc") == 0) {
        *n_dims = 2;
        dims[0] = s->n, dims[1] = s->c;
    } else {
        return WF_E_FORMAT;
    }
    bool pooled = s->h * s->w == 1;
    return pooled || order[1] != 'c' || order[2] == 'h' ? WF_OK : WF_E_SHAPE;
}

static double element(const void *data, bool is_double, size_t i) {
    return is_double ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

/* The cell that is i-th in the order of windows: a window after the other, the map rolled by the shift before. */
static size_t window_cell(const wf_shape *s, const wf_op_params *p, size_t i) {
    size_t area = (size_t)p->window_h * p->window_w, window = i / area, in = i % area, across = s->w / p->window_w;
    size_t y = window / across * p->window_h + in / p->window_w + p->shift_h;
    size_t x = window % across * p->window_w + in % p->window_w + p->shift_w;
    return y % s->h * s->w + x % s->w;
}

void wf_edge_read(const void *data, bool is_double, const wf_edge *e, void *dst, bool dst_double) {
    const wf_shape *s = e->shape;
    bool channels_first = strcmp(e->order, "nchw") == 0, windows = strcmp(e->order, "window") == 0;
    size_t cells = (size_t)s->h * s->w, stride = wf_shape_stride(s), at = 0;
    for (size_t n = 0; n < s->n; n++) {
        size_t outer = channels_first ? s->c : cells, inner = channels_first ? cells : s->c;
        for (size_t i = 0; i < outer; i++) {
            for (size_t j = 0; j < inner; j++, at++) {
                size_t cell = channels_first ? j : i, c = channels_first ? i : j;
                cell = windows ? window_cell(s, e->window, cell) : cell;
                double v = element(data, is_double, (n * cells + cell) * stride + c);
                if (dst_double) {
                    ((double *)dst)[at] = v;
                } else {
                    ((float *)dst)[at] = (float)v;
                }
            }
        }
    }
}
