/* attention: out[i, head] = Σ_j softmax_j(scale · q[i, head] · k[j, head]) v[j, head] for the rows
   i, j of one segment (Vaswani et al. 2017, full and bidirectional). in0 rows are [q | k | v], each
   heads · head_dim wide and in head order; head_dim is any. The row map, which rows a query sees,
   has one setting today: all rows of its segment. Windows, strides and lists will choose other
   (query rows, key rows) pairs here; the score rule and the sum below stay. The maximum is
   subtracted before exp, so no score overflows. Cost: 2 · t² · heads · head_dim multiply–adds a
   segment. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_attention_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_input(&call->in[0], false, "attention", node, err));
    uint64_t width = (uint64_t)p->heads * p->head_dim;
    if (width == 0) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1,
                       "attention \"%s\": %u heads of size %u; both must be at least 1", node,
                       (unsigned)p->heads, (unsigned)p->head_dim);
    }
    if (in->c % 3 != 0 || in->c / 3 != width) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "attention \"%s\": input has %u channels but q, k and v of %u heads of size "
                       "%u need 3 x %llu",
                       node, (unsigned)in->c, (unsigned)p->heads, (unsigned)p->head_dim,
                       (unsigned long long)width);
    }
    *out = *in;
    out->c = (uint32_t)width;
    return WF_OK;
}

uint64_t wf_attention_cost(const wf_op_call *call) {
    const wf_shape *in = &call->in[0].shape;
    uint64_t tokens = (uint64_t)in->h * in->w;
    return 2 * in->n * tokens * tokens * (in->c / 3);
}
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    return (size_t)call->in[0].shape.h * call->in[0].shape.w * sizeof(wf_real);
}

/* The softmax scale; the double build restores 1/√head_dim from its rounding to float. */
static wf_real score_scale(const wf_op_params *p) {
#if WF_REAL_F64
    double exact = 1 / sqrt((double)p->head_dim);
    return (float)exact == p->scale ? exact : p->scale;
#else
    return p->scale;
#endif
}

/* One query row and one head. */
static void attend(const wf_op_call *call, uint32_t row, uint32_t head, wf_real *scores /* [tokens] */) {
    uint32_t dim = call->p->head_dim, width = call->p->heads * dim;
    uint32_t tokens = call->in[0].shape.h * call->in[0].shape.w, first = row / tokens * tokens;
    const wf_real *q = wf_row(&call->in[0], row) + head * dim; /* [dim] */
    wf_real *y = wf_row(&call->out, row) + head * dim;         /* [dim] */
    wf_real scale = score_scale(call->p), largest = 0;
    for (uint32_t j = 0; j < tokens; j++) {
        const wf_real *k = wf_row(&call->in[0], first + j) + width + head * dim;
        wf_real dot = 0;
        for (uint32_t i = 0; i < dim; i++) {
            dot += q[i] * k[i];
        }
        scores[j] = dot * scale;
        largest = j == 0 || scores[j] > largest ? scores[j] : largest;
    }
    double sum = 0;
    for (uint32_t j = 0; j < tokens; j++) {
        scores[j] = wf_real_exp(scores[j] - largest);
        sum += scores[j];
    }
    for (uint32_t i = 0; i < dim; i++) {
        wf_real mixed = 0;
        for (uint32_t j = 0; j < tokens; j++) {
            mixed += scores[j] * wf_row(&call->in[0], first + j)[2 * width + head * dim + i];
        }
        y[i] = (wf_real)(mixed / sum);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        for (uint32_t head = 0; head < call->p->heads; head++) {
            attend(call, row, head, scratch);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(attention) = {1, wf_scalar_row_tiles, run, scratch_bytes, NULL};
