/* sla: simplified linear attention (SLAB, arXiv 2405.11582, section 3.2). in0 rows are [q | k | v], each heads · head_dim wide, over
   a map h × w; w0 is added to the keys, cell by cell. Per segment and head, with q⁺ = max(q, 0) and k⁺ = max(k + w0, 0):
     out_i = q⁺_i · (Σ_j k⁺_jᵀ v_j) / (q⁺_i · Σ_j k⁺_j + eps) + Σ over a square window of w1[cell] ∘ v [+ w2]
   The last term is a depthwise convolution of v as a picture, zeros outside; its weights w1 [kernel_h · kernel_w, head_dim] and w2
   [head_dim] are shared by the heads. Cost: tokens · heads · head_dim · (2 head_dim + 2 + window), linear in the tokens. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

static wf_status expect_table(const wf_weight *w, uint64_t n, uint64_t k, const char *what, const char *node, wf_error *err) {
    if (w->n == n && w->k == k) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": %s is %u x %u but %llu x %llu is expected", node, what, (unsigned)w->n,
                   (unsigned)w->k, (unsigned long long)n, (unsigned long long)k);
}

wf_status wf_sla_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_shape *in = &call->in[0].shape;
    const wf_op_params *p = call->p;
    uint64_t width = (uint64_t)p->heads * p->head_dim;
    WF_TRY(wf_expect_input(&call->in[0], false, "sla", node, err));
    if (width == 0 || p->kernel_h % 2 == 0 || p->kernel_w % 2 == 0) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "sla \"%s\": %u heads of size %u with a window of %u x %u; it takes one head at "
                       "least and an odd window", node, (unsigned)p->heads, (unsigned)p->head_dim, (unsigned)p->kernel_h,
                       (unsigned)p->kernel_w);
    }
    if (in->c % 3 != 0 || in->c / 3 != width) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "sla \"%s\": input has %u channels but q, k and v of %u heads of size %u need 3 x %llu",
                       node, (unsigned)in->c, (unsigned)p->heads, (unsigned)p->head_dim, (unsigned long long)width);
    }
    WF_TRY(expect_table(&call->w[0], (uint64_t)in->h * in->w, width, "the table of positions", node, err));
    WF_TRY(expect_table(&call->w[1], (uint64_t)p->kernel_h * p->kernel_w, p->head_dim, "the window", node, err));
    WF_TRY(wf_expect_vector(&call->w[2], p->head_dim, "bias", "sla", node, err));
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

/* Of each segment and head: Σ k⁺ᵀ v [head_dim, head_dim], and Σ k⁺ behind each row. */
static size_t workspace_bytes(const wf_op_call *call) {
    size_t dim = call->p->head_dim;
    return call->in[0].shape.n * call->p->heads * dim * (dim + 1) * sizeof(wf_real);
}

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    return phase == 0 ? call->in[0].shape.n * call->p->heads : wf_scalar_row_tiles(call, phase);
}

static wf_real positive(wf_real x) { return x > 0 ? x : 0; }

static void sum_keys(const wf_op_call *call, uint32_t segment, uint32_t head, wf_real *sums) {
    const uint32_t dim = call->p->head_dim, width = call->p->heads * dim;
    const uint32_t tokens = call->in[0].shape.h * call->in[0].shape.w, stride = wf_round_up(width, WF_LANES);
    const wf_real *positions = call->w[0].data;
    for (uint32_t i = 0; i < dim; i++, sums += dim + 1) {
        double size = 0;
        memset(sums, 0, dim * sizeof *sums);
        for (uint32_t j = 0; j < tokens; j++) {
            const wf_real *row = wf_row(&call->in[0], segment * tokens + j) + head * dim;
            wf_real k = positive(row[width + i] + positions[(size_t)j * stride + head * dim + i]);
            size += k;
            for (uint32_t e = 0; e < dim; e++) {
                sums[e] += k * row[2 * width + e];
            }
        }
        sums[dim] = (wf_real)size;
    }
}

/* Element e of the head's window around cell (y, x) of a segment. */
static wf_real window(const wf_op_call *call, uint32_t segment, uint32_t cell, uint32_t column, uint32_t e) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    const wf_real *weights = call->w[1].data;
    wf_real sum = 0;
    for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
        for (uint32_t kx = 0; kx < p->kernel_w; kx++) {
            uint32_t y = cell / s->w + ky - p->kernel_h / 2, x = cell % s->w + kx - p->kernel_w / 2; /* wrap below zero */
            if (y < s->h && x < s->w) {
                const wf_real *v = wf_row(&call->in[0], (segment * s->h + y) * s->w + x) + column;
                sum += weights[(size_t)(ky * p->kernel_w + kx) * wf_round_up(p->head_dim, WF_LANES) + e] * v[e];
            }
        }
    }
    return sum + wf_vector_at(&call->w[2], e, 0);
}

static void attend(const wf_op_call *call, uint32_t row, uint32_t head) {
    const uint32_t dim = call->p->head_dim, tokens = call->in[0].shape.h * call->in[0].shape.w, segment = row / tokens;
    const wf_real *q = wf_row(&call->in[0], row) + head * dim;
    const wf_real *sums = (const wf_real *)call->workspace + (size_t)(segment * call->p->heads + head) * dim * (dim + 1);
    wf_real *y = wf_row(&call->out, row) + head * dim, size = 0;
    for (uint32_t i = 0; i < dim; i++) {
        size += positive(q[i]) * sums[i * (dim + 1) + dim];
    }
    for (uint32_t e = 0; e < dim; e++) {
        wf_real mixed = 0;
        for (uint32_t i = 0; i < dim; i++) {
            mixed += positive(q[i]) * sums[i * (dim + 1) + e];
        }
        y[e] = (wf_real)(mixed / (size + wf_real_eps(call->p->eps))) +
               window(call, segment, row % tokens, (2 * call->p->heads + head) * dim, e);
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)scratch;
    const uint32_t heads = call->p->heads, dim = call->p->head_dim, end = wf_scalar_tile_end(call, tile);
    if (phase == 0) {
        sum_keys(call, tile / heads, tile % heads, (wf_real *)call->workspace + (size_t)tile * dim * (dim + 1));
        return;
    }
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        for (uint32_t head = 0; head < heads; head++) {
            attend(call, row, head);
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(sla) = {2, tiles, run, NULL, workspace_bytes};
