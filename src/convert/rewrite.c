/* The rewrites of norms: from the streams of the graph to a recipe for each stored tensor, in the order in which they build on each
   other, and carried out on the map. */
#include "convert/rewrite.h"

#include <string.h>

#include "convert/rewriter.h"
#include "runtime/model.h"

const char *wf_rewriter_weight(const wf_rewriter *p, uint32_t id) { return p->streams.graph->weights->entries[id].name; }

uint32_t wf_rewriter_row(const wf_rewriter *p, const char *name) {
    for (uint32_t i = 0; i < p->m->row_count; i++) {
        if (strcmp(p->m->rows[i].name, name) == 0) {
            return i;
        }
    }
    return WF_NO_CHANNEL;
}

uint32_t wf_rewriter_matrix(const wf_rewriter *p, wf_id node) {
    uint32_t own = p->own[node];
    return own != WF_NO_CHANNEL ? own : wf_rewriter_row(p, wf_rewriter_weight(p, p->streams.graph->nodes[node].w[0]));
}

struct wf_rewrite *wf_rewriter_new_recipe(wf_rewriter *p) {
    struct wf_rewrite *w = wf_arena_alloc(p->m->arena, sizeof *w);
    if (w == NULL) {
        wf_map_fail(p->m, WF_E_MEMORY, "convert", "no memory to plan the rewrite of norms");
        return NULL;
    }
    w->drop_row = w->drop_column = WF_NO_CHANNEL;
    return w;
}

struct wf_rewrite *wf_rewriter_recipe(wf_rewriter *p, uint32_t row) {
    if (p->recipe[row] == NULL) {
        p->m->rows[row].rewrite = p->recipe[row] = wf_rewriter_new_recipe(p);
    }
    return p->recipe[row];
}

static wf_status plan(wf_rewriter *p, wf_error *err) {
    bool needed = p->o->norm == WF_CONVERT_NORM_CRMS || p->o->norm == WF_CONVERT_NORM_CARRY;
    if (wf_norms_replaced(p)) {
        WF_TRY(wf_norms_check(p, err));
    }
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        bool nothing = norm->weight == WF_NONE && p->streams.graph->nodes[norm->node].op != WF_OP_REPBN; /* to fold */
        if (nothing || !(p->o->fold || (needed && wf_norms_change(p, norm->stream)))) {
            continue;
        }
        if (norm->producer == WF_NONE && norm->unfoldable != NULL) {
            wf_map_note(p->m, "\"%s\" keeps its scale and shift: %s", p->streams.graph->nodes[norm->node].name, norm->unfoldable);
        } else {
            WF_TRY(wf_fold_norm(p, norm, err));
        }
    }
    if (p->o->fold || wf_norms_replaced(p)) {
        WF_TRY(wf_fold_scales(p, wf_norms_replaced(p), err));
    }
    return wf_norms_replaced(p) ? wf_norms_replace(p, err) : p->m->status;
}

/* ---- carrying it out on the map ---- */

/* A weight of a node's own is one only where the two differ. */
static bool is_changed(const wf_rewriter *p, uint32_t own) {
    for (wf_id i = 0; i < p->streams.graph->count; i++) {
        if (p->own[i] == own) {
            uint32_t shared = wf_rewriter_row(p, wf_rewriter_weight(p, p->streams.graph->nodes[i].w[0]));
            return p->recipe[own] != NULL || p->recipe[shared] != NULL;
        }
    }
    return false;
}

static void rebuild_rows(wf_rewriter *p) {
    wf_mapping *m = p->m;
    wf_map_row *rows = wf_arena_alloc(m->arena, (size_t)(2 * m->row_count + 1) * sizeof *rows);
    uint32_t count = 0;
    if (rows == NULL) {
        wf_map_fail(m, WF_E_MEMORY, "convert", "no memory to rewrite norms");
        return;
    }
    for (uint32_t i = 0; i < m->row_count; i++) {
        if (!p->removed[i] && (i < p->first_own || is_changed(p, i))) {
            rows[count++] = m->rows[i];
        }
        if (p->made[i].name != NULL) {
            rows[count++] = p->made[i];
            m->change.biases_made = true;
        }
    }
    m->row_capacity = 2 * m->row_count + 1;
    m->rows = rows;
    m->row_count = count;
}

/* A tap shows what the source shows only where the rewrite changed nothing. */
static void filter_taps(wf_rewriter *p) {
    const wf_graph *g = p->streams.graph;
    wf_map_list kept = {NULL, 0, 0};
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < p->m->taps.count; i++) {
        const char *begin = strchr(p->m->taps.items[i], '|') + 1, *end = strchr(begin, '|');
        const char *name = wf_map_format(p->m, "%.*s", (int)(end - begin), begin);
        wf_id node = wf_graph_find(g, name);
        bool changed = node == WF_NONE || wf_norms_change(p, p->streams.stream_of[node]);
        for (uint32_t j = 0; j < p->streams.norm_count && !changed; j++) {
            const wf_stream_norm *norm = &p->streams.norms[j];
            changed = (norm->node == node || norm->producer == node) && norm->weight != WF_NONE &&
                      p->removed[wf_rewriter_row(p, wf_rewriter_weight(p, norm->weight))];
        }
        for (uint32_t j = 0; j < p->streams.writer_count && !changed; j++) {
            const wf_stream_writer *w = &p->streams.writers[j];
            changed = w->node == node && (wf_norms_change(p, w->stream) || p->m->change.scales_folded);
        }
        if (changed) {
            dropped++;
        } else {
            wf_map_list_add(p->m, &kept, p->m->taps.items[i]);
        }
    }
    p->m->taps = kept;
    if (dropped != 0) {
        wf_map_note(p->m, "%u taps are left out: the rewrite of norms changes what they show", dropped);
    }
}

