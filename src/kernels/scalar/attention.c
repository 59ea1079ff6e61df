/* attention: out[i, head] = Σ_j softmax_j(scale · q[i, head] · k[j, head] + b[i, j]) v[j, head] for the
   rows i, j that see each other (Vaswani et al. 2017). in0 rows are [q | k | v], q heads · head_dim
   wide and in head order, k and v likewise with p->kv_heads heads, each of which heads / kv_heads heads
   of q read (arXiv 2305.13245; 0 = as many as q); head_dim is any. With in1, q is in0 alone and
   [k | v] are the rows of the same segment of in1, of any number; with in2, in1 is k and in2 is v. The
   row map is "all rows of my segment", with p->causal "those up to my own", "the rows of my window"
   or "of my stripe" (window.h), with a relative position bias from the table
   w0 [(2·window_h − 1)·(2·window_w − 1), heads], row (yi − yj + window_h − 1)·(2·window_w − 1) +
   xi − xj + window_w − 1, when it is there. A cell that padding made has w1 (the bias of what made
   q, k and v), or zeros, as its row: a linear layer of zeros. Strides and lists will choose other
   (query rows, key rows) pairs here; the score rule and the sum below stay. The maximum is
   subtracted before exp, so no score overflows. Cost: 2 · t² · heads · head_dim multiply–adds for t
   rows that see each other. */
#include "kernels/window.h"

#include "kernels/scalar/real.h"

/* How many rows a query sees. */
static uint32_t seen_rows(const wf_op_call *call, const wf_windows *w) {
    const wf_shape *others = &call->in[1].shape;
    return others->c != 0 ? others->h * others->w : w->cells;
}

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

static wf_status check_table(const wf_op_call *call, const char *node, wf_error *err) {
    const wf_op_params *p = call->p;
    const wf_weight *table = &call->w[0];
    uint64_t rows = (uint64_t)(2 * p->window_h - 1) * (2 * p->window_w - 1);
    if (table->n != 0 && p->window_h == 0) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "attention \"%s\": a table of relative positions belongs to windows, and there are none",
                       node);
    }
    if (table->n != 0 && (table->n != rows || table->k != p->heads)) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "attention \"%s\": a table of %u x %u does not fit windows of %u x %u and %u heads, which need %llu x %u", node,
                       (unsigned)table->n, (unsigned)table->k, (unsigned)p->window_h, (unsigned)p->window_w, (unsigned)p->heads,
                       (unsigned long long)rows, (unsigned)p->heads);
    }
    return WF_OK;
}

/* The window, its shift and its table; and that what one window needs can be addressed. */
static wf_status check_window(const wf_op_call *call, const char *node, wf_error *err) {
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_vector(&call->w[1], call->in[0].shape.c, "padding", "attention", node, err));
    WF_TRY(wf_expect_windows(call, p->heads, "heads", "attention", node, err));
    WF_TRY(check_table(call, node, err));
    for (uint32_t half = 0; half < wf_window_halves(p) && p->window_h + p->stripe != 0; half++) {
        wf_windows w = wf_windows_of(call, half);
        wf_shape window = {1, w.v.window, w.h.window, call->in[0].shape.c, WF_LAYOUT_ROWS};
        uint64_t cells = w.cells;
        if (cells * (cells + WF_LANES) > (1u << 26) / p->heads || wf_expect_size(&window, "attention", node, err) != WF_OK) {
            return wf_fail(err, WF_E_SHAPE, node, -1, "attention \"%s\": windows of %u x %u are too large for %u heads", node,
                           (unsigned)w.v.window, (unsigned)w.h.window, (unsigned)p->heads);
        }
    }
    return WF_OK;
}

/* Groups of heads, and rows that do not look ahead. */
static wf_status check_heads(const wf_op_call *call, const char *node, wf_error *err) {
    const wf_op_params *p = call->p;
    const wf_shape *q = &call->in[0].shape, *kv = &call->in[1].shape;
    if (p->heads % wf_kv_heads(p) != 0) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "attention \"%s\": %u heads of k and v do not divide the %u of q", node,
                       (unsigned)p->kv_heads, (unsigned)p->heads);
    }
    if (p->causal && p->window_h + p->stripe != 0) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "attention \"%s\": causal attention has no windows here", node);
    }
    if (p->causal && kv->c != 0 && (uint64_t)kv->h * kv->w != (uint64_t)q->h * q->w) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "attention \"%s\": causal attention wants as many keys as queries", node);
    }
    return WF_OK;
}

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
    WF_TRY(check_heads(call, node, err));
    uint64_t packed = width + 2 * (uint64_t)wf_kv_heads(p) * p->head_dim;
    if (call->in[1].shape.c != 0) {
        WF_TRY(wf_expect_others(call, width, "attention", node, err));
    } else if (in->c != packed && packed == 3 * width) {
        return wf_fail(err, WF_E_SHAPE, node, -1,
                       "attention \"%s\": input has %u channels but q, k and v of %u heads of size "
                       "%u need 3 x %llu",
                       node, (unsigned)in->c, (unsigned)p->heads, (unsigned)p->head_dim,
                       (unsigned long long)width);
    } else if (in->c != packed) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "attention \"%s\": input has %u channels but %u heads of q and %u of k and of v, of size %u, need %llu",
                       node, (unsigned)in->c, (unsigned)p->heads, (unsigned)p->kv_heads, (unsigned)p->head_dim, (unsigned long long)packed);
    }
    WF_TRY(check_window(call, node, err));
    *out = *in;
    out->c = (uint32_t)width;
    return WF_OK;
}

