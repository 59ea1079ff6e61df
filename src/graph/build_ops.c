/* One constructor an op: which inputs and weights it takes. */
#include <string.h>

#include "graph/graph.h"

static wf_node node_of(wf_op op, wf_id in0) {
    wf_node n;
    memset(&n, 0, sizeof n);
    n.op = op;
    for (int i = 0; i < WF_OP_INPUTS; i++) {
        n.in[i] = WF_NONE;
    }
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        n.w[i] = WF_NONE;
    }
    n.in[0] = in0;
    return n;
}

/* Is NAME a norm whose scale and shift a conversion folded into its neighbours? */
static bool is_bare(const wf_graph *g, const char *name) {
    size_t scope = strlen(g->prefix);
    for (uint32_t i = 0; i < g->bare_norm_count; i++) {
        if (strncmp(g->bare_norms[i], g->prefix, scope) == 0 && strcmp(g->bare_norms[i] + scope, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Weights live under NAME.weight and NAME.bias. */
static void take_affine(wf_graph *g, wf_node *n, const char *name, uint32_t c) {
    if (is_bare(g, name)) {
        return;
    }
    uint32_t mark = wf_graph_enter(g, "%s", name);
    n->w[0] = wf_graph_vector(g, "weight", c);
    n->w[1] = wf_graph_optional_vector(g, "bias", c);
    wf_graph_leave(g, mark);
}

/* An I8 matrix: NAME.weight.scale [rows] holds the steps of its rows; NAME.in_scale [1], in_zero [1] and in_gain [channels] the
   grid of its input, absent = each row gets a step of its own. Read as floats, the matrix takes steps and gains in. */
static void take_int8(wf_graph *g, wf_node *n, uint32_t rows, uint32_t channels) {
    uint32_t steps = wf_graph_vector(g, "weight.scale", rows), gain = wf_graph_optional_vector(g, "in_gain", channels);
    if (steps == WF_NONE) {
        return;
    }
    if (!g->weights->int8_rows) {
        wf_weights_scale(g->weights, n->w[0], steps, gain);
        return;
    }
    n->p.int8_rows = 1;
    n->w[WF_W_STEPS] = steps;
    n->w[WF_W_IN_GRID] = wf_graph_optional_vector(g, "in_scale", 1);
    if (n->w[WF_W_IN_GRID] != WF_NONE) {
        n->w[WF_W_IN_GRID + 1] = wf_graph_vector(g, "in_zero", 1);
        n->w[WF_W_IN_GRID + 2] = gain;
    } else if (gain != WF_NONE) {
        wf_graph_fail(g, WF_E_FORMAT, g->prefix, "\"%sin_gain\" is there, but \"%sin_scale\" is not; convert the checkpoint again",
                      g->prefix, g->prefix);
    }
}

/* channels: of the input. */
static void take_matrix(wf_graph *g, wf_node *n, const char *name, uint32_t rows, uint32_t k, uint32_t channels, bool bias) {
    uint32_t mark = wf_graph_enter(g, "%s", name);
    n->w[0] = wf_graph_matrix(g, "weight", rows, k);
    if (bias) {
        n->w[1] = wf_graph_vector(g, "bias", rows);
    }
    if (n->w[0] != WF_NONE) {
        wf_dtype type = g->weights->entries[n->w[0]].stored.type;
        n->p.int8_rows = g->weights->int8_rows && type == WF_Q8_0;
        if (type == WF_I8) {
            take_int8(g, n, rows, channels);
        }
    }
    wf_graph_leave(g, mark);
}

wf_id wf_node_conv2d(wf_graph *g, wf_id x, const char *name, const wf_conv *conv) {
    wf_node n = node_of(WF_OP_CONV2D, x);
    n.p.kernel_h = n.p.kernel_w = conv->kernel;
    n.p.stride_h = n.p.stride_w = conv->stride;
    n.p.pad_h = n.p.pad_w = conv->pad;
    take_matrix(g, &n, name, conv->out_channels, conv->kernel * conv->kernel * wf_graph_shape(g, x)->c,
                wf_graph_shape(g, x)->c, conv->bias);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_linear(wf_graph *g, wf_id x, const char *name, uint32_t out_features, bool bias) {
    wf_node n = node_of(WF_OP_LINEAR, x);
    take_matrix(g, &n, name, out_features, wf_graph_shape(g, x)->c, wf_graph_shape(g, x)->c, bias);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_group_norm(wf_graph *g, wf_id x, const char *name, float eps) {
    wf_node n = node_of(WF_OP_GROUP_NORM, x);
    n.p.eps = eps;
    take_affine(g, &n, name, wf_graph_shape(g, x)->c);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_layer_norm(wf_graph *g, wf_id x, const char *name, float eps) {
    wf_node n = node_of(WF_OP_LAYER_NORM, x);
    n.p.eps = eps;
    take_affine(g, &n, name, wf_graph_shape(g, x)->c);
    return wf_graph_add(g, name, &n);
}

static wf_id norm_by(wf_graph *g, wf_id x, const char *name, float eps, wf_norm_by by) {
    wf_node n = node_of(WF_OP_LAYER_NORM, x);
    n.p.eps = eps;
    n.p.norm_by = by;
    n.p.count = by != WF_BY_RMS ? wf_graph_shape(g, x)->c : 0; /* one channel is stored as zero, or holds the mean */
    take_affine(g, &n, name, wf_graph_shape(g, x)->c);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_rms_norm(wf_graph *g, wf_id x, const char *name, float eps) { return norm_by(g, x, name, eps, WF_BY_RMS); }

wf_id wf_node_crms_norm(wf_graph *g, wf_id x, const char *name, float eps) { return norm_by(g, x, name, eps, WF_BY_CRMS); }

wf_id wf_node_carried_norm(wf_graph *g, wf_id x, const char *name, float eps) { return norm_by(g, x, name, eps, WF_BY_CARRIED); }

wf_id wf_node_ss_norm(wf_graph *g, wf_id x, const char *name, float eps) {
    wf_node n = node_of(WF_OP_LAYER_NORM, x);
    n.p.eps = eps;
    n.p.norm_by = WF_BY_RMS;
    if (!is_bare(g, name)) {
        uint32_t mark = wf_graph_enter(g, "%s", name);
        n.w[0] = wf_graph_vector(g, "weight", 1);
        wf_graph_leave(g, mark);
    }
    return wf_graph_add(g, name, &n);
}

/* A norm whose statistics are constants (kernels/scalar/repbn.c). */
static wf_id constant_norm(wf_graph *g, wf_id x, const char *name, float eps, bool mean, bool alpha) {
    wf_node n = node_of(WF_OP_REPBN, x);
    uint32_t c = wf_graph_shape(g, x)->c;
    n.p.eps = eps;
    if (is_bare(g, name)) {
        return x;
    }
    uint32_t mark = wf_graph_enter(g, "%s", name);
    bool bare = mean && !alpha; /* torch's batch norm with affine=False has neither scale nor shift */
    n.w[0] = bare ? wf_graph_optional_vector(g, "weight", c) : wf_graph_vector(g, "weight", c);
    n.w[1] = bare ? wf_graph_optional_vector(g, "bias", c) : wf_graph_vector(g, "bias", c);
    n.w[2] = mean ? wf_graph_vector(g, "mean", c) : WF_NONE;
    n.w[3] = wf_graph_vector(g, "var", c);
    n.w[4] = alpha ? wf_graph_vector(g, "alpha", 1) : WF_NONE;
    wf_graph_leave(g, mark);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_repbn(wf_graph *g, wf_id x, const char *name, float eps) { return constant_norm(g, x, name, eps, true, true); }

wf_id wf_node_batch_norm(wf_graph *g, wf_id x, const char *name, float eps) { return constant_norm(g, x, name, eps, true, false); }

wf_id wf_node_un(wf_graph *g, wf_id x, const char *name, float eps) { return constant_norm(g, x, name, eps, false, false); }

wf_id wf_node_pool2d(wf_graph *g, wf_id x, const char *name, uint32_t size, bool minus_input) {
    wf_node n = node_of(WF_OP_POOL2D, x);
    n.p.kernel_h = n.p.kernel_w = size;
    n.p.stride_h = n.p.stride_w = 1;
    n.p.pad_h = n.p.pad_w = size / 2;
    n.p.minus_input = minus_input;
    return wf_graph_add(g, name, &n);
}

static wf_node depthwise(wf_graph *g, wf_id x, const char *name, uint32_t kernel, uint32_t channels) {
    wf_node n = node_of(WF_OP_DEPTHWISE, x);
    n.p.kernel_h = n.p.kernel_w = kernel;
    uint32_t mark = wf_graph_enter(g, "%s", name);
    n.w[0] = wf_graph_table(g, "weight", kernel * kernel, channels);
    n.w[1] = wf_graph_optional_vector(g, "bias", channels);
    wf_graph_leave(g, mark);
    return n;
}

wf_id wf_node_depthwise(wf_graph *g, wf_id x, const char *name, uint32_t kernel) {
    wf_node n = depthwise(g, x, name, kernel, wf_graph_shape(g, x)->c);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_depthwise_onto(wf_graph *g, wf_id base, wf_id x, const char *name, uint32_t kernel, uint32_t first, uint32_t stripe) {
    wf_node n = depthwise(g, x, name, kernel, wf_graph_shape(g, base)->c);
    n.in[1] = base;
    n.p.first = first;
    n.p.stripe = stripe;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_gelu(wf_graph *g, wf_id x, const char *name) {
    wf_node n = node_of(WF_OP_GELU, x);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_residual(wf_graph *g, wf_id base, wf_id x, const char *name, uint32_t scale) {
    wf_node n = node_of(WF_OP_RESIDUAL, base);
    n.in[1] = x;
    n.w[0] = scale;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_add_table(wf_graph *g, wf_id x, const char *name, uint32_t table) {
    wf_node n = node_of(WF_OP_ADD_TABLE, x);
    n.w[0] = table;
    return wf_graph_add(g, name, &n);
}

static void take_windows(wf_node *n, const wf_window *w) {
    n->p.window_h = w->height;
    n->p.window_w = w->width;
    n->p.shift_h = w->shift_h;
    n->p.shift_w = w->shift_w;
    n->p.roll_first = w->roll_first;
    n->p.stripe = w->stripe;
}

static wf_node attention_of(wf_id in0, const wf_attention *a) {
    wf_node n = node_of(WF_OP_ATTENTION, in0);
    n.w[0] = a->table;
    n.w[1] = a->padding;
    n.p.heads = a->heads;
    n.p.head_dim = a->head_dim;
    n.p.scale = a->scale;
    take_windows(&n, &a->window);
    n.p.kv_heads = a->kv_heads;
    n.p.causal = a->causal;
    return n;
}

wf_id wf_node_attention(wf_graph *g, wf_id qkv, const char *name, const wf_attention *a) {
    wf_node n = attention_of(qkv, a);
    n.in[1] = a->others;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_attention_apart(wf_graph *g, const wf_id qkv[3], const char *name, const wf_attention *a) {
    wf_node n = attention_of(qkv[0], a);
    n.in[1] = qkv[1];
    n.in[2] = qkv[2];
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_embed(wf_graph *g, wf_id ids, const char *name, uint32_t vocabulary, uint32_t c) {
    wf_node n = node_of(WF_OP_EMBED, ids);
    uint32_t mark = wf_graph_enter(g, "%s", name);
    n.w[0] = wf_graph_lookup(g, "weight", vocabulary, c);
    wf_graph_leave(g, mark);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_rope_angles(wf_graph *g, wf_id x, const char *name, uint32_t turned, float theta) {
    wf_node n = node_of(WF_OP_ROPE_ANGLES, x);
    n.p.count = turned;
    n.p.theta = theta;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_rope(wf_graph *g, wf_id x, const char *name, wf_id angles, uint32_t heads, uint32_t head_dim, wf_rope_pairs pairs) {
    wf_node n = node_of(WF_OP_ROPE, x);
    n.in[1] = angles;
    n.p.heads = heads;
    n.p.head_dim = head_dim;
    n.p.pairs = pairs;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_gate(wf_graph *g, wf_id x, wf_id up, const char *name) {
    wf_node n = node_of(WF_OP_GATE, x);
    n.in[1] = up;
    n.p.act = WF_ACT_SILU;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_patch_merge(wf_graph *g, wf_id x, const char *name) {
    wf_node n = node_of(WF_OP_PATCH_MERGE, x);
    return wf_graph_add(g, name, &n);
}

static uint32_t take_table(wf_graph *g, const char *name, uint32_t rows, uint32_t c) {
    uint32_t mark = wf_graph_enter(g, "%s", name);
    uint32_t table = wf_graph_table(g, "weight", rows, c);
    wf_graph_leave(g, mark);
    return table;
}

wf_id wf_node_sla(wf_graph *g, wf_id qkv, const char *name, const wf_sla *sla) {
    wf_node n = node_of(WF_OP_SLA, qkv);
    const wf_shape *s = wf_graph_shape(g, sla->others != WF_NONE ? sla->others : qkv);
    const wf_window *w = &sla->window;
    uint32_t halves = w->stripe != 0 ? 2 : 1, channels = halves * sla->head_dim;
    uint32_t cells = w->stripe != 0 ? w->stripe * (s->h + s->w) : w->height != 0 ? w->height * w->width : s->h * s->w;
    n.in[1] = sla->others;
    n.p.heads = sla->heads;
    n.p.head_dim = sla->head_dim;
    n.p.kernel_h = n.p.kernel_w = sla->kernel;
    n.p.eps = 1e-6f;
    take_windows(&n, w);
    uint32_t mark = wf_graph_enter(g, "%s", name);
    n.w[0] = take_table(g, "position", cells, sla->heads / halves * sla->head_dim);
    n.w[1] = take_table(g, "window", sla->kernel * sla->kernel, channels);
    n.w[2] = wf_graph_vector(g, "window.bias", channels);
    wf_graph_leave(g, mark);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_transpose(wf_graph *g, wf_id x, const char *name) {
    wf_node n = node_of(WF_OP_TRANSPOSE, x);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_segment_mean(wf_graph *g, wf_id x, const char *name, uint32_t first, uint32_t count) {
    wf_node n = node_of(WF_OP_SEGMENT_MEAN, x);
    n.p.first = first;
    n.p.count = count;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_position(wf_graph *g, wf_id x, const char *name, const wf_position *p) {
    uint32_t table = take_table(g, name, p->first + p->grid_h * p->grid_w, wf_graph_shape(g, x)->c);
    if (p->grid_h == p->map_h && p->grid_w == p->map_w) {
        return wf_node_add_table(g, x, name, table);
    }
    wf_node n = node_of(WF_OP_POSITION, x);
    n.w[0] = table;
    n.p.first = p->first;
    n.p.grid_h = p->grid_h;
    n.p.grid_w = p->grid_w;
    n.p.map_h = p->map_h;
    n.p.map_w = p->map_w;
    n.p.resample = p->resample;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_prefix(wf_graph *g, wf_id x, const char *name, uint32_t rows) {
    wf_node n = node_of(WF_OP_PREFIX, x);
    n.w[0] = take_table(g, name, rows, wf_graph_shape(g, x)->c);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_head_norm(wf_graph *g, wf_id x, const char *name, uint32_t first, uint32_t heads, uint32_t head_dim, float eps) {
    wf_node n = node_of(WF_OP_HEAD_NORM, x);
    n.p.first = first;
    n.p.heads = heads;
    n.p.head_dim = head_dim;
    n.p.eps = eps;
    take_affine(g, &n, name, head_dim);
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_average(wf_graph *g, wf_id a, wf_id b, const char *name) {
    wf_node n = node_of(WF_OP_AVERAGE, a);
    n.in[1] = b;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_relu(wf_graph *g, wf_id x, const char *name, float slope) {
    wf_node n = node_of(WF_OP_RELU, x);
    n.p.scale = slope;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_concat(wf_graph *g, wf_id a, wf_id b, const char *name) {
    wf_node n = node_of(WF_OP_CONCAT, a);
    n.in[1] = b;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_take_rows(wf_graph *g, wf_id x, const char *name, uint32_t first, uint32_t h, uint32_t w) {
    wf_node n = node_of(WF_OP_TAKE_ROWS, x);
    n.p.first = first;
    n.p.map_h = h;
    n.p.map_w = w;
    return wf_graph_add(g, name, &n);
}

wf_id wf_node_pixel_shuffle(wf_graph *g, wf_id x, const char *name, uint32_t factor) {
    wf_node n = node_of(WF_OP_PIXEL_SHUFFLE, x);
    n.p.kernel_h = factor;
    return wf_graph_add(g, name, &n);
}
