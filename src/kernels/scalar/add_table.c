/* add_table: y[n, r, :] = in0[n, r, :] + w0[r, :], a table of h·w rows added to every segment
   (learned position embeddings, already in the order of the rows). Cost: two reads and a write.
   `out` may be in0. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_add_table_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_weight *table = &call->w[0];
    WF_TRY(wf_expect_input(&call->in[0], false, "add_table", node, err));
    if (table->n != (uint64_t)in->h * in->w || table->k != in->c) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "add_table \"%s\": the table has %u rows of %u but the map has %u x %u "
                       "cells of %u channels; use the "
                       "input size that the table was made for",
                       node, (unsigned)table->n, (unsigned)table->k, (unsigned)in->h, (unsigned)in->w,
                       (unsigned)in->c);
    }
    *out = *in;
    return WF_OK;
}

uint64_t wf_add_table_cost(const wf_op_call *call) { return wf_shape_elements(&call->in[0].shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t c = call->in[0].shape.c, stride = wf_shape_stride(&call->in[0].shape),
             end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        const wf_real *table = (const wf_real *)call->w[0].data + (size_t)(row % call->w[0].n) * stride;
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < c; i++) {
            y[i] = x[i] + table[i];
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(add_table) = {1, wf_scalar_row_tiles, run, NULL, NULL};
