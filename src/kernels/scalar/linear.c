/* linear: y[r, o] = [in1[r, o] +] [w2[o] ·] act(Σ_k in0[r, k] · w0[o, k] [+ w1[o]]), a fully
   connected layer with the epilogue bias, activation, layer scale, residual (PoolFormer's `x + ls ·
   fc2(…)` is one op). A 1×1 convolution is the same thing. With p->int8_rows each input row is
   first rounded to its int8 grid, as the integer kernels do; an I8 matrix has integer sums
   (int8_rows.h). Cost: rows · n · k multiply–adds. */
#include "kernels/scalar/int8_rows.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_linear_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_weight *w = &call->w[0];
    WF_TRY(wf_expect_input(&call->in[0], false, "linear", node, err));
    if (w->n == 0) {
        return wf_fail(err, WF_E_MISSING, node, -1, "linear \"%s\": its weight is missing", node);
    }
    if (w->k != in->c) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "linear \"%s\": input has %u channels but the weight expects %u", node,
                       (unsigned)in->c, (unsigned)w->k);
    }
    wf_shape result = {in->n, in->h, in->w, w->n, WF_LAYOUT_ROWS};
    WF_TRY(wf_expect_size(&result, "linear", node, err));
    WF_TRY(wf_expect_epilogue(call, &result, "linear", node, err));
    if (call->in[1].shape.c != 0) { /* rows added to a map are that map again */
        result.h = call->in[1].shape.h;
        result.w = call->in[1].shape.w;
    }
    *out = result;
    return WF_OK;
}

uint64_t wf_linear_cost(const wf_op_call *call) {
    return (uint64_t)wf_shape_rows(&call->in[0].shape) * call->w[0].n * call->w[0].k;
}
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    size_t rounded = call->p->int8_rows ? call->w[0].k * sizeof(wf_real) : 0, bytes = wf_i8_scratch_bytes(call);
    return call->w[WF_W_STEPS].n == 0 ? rounded : bytes;
}

static void run_i8(const wf_op_call *call, uint32_t row, void *scratch) {
    const uint32_t k = call->w[0].k;
    if (call->p->in_u8) {
        wf_grid g = wf_grid_of(&call->w[WF_W_IN_GRID]);
        wf_byte_row grid = {g.scale, g.zero};
        wf_row_product_i8(call, wf_row_u8(&call->in[0], row), grid, wf_i8_work(call, scratch), row);
    } else {
        wf_byte_row grid = wf_row_quantize(call, wf_row(&call->in[0], row), k, k, scratch);
        wf_row_product_i8(call, scratch, grid, wf_i8_work(call, scratch), row);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    uint32_t k = call->w[0].k, end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        if (wf_is_i8_product(call)) {
            run_i8(call, row, scratch);
            continue;
        }
        const wf_real *x = wf_row(&call->in[0], row); /* [k] */
        if (call->p->int8_rows) {
            memcpy(scratch, x, k * sizeof *x);
            wf_row_round_to_int8(scratch, k);
            x = scratch;
        }
        wf_row_product(call, x, row);
    }
}

WF_SCALAR_IMPL(linear) = {1, wf_scalar_row_tiles, run, scratch_bytes, NULL};
