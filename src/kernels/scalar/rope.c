/* rope: the first r elements of each head of in0 turned, in pairs, by the angles of the row's place in its segment: with (c, s) =
   (in1[p, j], in1[p, r/2 + j]) of rope_angles,
       (a, b) → (a c − b s, b c + a s)
   where (a, b) are the elements (j, j + r/2) of the head, or (2j, 2j + 1), as p->pairs says. in0 rows are heads · head_dim wide; the
   elements of a head from r on are copied. RoFormer, arXiv 2104.09864, section 3.4.2. Cost: one read and one write. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_rope_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_op_params *p = call->p;
    const wf_shape *in = &call->in[0].shape, *angles = &call->in[1].shape;
    WF_TRY(wf_expect_input(&call->in[0], false, "rope", node, err));
    WF_TRY(wf_expect_input(&call->in[1], false, "rope", node, err));
    if ((uint64_t)p->heads * p->head_dim != in->c) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "rope \"%s\": input has %u channels but %u heads of size %u need %llu", node, (unsigned)in->c,
                       (unsigned)p->heads, (unsigned)p->head_dim, (unsigned long long)p->heads * p->head_dim);
    }
    if (angles->n != 1 || (uint64_t)angles->h * angles->w != (uint64_t)in->h * in->w || angles->c > p->head_dim || angles->c % 2 != 0 ||
        p->pairs > WF_ROPE_NEIGHBOURS) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "rope \"%s\": angles of %u x %u x %u x %u do not fit segments of %llu rows and heads of size %u", node,
                       (unsigned)angles->n, (unsigned)angles->h, (unsigned)angles->w, (unsigned)angles->c, (unsigned long long)in->h * in->w,
                       (unsigned)p->head_dim);
    }
    *out = *in;
    return WF_OK;
}

uint64_t wf_rope_cost(const wf_op_call *call) { return 2 * wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_op_params *p = call->p;
    uint32_t turned = call->in[1].shape.c, half = turned / 2, end = wf_scalar_tile_end(call, tile);
    uint32_t apart = p->pairs == WF_ROPE_HALVES ? half : 1, step = p->pairs == WF_ROPE_HALVES ? 1 : 2;
    uint32_t rows = call->in[0].shape.h * call->in[0].shape.w;
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row), *angles = wf_row(&call->in[1], row % rows);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t head = 0; head < p->heads; head++, x += p->head_dim, y += p->head_dim) {
            for (uint32_t j = 0; j < half; j++) {
                wf_real a = x[j * step], b = x[j * step + apart], c = angles[j], s = angles[half + j];
                y[j * step] = a * c - b * s;
                y[j * step + apart] = b * c + a * s;
            }
            for (uint32_t i = turned; i < p->head_dim; i++) {
                y[i] = x[i];
            }
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(rope) = {1, wf_scalar_row_tiles, run, NULL, NULL};
