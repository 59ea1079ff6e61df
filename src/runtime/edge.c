/* Outputs leave in the source framework's shape and order, dense; inside they are padded rows. */
#include <string.h>

#include "runtime/model.h"

wf_status wf_edge_dims(const wf_shape *s, const char *order, uint32_t *n_dims, uint32_t dims[4]) {
    if (strcmp(order, "nchw") == 0) {
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

void wf_edge_read(const void *data, bool is_double, const wf_shape *s, const char *order, void *dst, bool dst_double) {
    bool channels_first = strcmp(order, "nchw") == 0;
    size_t cells = (size_t)s->h * s->w, stride = wf_shape_stride(s), at = 0;
    for (size_t n = 0; n < s->n; n++) {
        size_t outer = channels_first ? s->c : cells, inner = channels_first ? cells : s->c;
        for (size_t i = 0; i < outer; i++) {
            for (size_t j = 0; j < inner; j++, at++) {
                size_t cell = channels_first ? j : i, c = channels_first ? i : j;
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
