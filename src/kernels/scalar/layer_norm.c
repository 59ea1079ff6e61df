/* layer_norm and its kin (p->norm_by), over the c elements of a row, each then [· w0[c]] [+ w1[c]] [/ √p->depth]:
     LAYER  (x − μ)/√(σ² + eps), σ² biased (torch's LayerNorm on the last axis; LayerNormChannel of
            MetaFormer on a channels-last map)
     RMS    x/√(Σx²/c + eps) (RMSNorm)
     CRMS   x/√((Σx² + (Σx)²)/(c + 1) + eps): the RMS of the row with −Σx as one element more
            (Pre-CRMSNorm's compressed rows)
     CARRIED  CRMS of the first c − 1 elements; y[c − 1] = 0, for x[c − 1] is the mean that the row had before it was taken away
   w0 may hold one element for all channels: SSNorm (OSP, arXiv 2506.19697) is RMS with such a weight. The last is LayerNorm scaling
   (arXiv 2502.05795), depth being the layer's number from 1.
   Two passes over a row that stays in cache. Cost: reads and writes each row once from memory. */
#include "kernels/scalar/int8_rows.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_layer_norm_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    WF_TRY(wf_expect_input(&call->in[0], false, "layer_norm", node, err));
    if (call->p->norm_by > WF_BY_CARRIED) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "layer_norm \"%s\": there is no kind of norm %u", node,
                       (unsigned)call->p->norm_by);
    }
    WF_TRY(wf_expect_vector(&call->w[0], call->w[0].k == 1 ? 1 : call->in[0].shape.c, "weight", "layer_norm", node, err));
    WF_TRY(wf_expect_vector(&call->w[1], call->in[0].shape.c, "bias", "layer_norm", node, err));
    *out = call->in[0].shape;
    return WF_OK;
}

uint64_t wf_layer_norm_cost(const wf_op_call *call) { return 2 * wf_shape_elements(&call->in[0].shape); }
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    return call->p->out_u8 ? call->in[0].shape.c * sizeof(wf_real) : 0;
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    uint32_t end = wf_scalar_tile_end(call, tile), all = call->in[0].shape.c, c = call->p->norm_by == WF_BY_CARRIED ? all - 1 : all;
    bool one = call->w[0].k == 1;
    wf_real scale = call->p->depth != 0 ? 1 / wf_real_sqrt(call->p->depth) : 1;
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = call->p->out_u8 ? scratch : wf_row(&call->out, row);
        double sum = 0, squares = 0, count = c;
        for (uint32_t i = 0; i < c; i++) {
            sum += x[i];
        }
        double mean = call->p->norm_by == WF_BY_DEVIATION ? sum / c : 0;
        for (uint32_t i = 0; i < c; i++) {
            squares += (x[i] - mean) * (x[i] - mean);
        }
        if (call->p->norm_by == WF_BY_CRMS || call->p->norm_by == WF_BY_CARRIED) {
            squares += sum * sum;
            count = call->p->count != 0 ? call->p->count : c + 1;
        }
        double inverse = 1 / wf_real_sqrt(squares / count + wf_real_eps(call->p->eps));
        for (uint32_t i = 0; i < c; i++) {
            wf_real normal = (wf_real)((x[i] - mean) * inverse);
            y[i] = (normal * wf_vector_at(&call->w[0], one ? 0 : i, 1) + wf_vector_at(&call->w[1], i, 0)) * scale;
        }
        if (c < all) {
            y[c] = 0;
        }
        if (call->p->out_u8) {
            wf_row_store_u8(call, y, row);
        } else {
            wf_row_zero_lanes(&call->out, row);
        }
    }
}

WF_SCALAR_IMPL(layer_norm) = {1, wf_scalar_row_tiles, run, scratch_bytes, NULL};
