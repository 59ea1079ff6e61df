/* sla: simplified linear attention (SLAB, arXiv 2405.11582, section 3.2). in0 rows are [q | k | v], each heads · head_dim wide, over
   a map h × w. Per segment, window and head, with q⁺ = max(q, 0) and k⁺ = max(k + position, 0):
     out_i = q⁺_i · (Σ_j k⁺_jᵀ v_j) / (q⁺_i · Σ_j k⁺_j + eps) + Σ over kernel_h × kernel_w of w1[cell] ∘ v [+ w2]
   The last term is a depthwise convolution of the window's v as a picture, zeros outside.
   Windows (window.h) divide the map and are rolled by their shift, but here, as in the source, ends that meet see each other; stripes
   are an alternative. w0 [cells of a window, heads · head_dim] has the positions, with stripes one half's table behind the other
   [cells + cells, heads/2 · head_dim]; w1 [kernel_h · kernel_w, halves · head_dim] and w2 [halves · head_dim] are shared by the heads
   of a half. With in1, q is in0 alone, over the map, and [k | v] are in1's rows, fewer of them: j runs over these, which w0 belongs to,
   and the convolution sees v stretched to the map's cells, linearly along the rows, as torch's interpolate does (PVT's spatial
   reduction). Cost: tokens · heads · head_dim · (2 head_dim + 2 + kernel), linear in the tokens. */
#include "kernels/resample_axis.h"
#include "kernels/window.h"

#include "kernels/scalar/real.h"

/* How many rows a query of these windows sees. */
static uint32_t seen_rows(const wf_op_call *call, const wf_windows *w) {
    const wf_shape *others = &call->in[1].shape;
    return others->c != 0 ? others->h * others->w : w->cells;
}

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

static wf_status expect_table(const wf_weight *w, uint64_t n, uint64_t k, const char *what, const char *node, wf_error *err) {
    if (w->n == n && w->k == k) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": %s is %u x %u but %llu x %llu is expected", node, what, (unsigned)w->n,
                   (unsigned)w->k, (unsigned long long)n, (unsigned long long)k);
}

/* Windows divide the map, and the sums of all of them can be addressed. */
static wf_status check_windows(const wf_op_call *call, const char *node, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_windows(call, p->heads, "heads", "sla", node, err));
    uint64_t sums = 0, limit = 1u << 29;
    for (uint32_t half = 0; half < wf_window_halves(p); half++) {
        wf_windows w = wf_windows_of(call, half);
        if (in->h % w.v.window != 0 || in->w % w.h.window != 0) {
            return wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": windows of %u x %u do not divide a map of %u x %u", node,
                           (unsigned)w.v.window, (unsigned)w.h.window, (unsigned)in->h, (unsigned)in->w);
        }
        sums += (uint64_t)in->n * w.count * w.heads * p->head_dim;
    }
    return sums * (p->head_dim + 8) <= limit ? WF_OK
                                             : wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": the sums of its windows are above 2^29 "
                                                       "elements; use a smaller input or a smaller batch", node);
}

wf_status wf_sla_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_op_params *p = call->p;
    uint64_t width = (uint64_t)p->heads * p->head_dim;
    WF_TRY(wf_expect_input(&call->in[0], false, "sla", node, err));
    if (width == 0 || p->kernel_h % 2 == 0 || p->kernel_w % 2 == 0) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "sla \"%s\": %u heads of size %u with a kernel of %u x %u; it takes one head at "
                       "least and an odd kernel", node, (unsigned)p->heads, (unsigned)p->head_dim, (unsigned)p->kernel_h,
                       (unsigned)p->kernel_w);
    }
    const wf_shape *others = &call->in[1].shape;
    if (others->c != 0) {
        WF_TRY(wf_expect_others(call, width, "sla", node, err));
        if ((uint64_t)others->h * others->w > (uint64_t)in->h * in->w) {
            return wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": k and v have %u rows a segment, more than the %u of q", node,
                           (unsigned)(others->h * others->w), (unsigned)(in->h * in->w));
        }
    } else if (in->c % 3 != 0 || in->c / 3 != width) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": input has %u channels but q, k and v of %u heads of size %u need 3 x %llu",
                       node, (unsigned)in->c, (unsigned)p->heads, (unsigned)p->head_dim, (unsigned long long)width);
    }
    WF_TRY(check_windows(call, node, err));
    uint32_t halves = wf_window_halves(p);
    wf_windows front = wf_windows_of(call, 0);
    uint64_t cells = seen_rows(call, &front) + (halves == 2 ? (uint64_t)wf_windows_of(call, 1).cells : 0);
    WF_TRY(expect_table(&call->w[0], cells, width / halves, "the table of positions", node, err));
    WF_TRY(expect_table(&call->w[1], (uint64_t)p->kernel_h * p->kernel_w, (uint64_t)halves * p->head_dim, "the kernel", node, err));
    WF_TRY(wf_expect_vector(&call->w[2], halves * p->head_dim, "bias", "sla", node, err));
    *out = *in;
    out->c = (uint32_t)width;
    return WF_OK;
}

uint64_t wf_sla_cost(const wf_op_call *call) {
    const wf_op_params *p = call->p;
    return (uint64_t)wf_shape_rows(&call->in[0].shape) * p->heads * p->head_dim *
           (2 * p->head_dim + 2 + (uint64_t)p->kernel_h * p->kernel_w);
}
#endif