uint64_t wf_attention_cost(const wf_op_call *call) {
    uint64_t sum = 0;
    for (uint32_t half = 0; half < wf_window_halves(call->p); half++) {
        wf_windows w = wf_windows_of(call, half);
        uint64_t cells = w.cells, pairs = call->p->causal ? cells * (cells + 1) / 2 : cells * seen_rows(call, &w);
        sum += 2 * wf_window_units(call, &w) * pairs * call->p->head_dim;
    }
    return sum;
}
#endif

static size_t scratch_bytes(const wf_op_call *call) {
    wf_windows a = wf_windows_of(call, 0), b = wf_windows_of(call, 1);
    return seen_rows(call, a.cells > b.cells ? &a : &b) * sizeof(wf_real);
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

/* What a head of q sees of k or v (part 0 or 1) at place j; NULL: zeros. */
static const wf_real *seen(const wf_op_call *call, const wf_windows *w, const wf_window_query *q, uint32_t part, uint32_t head, uint32_t j) {
    const wf_op_params *p = call->p;
    uint32_t kv_heads = wf_kv_heads(p), own = head / (p->heads / kv_heads);
    if (call->in[1].data != NULL) {
        bool apart = call->in[2].data != NULL;
        const wf_real *others = wf_row(&call->in[apart ? 1 + part : 1], q->segment * seen_rows(call, w) + j);
        return others + (size_t)(apart ? own : part * kv_heads + own) * p->head_dim;
    }
    uint32_t row = wf_window_row(w, q, j / w->h.window, j % w->h.window);
    const wf_real *qkv = row == WF_WINDOW_PADDING ? (const wf_real *)call->w[1].data : wf_row(&call->in[0], row);
    return qkv != NULL ? qkv + (size_t)(p->heads + part * kv_heads + own) * p->head_dim : NULL;
}

/* What is added to the score of the query and place j. */
static wf_real score_bias(const wf_op_call *call, const wf_windows *w, const wf_window_query *q, uint32_t head, uint32_t j) {
    if (call->in[1].data != NULL) {
        return 0;
    }
    uint32_t y = j / w->h.window, x = j % w->h.window;
    uint32_t at = (q->y + w->v.window - 1 - y) * (2 * w->h.window - 1) + q->x + w->h.window - 1 - x;
    bool apart = wf_window_side(&w->v, q->top, q->y) != wf_window_side(&w->v, q->top, y) ||
                 wf_window_side(&w->h, q->left, q->x) != wf_window_side(&w->h, q->left, x);
    const wf_real *table = call->w[0].data;
    return (table != NULL ? table[(size_t)at * wf_round_up(call->w[0].k, WF_LANES) + head] : 0) + (apart ? WF_WINDOW_MASK : 0);
}

/* One query row and one head. */
static void attend(const wf_op_call *call, const wf_windows *w, uint32_t row, uint32_t head, wf_real *scores /* [tokens] */) {
    wf_window_query at = wf_window_find(w, row);
    uint32_t dim = call->p->head_dim, tokens = call->p->causal ? row - at.segment * w->cells + 1 : seen_rows(call, w);
    const wf_real *q = wf_row(&call->in[0], row) + head * dim; /* [dim] */
    wf_real *y = wf_row(&call->out, row) + head * dim;         /* [dim] */
    wf_real scale = score_scale(call->p), largest = 0;
    for (uint32_t j = 0; j < tokens; j++) {
        const wf_real *k = seen(call, w, &at, 0, head, j);
        wf_real dot = 0;
        for (uint32_t i = 0; k != NULL && i < dim; i++) {
            dot += q[i] * k[i];
        }
        scores[j] = dot * scale + score_bias(call, w, &at, head, j);
        largest = j == 0 || scores[j] > largest ? scores[j] : largest;
    }
    double sum = 0;
    for (uint32_t j = 0; j < tokens; j++) {
        scores[j] = wf_real_exp(scores[j] - largest);
        sum += scores[j];
    }
    memset(y, 0, dim * sizeof *y);
    for (uint32_t j = 0; j < tokens; j++) {
        const wf_real *v = seen(call, w, &at, 1, head, j);
        for (uint32_t i = 0; v != NULL && i < dim; i++) {
            y[i] += scores[j] * v[i];
        }
    }
    for (uint32_t i = 0; i < dim; i++) {
        y[i] = (wf_real)(y[i] / sum);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase;
    wf_windows w[2] = {wf_windows_of(call, 0), wf_windows_of(call, 1)};
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        for (uint32_t head = 0; head < call->p->heads; head++) {
            attend(call, &w[head >= w[0].heads], row, head, scratch);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(attention) = {1, wf_scalar_row_tiles, run, scratch_bytes, NULL};