static wf_status take_header(void *user, const void *bytes, size_t n, wf_error *err) {
    wf_model *model = user;
    WF_TRY(wf_model_feed(model, bytes, n, err));
    return wf_model_has_header(model) ? WF_E_STATE : WF_OK; /* enough: stops the writer */
}

/* Rows for the nodes that share a matrix or table with another one, called as the node; the node after which it is called keeps it. */
static bool untie(wf_rewriter *p, const wf_graph *g) {
    wf_mapping *m = p->m;
    wf_map_row *rows = wf_arena_alloc(m->arena, (size_t)(m->row_count + g->count + 1) * sizeof *rows);
    p->own = wf_arena_alloc(m->arena, (g->count + 1) * sizeof *p->own);
    p->first_own = m->row_count;
    if (rows == NULL || p->own == NULL) {
        return false;
    }
    memcpy(rows, m->rows, m->row_count * sizeof *rows);
    m->rows = rows;
    m->row_capacity = m->row_count + g->count + 1;
    for (wf_id i = 0; i < g->count; i++) {
        const wf_weight_entry *e = g->nodes[i].w[0] != WF_NONE ? &g->weights->entries[g->nodes[i].w[0]] : NULL;
        p->own[i] = WF_NO_CHANNEL;
        if (!p->o->untie || e == NULL || e->uses <= 1 || e->role == WF_ROLE_VECTOR) {
            continue;
        }
        const char *name = wf_map_format(m, "%s.weight", g->nodes[i].name);
        uint32_t shared = wf_rewriter_row(p, e->name);
        if (shared != WF_NO_CHANNEL && strcmp(name, e->name) != 0) {
            p->own[i] = m->row_count;
            rows[m->row_count] = rows[shared];
            rows[m->row_count].kind = g->nodes[i].op == WF_OP_LINEAR ? WF_MAP_LINEAR : rows[shared].kind; /* a table's may be a matrix now */
            rows[m->row_count++].name = name;
        }
    }
    return m->status == WF_OK;
}

static bool begin(wf_rewriter *p, const wf_graph *g, wf_error *err) {
    wf_arena *arena = p->m->arena;
    if (!untie(p, g)) {
        return false;
    }
    size_t rows = p->m->row_count + 1;
    p->recipe = wf_arena_alloc(arena, rows * sizeof *p->recipe);
    p->removed = wf_arena_alloc(arena, rows * sizeof *p->removed);
    p->made = wf_arena_alloc(arena, rows * sizeof *p->made);
    p->made_recipe = wf_arena_alloc(arena, rows * sizeof *p->made_recipe);
    if (p->recipe == NULL || p->removed == NULL || p->made == NULL || p->made_recipe == NULL ||
        wf_streams_find(g, arena, p->o->untie, &p->streams, err) != WF_OK) {
        return false;
    }
    p->drop = wf_arena_alloc(arena, (p->streams.count + 1) * sizeof *p->drop);
    p->keeps = wf_arena_alloc(arena, (p->streams.count + 1) * sizeof *p->keeps);
    return p->drop != NULL && p->keeps != NULL;
}

wf_status wf_rewrite_graph(wf_mapping *m, const wf_convert_options *o, const wf_graph *g, wf_error *err) {
    wf_rewriter p = {.m = m, .o = o};
    if (!begin(&p, g, err)) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to rewrite norms");
    }
    WF_TRY(plan(&p, err));
    filter_taps(&p);
    rebuild_rows(&p);
    return m->status;
}

static wf_status with_model(wf_mapping *m, const wf_convert_options *o, wf_model *model, wf_error *err) {
    wf_weights weights;
    wf_graph g;
    wf_input_class in = {1, model->input.height, model->input.width};
    wf_weights_init(&weights, m->arena, WF_BACKEND_SCALAR);
    weights.find = model->weights.find;
    weights.find_user = model->weights.find_user;
    wf_graph_init(&g, m->arena, &weights);
    g.bare_norms = model->bare_norms;
    g.bare_norm_count = model->bare_norm_count;
    model->arch->build(&g, model->config, &in);
    wf_status status = wf_graph_check(&g, err);
    if (status == WF_OK) {
        status = wf_rewrite_graph(m, o, &g, err);
    }
    wf_graph_free(&g);
    wf_weights_free(&weights);
    return status;
}

wf_status wf_rewrite(wf_mapping *m, const wf_convert_options *o, wf_error *err) {
    wf_options options = wf_options_default();
    wf_model *model;
    wf_error stopped;
    uint64_t bytes;
    options.backend = WF_BACKEND_SCALAR;
    options.file_name = o->source_name;
    WF_TRY(wf_model_open(&options, &model, err));
    wf_error_clear(&stopped);
    wf_byte_sink sink = {model, take_header};
    wf_status status = wf_emit(m, o, WF_F32, NULL, sink, &bytes, &stopped);
    status = wf_model_has_header(model) ? with_model(m, o, model, err)
             : status == WF_OK          ? wf_fail(err, WF_E_FORMAT, "convert", -1, "the converted file has no header")
                                        : wf_fail(err, stopped.code, stopped.where, stopped.offset, "%s", stopped.text);
    wf_model_free(model);
    return status;
}
