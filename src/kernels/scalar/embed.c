/* embed: y[r] = w0[in0[r]], a row of the table of tokens for each token id. in0 holds the ids as numbers, dense [n, 1, t, 1]; w0
   [vocabulary, c] is kept as it is stored, quantized or not, and a row is decoded when it is looked up. A session refuses ids that
   are no row of the table before it runs (runtime/session.c); here such a row becomes zeros, so that nothing outside is read. Cost: one
   read of a row and one write for each token. */
#include "kernels/scalar/real.h"
#include "tensor/dtype.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_embed_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_weight *w = &call->w[0];
    WF_TRY(wf_expect_input(&call->in[0], true, "embed", node, err));
    if (in->c != 1 || in->layout != WF_LAYOUT_NCHW) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "embed \"%s\": its input has %u channels but token ids are one number each, as the caller gives them",
                       node, (unsigned)in->c);
    }
    if (w->n == 0) {
        return wf_fail(err, WF_E_MISSING, node, -1, "embed \"%s\": its table is missing", node);
    }
    if (w->n > 1u << 24) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "embed \"%s\": a table of %u rows; ids are exact below 2^24 only", node, (unsigned)w->n);
    }
    *out = (wf_shape){in->n, in->h, in->w, w->k, WF_LAYOUT_ROWS};
    return wf_expect_size(out, "embed", node, err);
}

uint64_t wf_embed_cost(const wf_op_call *call) { return wf_shape_elements(&call->out.shape); }
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    return wf_round_up(call->w[0].k, WF_LANES) * sizeof(float);
}

/* Stored row → y[c]. `line`: room for a row of floats. */
static void look_up(const wf_weight *w, uint32_t id, wf_real *y, float *line) {
    const wf_dtype_info *type = wf_dtype_get(w->type);
    uint32_t stored_k = wf_round_up(w->k, type->block);
    const uint8_t *row = (const uint8_t *)w->data + (size_t)id * wf_dtype_row_bytes(w->type, stored_k);
#if WF_REAL_F64
    if (w->type == WF_F64) {
        memcpy(y, row, w->k * sizeof *y);
        return;
    }
#endif
    type->decode(row, line, stored_k);
    for (uint32_t i = 0; i < w->k; i++) {
        y[i] = line[i];
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    const wf_real *ids = call->in[0].data;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        wf_real *y = wf_row(&call->out, row);
        if (ids[row] >= 0 && ids[row] < (wf_real)call->w[0].n) {
            look_up(&call->w[0], (uint32_t)ids[row], y, scratch);
        } else {
            memset(y, 0, call->out.shape.c * sizeof *y);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(embed) = {1, wf_scalar_row_tiles, run, scratch_bytes, NULL};
