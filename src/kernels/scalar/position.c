/* position: y[n, r, :] = in0[n, r, :] + w0[r, :] for the `first` rows of a segment (class and register tokens), and in0 plus the
   table's grid resampled from grid_h × grid_w to map_h × map_w for the rows behind them: learned positions at another picture
   size than the model's own (timm resample_abs_pos_embed, HF interpolate_pos_encoding, PVT). At the own size add_table does the
   same for less. Cost: up to 16 table rows an output row when growing, more when shrinking with antialiasing. */
#include "kernels/resample_axis.h"
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_position_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_input(&call->in[0], false, "position", node, err));
    if (call->w[0].k != in->c || call->w[0].n != p->first + (uint64_t)p->grid_h * p->grid_w ||
        (uint64_t)in->h * in->w != p->first + (uint64_t)p->map_h * p->map_w || p->map_h == 0 || p->map_w == 0) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "position \"%s\": a table of %u rows of %u cannot be resampled from %u + %u x %u to %u + %u x %u rows of %u "
                       "channels",
                       node, (unsigned)call->w[0].n, (unsigned)call->w[0].k, (unsigned)p->first, (unsigned)p->grid_h,
                       (unsigned)p->grid_w, (unsigned)p->first, (unsigned)p->map_h, (unsigned)p->map_w, (unsigned)in->c);
    }
    if (!wf_axis_fits(p->grid_h, p->map_h) || !wf_axis_fits(p->grid_w, p->map_w)) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "position \"%s\": the table's grid of %u x %u is too large for a map of %u x %u; use a larger picture", node,
                       (unsigned)p->grid_h, (unsigned)p->grid_w, (unsigned)p->map_h, (unsigned)p->map_w);
    }
    *out = *in;
    return WF_OK;
}

uint64_t wf_position_cost(const wf_op_call *call) { return 16 * wf_shape_elements(&call->in[0].shape); }
#endif

static void add_row(const wf_op_call *call, uint32_t row) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    uint32_t c = s->c, stride = wf_shape_stride(s), r = row % (s->h * s->w);
    const wf_real *x = wf_row(&call->in[0], row), *table = call->w[0].data;
    wf_real *y = wf_row(&call->out, row);
    if (r < p->first) {
        for (uint32_t i = 0; i < c; i++) {
            y[i] = x[i] + table[(size_t)r * stride + i];
        }
        return;
    }
    wf_axis_taps down, across;
    wf_axis_taps_of(&down, (r - p->first) / p->map_w, p->grid_h, p->map_h, (wf_position_resample)p->resample);
    wf_axis_taps_of(&across, (r - p->first) % p->map_w, p->grid_w, p->map_w, (wf_position_resample)p->resample);
    for (uint32_t i = 0; i < c; i++) {
        double sum = 0;
        for (uint32_t v = 0; v < down.count; v++) {
            for (uint32_t h = 0; h < across.count; h++) {
                size_t cell = p->first + (size_t)(down.first + v) * p->grid_w + across.first + h;
                sum += down.weight[v] * across.weight[h] * table[cell * stride + i];
            }
        }
        y[i] = (wf_real)(x[i] + sum);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        add_row(call, row);
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(position) = {1, wf_scalar_row_tiles, run, NULL, NULL};
