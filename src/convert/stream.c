/* Streams as connected parts of the graph. Two nodes belong together when one passes the other's rows on: a residual sum and its
   base, a table added to rows, token rows put in front, rows picked or averaged. What else writes into a part is a writer, what else
   reads it a norm or a raw reader. */
#include "convert/stream.h"

#include <string.h>

typedef struct finder {
    wf_streams *out;
    const wf_graph *g;
    uint32_t *parent; /* union-find over nodes */
    bool untied;
} finder;

static uint32_t root(uint32_t *parent, uint32_t i) {
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

static void join(finder *f, wf_id a, wf_id b) { f->parent[root(f->parent, a)] = root(f->parent, b); }

static bool is_norm(const wf_node *n) {
    return n->op == WF_OP_LAYER_NORM || n->op == WF_OP_GROUP_NORM || n->op == WF_OP_REPBN;
}

static bool is_product(const wf_node *n) { return n->op == WF_OP_LINEAR || n->op == WF_OP_CONV2D; }

/* Its output holds the rows of in0, unchanged in kind. */
static bool passes_on(const wf_node *n) {
    return n->op == WF_OP_RESIDUAL || n->op == WF_OP_ADD_TABLE || n->op == WF_OP_POSITION || n->op == WF_OP_PREFIX ||
           n->op == WF_OP_SEGMENT_MEAN || n->op == WF_OP_TAKE_ROWS;
}

/* Rows of in0 and nothing else. */
static bool selects(const wf_node *n) { return n->op == WF_OP_SEGMENT_MEAN || n->op == WF_OP_TAKE_ROWS; }

/* Where rows that were picked come from. */
static wf_id selected_from(const wf_graph *g, wf_id id) {
    while (selects(&g->nodes[id])) {
        id = g->nodes[id].in[0];
    }
    return id;
}

/* Picked rows of one norm side by side: what is folded into a reader repeats, as it does over the cells of a convolution. */
static bool is_twofold(const wf_graph *g, const wf_node *n, wf_id norm) {
    return n->op == WF_OP_CONCAT && selected_from(g, n->in[0]) == norm && selected_from(g, n->in[1]) == norm;
}

/* A branch that a residual sum adds: a product that nothing else reads. */
static bool is_branch(const wf_graph *g, wf_id id) { return is_product(&g->nodes[id]) && g->nodes[id].users == 1 && !g->nodes[id].kept; }

static const char *text(finder *f, const char *format, const char *a, const char *b) {
    const char *s = wf_arena_format(f->out->arena, format, a, b);
    return s != NULL ? s : "out of memory";
}

static void refuse(finder *f, wf_id node, const char *why) {
    uint32_t stream = f->out->stream_of[node];
    wf_stream_info *info = stream != WF_NONE ? &f->out->list[stream] : NULL;
    if (info != NULL) {
        info->refusal = info->refusal == NULL ? why : info->refusal;
        info->uncarried = info->uncarried == NULL ? why : info->uncarried;
    }
}

static const char *weight_name(const finder *f, uint32_t id) { return f->g->weights->entries[id].name; }

/* Weights that two nodes use cannot be changed for one of them. */
static const char *shared(finder *f, uint32_t weight) {
    if (weight == WF_NONE || f->g->weights->entries[weight].uses <= 1) {
        return NULL;
    }
    return text(f, "\"%s\" is used by more than one part of the model%s", weight_name(f, weight), "");
}

/* A matrix or table can be doubled when told. */
static const char *shared_matrix(finder *f, uint32_t weight) { return f->untied ? NULL : shared(f, weight); }

static void add_writer(finder *f, wf_id member, wf_id node, uint32_t scale, bool table) {
    const wf_node *n = &f->g->nodes[node];
    wf_stream_writer w = {node, n->w[0], table ? WF_NONE : n->w[1], scale, table, f->out->stream_of[member]};
    const char *why = shared_matrix(f, w.matrix);
    why = why != NULL ? why : shared(f, w.bias);
    why = why != NULL ? why : shared(f, w.scale);
    if (why != NULL) {
        refuse(f, member, why);
    }
    f->out->writers[f->out->writer_count++] = w;
}

/* What brings rows into the stream at node `id`, a member of it. */
static void look_at_source(finder *f, wf_id id) {
    const wf_node *n = &f->g->nodes[id];
    if (n->op == WF_OP_ADD_TABLE || n->op == WF_OP_POSITION || n->op == WF_OP_PREFIX || n->op == WF_OP_EMBED) {
        add_writer(f, id, id, WF_NONE, true);
        return;
    }
    if (selects(n)) {
        return;
    }
    if (n->op != WF_OP_RESIDUAL) { /* the stream begins here */
        if (is_product(n) && n->in[1] == WF_NONE) {
            add_writer(f, id, id, WF_NONE, false);
        } else {
            refuse(f, id, text(f, "\"%s\" (%s) begins the residual stream and is no product whose mean could be taken out", n->name,
                               wf_op_get(n->op)->name));
        }
        return;
    }
    const wf_node *branch = &f->g->nodes[n->in[1]];
    if (is_branch(f->g, n->in[1])) {
        add_writer(f, id, n->in[1], n->w[0], false);
    } else {
        refuse(f, id, text(f, "\"%s\" (%s) adds to the residual stream and is no product whose mean could be taken out", branch->name,
                           wf_op_get(branch->op)->name));
    }
}

/* The products behind a norm, through row selections; false when something else reads it. */
static bool collect_readers(finder *f, wf_stream_norm *norm, wf_id node) {
    const wf_graph *g = f->g;
    if (g->nodes[node].kept) {
        norm->unfoldable = text(f, "\"%s\" is an output%s", g->nodes[node].name, "");
        return false;
    }
    for (wf_id i = node + 1; i < g->count; i++) {
        const wf_node *n = &g->nodes[i];
        bool first = n->in[0] == node, other = n->in[1] == node || n->in[2] == node;
        if (!first && !other) {
            continue;
        }
        if (is_twofold(g, n, norm->node)) {
            if (first && !collect_readers(f, norm, i)) { /* once, not for both halves */
                return false;
            }
            continue;
        }
        if (first && !other && selects(n)) {
            if (!collect_readers(f, norm, i)) {
                return false;
            }
            continue;
        }
        bool padded = n->op == WF_OP_CONV2D && (n->p.pad_h != 0 || n->p.pad_w != 0);
        if (!first || other || !is_product(n) || padded || norm->reader_count == WF_STREAM_READERS) {
            norm->unfoldable = text(f, padded ? "\"%s\" (%s) reads it with a padded border, where β would be missing" : "\"%s\" (%s) reads it",
                                    n->name, wf_op_get(n->op)->name);
            return false;
        }
        const char *why = shared_matrix(f, n->w[0]);
        if (why != NULL) {
            norm->unfoldable = why;
            return false;
        }
        norm->readers[norm->reader_count++] = i;
    }
    return true;
}

/* The product whose rows nobody but a norm with constant statistics reads, so that scale and shift may go into it. */
static wf_id producer_of(finder *f, const wf_node *n) {
    wf_id id = n->op == WF_OP_REPBN ? n->in[0] : WF_NONE;
    const wf_node *p = id != WF_NONE ? &f->g->nodes[id] : NULL;
    bool alone = p != NULL && is_branch(f->g, id) && p->in[1] == WF_NONE && shared_matrix(f, p->w[0]) == NULL && shared(f, p->w[1]) == NULL;
    return alone ? id : WF_NONE;
}

static void add_norm(finder *f, wf_id id) {
    const wf_node *n = &f->g->nodes[id];
    wf_stream_norm *norm = &f->out->norms[f->out->norm_count++];
    memset(norm, 0, sizeof *norm);
    norm->node = id;
    norm->weight = n->w[0];
    norm->bias = n->w[1];
    norm->stream = f->out->stream_of[n->in[0]];
    collect_readers(f, norm, id);
    if (norm->unfoldable == NULL && norm->reader_count == 0) {
        norm->unfoldable = "nothing reads it";
    }
    for (int i = 0; i < WF_OP_WEIGHTS && norm->unfoldable == NULL; i++) {
        norm->unfoldable = shared(f, n->w[i]);
    }
    norm->producer = norm->unfoldable != NULL ? producer_of(f, n) : WF_NONE;
    if (norm->stream != WF_NONE) {
        f->out->list[norm->stream].norms++;
        if (n->op == WF_OP_REPBN) {
            refuse(f, n->in[0], text(f, "\"%s\" (%s) has constant statistics and takes no mean of a row away, so a stream without one would "
                                     "be another input; --fold removes it", n->name, wf_op_get(n->op)->name));
        } else if (n->op != WF_OP_LAYER_NORM) {
            refuse(f, n->in[0], text(f, "\"%s\" (%s) takes its statistics over more than one row", n->name, wf_op_get(n->op)->name));
        }
    }
}

/* A product may read a stream raw where the mean is carried. */
static void add_raw(finder *f, wf_id member, wf_id node, const char *why) {
    uint32_t stream = f->out->stream_of[member];
    f->out->list[stream].refusal = f->out->list[stream].refusal == NULL ? why : f->out->list[stream].refusal;
    f->out->raw[f->out->raw_count++] = (wf_stream_raw){node, stream};
}

/* Whatever reads a member and is neither part of the stream nor a norm sees the mean that would be taken out. */
static void look_at_readers(finder *f, wf_id id) {
    const wf_graph *g = f->g;
    if (g->nodes[id].kept) {
        refuse(f, id, text(f, "\"%s\" is an output that shows the residual stream itself%s", g->nodes[id].name, ""));
    }
    for (wf_id i = id + 1; i < g->count; i++) {
        const wf_node *n = &g->nodes[i];
        for (int slot = 0; slot < WF_OP_INPUTS; slot++) {
            if (n->in[slot] != id || is_norm(n) || (passes_on(n) && slot == 0)) {
                continue;
            }
            if (n->op == WF_OP_RESIDUAL && slot == 1 && f->out->stream_of[i] == f->out->stream_of[id]) {
                continue; /* a stream added to itself or to its like */
            }
            const char *weight = n->w[0] != WF_NONE ? weight_name(f, n->w[0]) : n->name;
            const char *why = text(f, "\"%s\" (%s) reads the residual stream without a norm", weight, wf_op_get(n->op)->name);
            if (slot == 0 && is_product(n) && shared_matrix(f, n->w[0]) == NULL) {
                add_raw(f, id, i, why);
            } else {
                refuse(f, id, why);
            }
        }
    }
}

static void number_streams(finder *f) {
    const wf_graph *g = f->g;
    for (wf_id i = 0; i < g->count; i++) {
        f->parent[i] = i;
        f->out->stream_of[i] = WF_NONE;
    }
    for (wf_id i = 0; i < g->count; i++) {
        if (passes_on(&g->nodes[i])) {
            join(f, i, g->nodes[i].in[0]);
        }
    }
    for (wf_id i = 0; i < g->count; i++) { /* only what a norm reads is a stream */
        if (is_norm(&g->nodes[i])) {
            uint32_t r = root(f->parent, g->nodes[i].in[0]);
            if (f->out->stream_of[r] == WF_NONE) {
                f->out->list[f->out->count].channels = g->nodes[r].shape.c;
                f->out->stream_of[r] = f->out->count++;
            }
        }
    }
    for (wf_id i = 0; i < g->count; i++) {
        f->out->stream_of[i] = f->out->stream_of[root(f->parent, i)];
    }
}

wf_status wf_streams_find(const wf_graph *g, wf_arena *arena, bool untied, wf_streams *out, wf_error *err) {
    finder f = {out, g, wf_arena_alloc(arena, (g->count + 1) * sizeof(uint32_t)), untied};
    memset(out, 0, sizeof *out);
    out->arena = arena;
    out->graph = g;
    out->stream_of = wf_arena_alloc(arena, (g->count + 1) * sizeof *out->stream_of);
    out->list = wf_arena_alloc(arena, (g->count + 1) * sizeof *out->list);
    out->norms = wf_arena_alloc(arena, (g->count + 1) * sizeof *out->norms);
    out->writers = wf_arena_alloc(arena, (g->count + 1) * sizeof *out->writers);
    out->raw = wf_arena_alloc(arena, (g->count + 1) * sizeof *out->raw);
    if (f.parent == NULL || out->raw == NULL || out->stream_of == NULL || out->list == NULL || out->norms == NULL || out->writers == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to follow the residual streams");
    }
    number_streams(&f);
    for (wf_id i = 0; i < g->count; i++) {
        if (is_norm(&g->nodes[i])) {
            add_norm(&f, i);
        }
        if (out->stream_of[i] != WF_NONE) {
            look_at_source(&f, i);
            look_at_readers(&f, i);
        }
    }
    return WF_OK;
}