/* Of each unit (window.h): Σ k⁺ᵀ v [head_dim, head_dim], and Σ k⁺ behind each row. */
static size_t workspace_bytes(const wf_op_call *call) {
    size_t dim = call->p->head_dim;
    return wf_window_tiles(call, UINT32_MAX) * dim * (dim + 1) * sizeof(wf_real);
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    return phase == 0 ? wf_window_tiles(call, UINT32_MAX) : wf_scalar_row_tiles(call, phase);
}

static wf_real positive(wf_real x) { return x > 0 ? x : 0; }

/* [k | v] of what the query's window sees, at place j. */
static const wf_real *seen_row(const wf_op_call *call, const wf_windows *w, const wf_window_query *q, uint32_t j) {
    if (call->in[1].data != NULL) {
        return wf_row(&call->in[1], q->segment * seen_rows(call, w) + j);
    }
    return wf_row(&call->in[0], wf_window_row(w, q, j / w->h.window, j % w->h.window)) + (size_t)call->p->heads * call->p->head_dim;
}

static void sum_keys(const wf_op_call *call, const wf_window_tile *t) {
    const uint32_t dim = call->p->head_dim, width = call->p->heads * dim, column = (t->head - t->w.first_head) * dim;
    const wf_window_query at = {t->segment, t->window / t->w.h.count, t->window % t->w.h.count, 0, 0};
    const size_t stride = wf_round_up(call->w[0].k, WF_LANES);
    const wf_real *positions = (const wf_real *)call->w[0].data + (t->half != 0 ? wf_windows_of(call, 0).cells * stride : 0) + column;
    wf_real *sums = (wf_real *)call->workspace + (size_t)t->unit * dim * (dim + 1);
    for (uint32_t i = 0; i < dim; i++, sums += dim + 1) {
        double size = 0;
        memset(sums, 0, dim * sizeof *sums);
        for (uint32_t j = 0; j < seen_rows(call, &t->w); j++) {
            const wf_real *row = seen_row(call, &t->w, &at, j) + t->head * dim;
            wf_real k = positive(row[i] + positions[j * stride + i]);
            size += k;
            for (uint32_t e = 0; e < dim; e++) {
                sums[e] += k * row[width + e];
            }
        }
        sums[dim] = (wf_real)size;
    }
}

/* Element i of v at a cell of the query's window. */
static wf_real value_at(const wf_op_call *call, const wf_windows *w, const wf_window_query *q, uint32_t cell, uint32_t i) {
    i += call->p->heads * call->p->head_dim;
    if (call->in[1].data == NULL) {
        return seen_row(call, w, q, cell)[i];
    }
    wf_axis_taps taps;
    wf_real sum = 0;
    wf_axis_taps_of(&taps, cell, seen_rows(call, w), w->cells, WF_POSITION_BILINEAR);
    for (uint32_t t = 0; t < taps.count; t++) {
        sum += (wf_real)taps.weight[t] * seen_row(call, w, q, taps.first + t)[i];
    }
    return sum;
}

/* Element e of the convolution at the query's place; `column` is its channel, `weight` its kernel's. */
static wf_real convolve(const wf_op_call *call, const wf_windows *w, const wf_window_query *q, uint32_t column, uint32_t weight) {
    const wf_op_params *p = call->p;
    const wf_real *weights = call->w[1].data;
    wf_real sum = 0;
    for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < p->kernel_w; kx++) {
            uint32_t y = q->y + ky - p->kernel_h / 2, x = q->x + kx - p->kernel_w / 2; /* wrap below zero */
            if (y < w->v.window && x < w->h.window) {
                sum += weights[(size_t)(ky * p->kernel_w + kx) * wf_round_up(call->w[1].k, WF_LANES) + weight] *
                       value_at(call, w, q, y * w->h.window + x, column);
            }
        }
    }
    return sum + wf_vector_at(&call->w[2], weight, 0);
}

static void attend(const wf_op_call *call, const wf_windows *w, uint32_t half, uint32_t row, uint32_t head) {
    const uint32_t dim = call->p->head_dim;
    const wf_window_query at = wf_window_find(w, row);
    const uint32_t window = (at.segment * w->v.count + at.top) * w->h.count + at.left;
    const wf_windows front = wf_windows_of(call, 0);
    const size_t unit = (half != 0 ? wf_window_units(call, &front) : 0) + (size_t)window * w->heads + head - w->first_head;
    const wf_real *q = wf_row(&call->in[0], row) + head * dim, *sums = (const wf_real *)call->workspace + unit * dim * (dim + 1);
    wf_real *y = wf_row(&call->out, row) + head * dim, size = 0;
    for (uint32_t i = 0; i < dim; i++) {
        size += positive(q[i]) * sums[i * (dim + 1) + dim];
    }
    for (uint32_t e = 0; e < dim; e++) {
        wf_real mixed = 0;
        for (uint32_t i = 0; i < dim; i++) {
            mixed += positive(q[i]) * sums[i * (dim + 1) + e];
        }
        y[e] = (wf_real)(mixed / (size + wf_real_eps(call->p->eps))) + convolve(call, w, &at, head * dim + e, half * dim + e);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)scratch;
    const uint32_t heads = call->p->heads, end = wf_scalar_tile_end(call, tile);
    if (phase == 0) {
        wf_window_tile t = wf_window_tile_of(call, UINT32_MAX, tile);
        sum_keys(call, &t);
        return;
    }
    const wf_windows w[2] = {wf_windows_of(call, 0), wf_windows_of(call, 1)};
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        for (uint32_t head = 0; head < heads; head++) {
            uint32_t half = head >= w[0].heads;
            attend(call, &w[half], half, row, head);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(sla) = {2, tiles, run, NULL, workspace_bytes};
