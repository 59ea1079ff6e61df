/* Planning the rewrites of norms: from the streams of the graph to a recipe for each stored tensor. */
#include "convert/rewrite.h"

#include <string.h>

#include "base/alloc.h"
#include "convert/stream.h"
#include "runtime/model.h"

typedef struct planner {
    wf_mapping *m;
    const wf_convert_options *o;
    wf_streams streams;
    struct wf_rewrite **recipe; /* [rows] */
    bool *removed;              /* [rows] */
    wf_map_row *made;           /* [rows] a bias to follow the row, where name is not NULL */
    struct wf_rewrite **made_recipe; /* [rows] its recipe */
    uint32_t *drop;             /* [streams] channel, or WF_NO_CHANNEL */
    bool *keeps;                /* [streams] norms that --norm does not replace */
    wf_error *err;
} planner;

static const char *weight_name(const planner *p, uint32_t id) { return p->streams.graph->weights->entries[id].name; }

static uint32_t row_of(const planner *p, const char *name) {
    for (uint32_t i = 0; i < p->m->row_count; i++) {
        if (strcmp(p->m->rows[i].name, name) == 0) {
            return i;
        }
    }
    return WF_NO_CHANNEL;
}

static struct wf_rewrite *recipe_at(planner *p, uint32_t row) {
    if (p->recipe[row] == NULL) {
        struct wf_rewrite *w = wf_arena_alloc(p->m->arena, sizeof *w);
        if (w == NULL) {
            wf_map_fail(p->m, WF_E_MEMORY, "convert", "no memory to plan the rewrite of norms");
            return NULL;
        }
        w->drop_row = w->drop_column = WF_NO_CHANNEL;
        p->recipe[row] = w;
        p->m->rows[row].rewrite = w;
    }
    return p->recipe[row];
}

/* A vector of the source as doubles in the arena. */
static double *read_vector(planner *p, uint32_t row, wf_error *err) {
    wf_map_stored s = wf_map_stored_of(p->m, &p->m->rows[row], WF_F32);
    double *v = wf_arena_alloc(p->m->arena, (size_t)s.k * sizeof *v);
    if (v == NULL || wf_map_read_source(p->m, &p->m->rows[row], 0, v, err) != WF_OK) {
        return NULL;
    }
    return v;
}

/* ---- folding γ and β ---- */

/* eps as the source meant it: RepBN's is always 1e-5, which a float misses by 2.5e-8 of it. */
static double decimal(float eps) { return eps == 1e-5f ? 1e-5 : eps; }

/* The recipe of a product's bias; a product without one gets a bias. */
static struct wf_rewrite *bias_recipe(planner *p, const wf_node *product, uint32_t matrix) {
    if (product->w[1] != WF_NONE) {
        uint32_t row = row_of(p, weight_name(p, product->w[1]));
        if (p->streams.graph->weights->entries[product->w[1]].uses > 1 && p->made[row].name == NULL) {
            p->made[row] = p->m->rows[row]; /* windows go on padding with the bias as it was (parts/mixer/attention.c) */
            p->made[row].rewrite = NULL;
            p->made[row].name = wf_map_format(p->m, "%s.pad", product->name);
        }
        return recipe_at(p, row);
    }
    if (p->made[matrix].name != NULL) {
        return p->made_recipe[matrix];
    }
    struct wf_rewrite *w = p->made_recipe[matrix] = wf_arena_alloc(p->m->arena, sizeof *w);
    if (w == NULL) {
        wf_map_fail(p->m, WF_E_MEMORY, "convert", "no memory to plan the rewrite of norms");
        return NULL;
    }
    w->made = true;
    w->drop_row = w->drop_column = WF_NO_CHANNEL;
    p->made[matrix] = p->m->rows[matrix];
    p->made[matrix].kind = WF_MAP_VECTOR;
    p->made[matrix].rewrite = w;
    p->made[matrix].name = wf_map_format(p->m, "%s.bias", product->name);
    return w;
}

/* The bias of a product that reads a norm takes W · β. */
static wf_status fold_shift(planner *p, const wf_node *reader, uint32_t matrix, const double *shift, uint32_t channels, wf_error *err) {
    wf_map_row *copy = wf_arena_alloc(p->m->arena, sizeof *copy);
    if (copy == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to plan the rewrite of norms");
    }
    *copy = p->m->rows[matrix];
    copy->rewrite = NULL;
    struct wf_rewrite *w = bias_recipe(p, reader, matrix);
    WF_TRY(p->m->status);
    w->shift = shift;
    w->matrix = copy;
    w->channels = channels;
    return WF_OK;
}

/* A norm's scale and shift; NULL where it has none. A RepBN's come from its statistics. */
typedef struct norm_terms {
    double *gain, *shift;
} norm_terms;

static wf_status read_terms(planner *p, const wf_node *norm, norm_terms *out, wf_error *err) {
    double *v[5] = {NULL};
    for (int i = 0; i < 5; i++) {
        v[i] = norm->w[i] != WF_NONE ? read_vector(p, row_of(p, weight_name(p, norm->w[i])), err) : NULL;
        if (norm->w[i] != WF_NONE && v[i] == NULL) {
            return err->code != WF_OK ? err->code : wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to plan the rewrite of norms");
        }
    }
    *out = (norm_terms){v[0], v[1]};
    for (uint32_t c = 0; c < norm->shape.c && norm->op == WF_OP_REPBN; c++) {
        double over = v[0][c] / __builtin_sqrt(v[3][c] + decimal(norm->p.eps));
        v[0][c] = over + v[4][0];
        v[1][c] -= over * v[2][c];
    }
    return WF_OK;
}

static void remove_norm(planner *p, const wf_node *norm) {
    for (int i = 0; i < 5; i++) {
        if (norm->w[i] != WF_NONE) {
            p->removed[row_of(p, weight_name(p, norm->w[i]))] = true;
        }
    }
    wf_map_list_add(p->m, &p->m->change.bare_norms, norm->name);
}

static wf_status fold_norm(planner *p, const wf_stream_norm *norm, wf_error *err) {
    const wf_graph *g = p->streams.graph;
    uint32_t channels = g->nodes[norm->node].shape.c;
    norm_terms terms;
    WF_TRY(read_terms(p, &g->nodes[norm->node], &terms, err));
    for (uint32_t i = 0; i < norm->reader_count; i++) {
        const wf_node *reader = &g->nodes[norm->readers[i]];
        uint32_t matrix = row_of(p, weight_name(p, reader->w[0]));
        struct wf_rewrite *w = recipe_at(p, matrix);
        WF_TRY(p->m->status);
        w->gain = terms.gain;
        w->channels = channels;
        if (terms.shift != NULL) { /* zeros too: a file says for all blocks at once whether products have a bias */
            WF_TRY(fold_shift(p, reader, matrix, terms.shift, channels, err));
        }
    }
    remove_norm(p, &g->nodes[norm->node]);
    return p->m->status;
}

/* A RepBN behind a product: W' = a ∘ W, b' = a ∘ b + shift. */
static wf_status fold_back(planner *p, const wf_stream_norm *norm, wf_error *err) {
    const wf_node *node = &p->streams.graph->nodes[norm->node], *product = &p->streams.graph->nodes[norm->producer];
    uint32_t matrix = row_of(p, weight_name(p, product->w[0]));
    norm_terms terms;
    WF_TRY(read_terms(p, node, &terms, err));
    struct wf_rewrite *w = recipe_at(p, matrix), *bias = bias_recipe(p, product, matrix);
    WF_TRY(p->m->status);
    w->scale = bias->scale = terms.gain;
    bias->offset = terms.shift;
    remove_norm(p, node);
    return p->m->status;
}

/* Layer scales go into their products: all of them or none, since a file says only whether there are any. */
static wf_status fold_scales(planner *p, bool needed, wf_error *err) {
    const wf_graph *g = p->streams.graph;
    uint32_t scaled = 0, foldable = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        scaled += g->nodes[i].op == WF_OP_RESIDUAL && g->nodes[i].w[0] != WF_NONE;
    }
    for (uint32_t i = 0; i < p->streams.writer_count; i++) {
        foldable += p->streams.writers[i].scale != WF_NONE;
    }
    if (scaled == 0) {
        return WF_OK;
    }
    if (foldable != scaled) {
        if (!needed) {
            wf_map_note(p->m, "layer scales stay: %u of %u scale something that is no product", scaled - foldable, scaled);
        }
        return WF_OK;
    }
    for (uint32_t i = 0; i < p->streams.writer_count; i++) {
        const wf_stream_writer *w = &p->streams.writers[i];
        if (w->scale == WF_NONE) {
            continue;
        }
        uint32_t row = row_of(p, weight_name(p, w->scale));
        double *scale = read_vector(p, row, err);
        if (scale == NULL) {
            return err->code != WF_OK ? err->code : wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to fold layer scales");
        }
        struct wf_rewrite *matrix = recipe_at(p, row_of(p, weight_name(p, w->matrix)));
        struct wf_rewrite *bias = w->bias != WF_NONE ? recipe_at(p, row_of(p, weight_name(p, w->bias))) : NULL;
        WF_TRY(p->m->status);
        matrix->scale = scale;
        if (bias != NULL) {
            bias->scale = scale;
        }
        p->removed[row] = true;
    }
    p->m->change.scales_folded = true;
    return WF_OK;
}

/* ---- centring the writers ---- */

static wf_status centre_product(planner *p, uint32_t row, wf_error *err) {
    const wf_map_row *r = &p->m->rows[row];
    wf_map_stored s = wf_map_stored_of(p->m, r, WF_F32);
    struct wf_rewrite *w = recipe_at(p, row);
    double *mean = wf_arena_alloc(p->m->arena, (size_t)s.k * sizeof *mean);
    void *memory;
    if (w == NULL || mean == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to centre \"%s\"", r->name);
    }
    WF_TRY(wf_alloc_array(&memory, s.k, sizeof(double), r->name, err));
    double *line = memory;
    wf_status status = WF_OK;
    for (uint64_t i = 0; i < s.rows && status == WF_OK; i++) {
        status = wf_map_read_rewritten(p->m, r, i, line, err);
        for (uint64_t c = 0; c < s.k; c++) {
            mean[c] += line[c] / (double)s.rows;
        }
    }
    wf_free(memory);
    w->mean = mean;
    return status;
}

static wf_status centre_writer(planner *p, const wf_stream_writer *w, wf_error *err) {
    uint32_t row = row_of(p, weight_name(p, w->matrix));
    uint32_t drop = p->drop[w->stream];
    if (w->table) {
        struct wf_rewrite *table = recipe_at(p, row);
        WF_TRY(p->m->status);
        table->centre = true;
        table->drop_row = drop;
        return WF_OK;
    }
    WF_TRY(centre_product(p, row, err));
    p->recipe[row]->drop_row = drop;
    if (w->bias != WF_NONE || p->made[row].name != NULL) { /* a fold may have made the bias */
        struct wf_rewrite *bias = w->bias != WF_NONE ? recipe_at(p, row_of(p, weight_name(p, w->bias))) : p->made_recipe[row];
        WF_TRY(p->m->status);
        bias->centre = true;
        bias->drop_row = drop;
    }
    return WF_OK;
}

/* Readers of a stream without channel `drop`: the norm's value there is minus the sum of the others. */
static wf_status drop_from_readers(planner *p, const wf_stream_norm *norm) {
    const wf_graph *g = p->streams.graph;
    for (uint32_t i = 0; i < norm->reader_count; i++) {
        struct wf_rewrite *w = recipe_at(p, row_of(p, weight_name(p, g->nodes[norm->readers[i]].w[0])));
        WF_TRY(p->m->status);
        w->channels = g->nodes[norm->node].shape.c;
        w->drop_column = p->drop[norm->stream];
    }
    return WF_OK;
}

static wf_status choose_channel(planner *p, uint32_t stream, wf_error *err) {
    uint32_t count = 0, *readers = wf_arena_alloc(p->m->arena, (p->m->row_count + 1) * sizeof *readers);
    if (readers == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to rewrite norms");
    }
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        for (uint32_t r = 0; r < norm->reader_count && norm->stream == stream; r++) {
            readers[count++] = row_of(p, weight_name(p, p->streams.graph->nodes[norm->readers[r]].w[0]));
        }
    }
    uint32_t channels = p->streams.list[stream].channels;
    WF_TRY(wf_choose_channel(p->m, readers, count, channels, p->o->type, &p->drop[stream], err));
    wf_map_note(p->m, "channel %u of %u is not stored", p->drop[stream], channels);
    return WF_OK;
}

/* ---- what is asked for ---- */

static bool replaces(const planner *p) { return p->o->norm != WF_CONVERT_NORM_KEEP; }

static bool changes(const planner *p, uint32_t stream) { return replaces(p) && stream != WF_NONE && !p->keeps[stream]; }

/* WF_OK when this norm may be replaced, else an error that says why not. */
static wf_status check_norm(const planner *p, const wf_stream_norm *norm, wf_error *err) {
    const char *kind = p->o->norm == WF_CONVERT_NORM_RMS ? "rms" : "crms";
    const wf_node *node = &p->streams.graph->nodes[norm->node];
    const wf_stream_info *stream = &p->streams.list[norm->stream];
    if (stream->refusal != NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, node->name, -1,
                       "--norm %s would not be exact for the norm \"%s\": %s; convert with --norm keep", kind, node->name, stream->refusal);
    }
    if (p->o->norm == WF_CONVERT_NORM_CRMS && norm->unfoldable != NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, node->name, -1,
                       "--norm crms needs the norm \"%s\" folded into what reads it, but %s; use --norm rms", node->name,
                       norm->unfoldable);
    }
    if (node->p.norm_by != WF_BY_DEVIATION) {
        return wf_fail(err, WF_E_UNSUPPORTED, node->name, -1, "the norm \"%s\" takes no mean away already; there is nothing for --norm %s "
                       "to do", node->name, kind);
    }
    return WF_OK;
}

/* All norms are replaced or none; by stream where the architecture's metadata can say so. */
static wf_status check_streams(planner *p, wf_error *err) {
    uint32_t layer_norms = 0, refused = 0;
    wf_error first, why;
    wf_error_clear(&first);
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        wf_error_clear(&why);
        layer_norms += p->streams.graph->nodes[norm->node].op == WF_OP_LAYER_NORM;
        if (check_norm(p, norm, &why) != WF_OK && !p->keeps[norm->stream]) {
            first = refused++ == 0 ? why : first;
            p->keeps[norm->stream] = true;
            wf_map_note(p->m, "a stream keeps its norms: %s", why.text);
        }
    }
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        if (changes(p, p->streams.norms[i].stream)) {
            wf_map_list_add(p->m, &p->m->change.replaced, p->streams.graph->nodes[p->streams.norms[i].node].name);
        }
    }
    if (refused != 0 && (!p->m->norms_by_stage || p->m->change.replaced.count == 0)) {
        *err = first;
        return err->code;
    }
    if (layer_norms == 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, "convert", -1, "the model has no layer norm that --norm %s could replace",
                       p->o->norm == WF_CONVERT_NORM_RMS ? "rms" : "crms");
    }
    return p->m->status;
}

static wf_status plan(planner *p, wf_error *err) {
    bool crms = p->o->norm == WF_CONVERT_NORM_CRMS;
    if (replaces(p)) {
        WF_TRY(check_streams(p, err));
    }
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        const char *name = p->streams.graph->nodes[norm->node].name;
        if (norm->weight == WF_NONE || !(p->o->fold || (crms && changes(p, norm->stream)))) {
            continue;
        }
        if (norm->producer != WF_NONE) {
            WF_TRY(fold_back(p, norm, err));
        } else if (norm->unfoldable != NULL) {
            wf_map_note(p->m, "\"%s\" keeps its scale and shift: %s", name, norm->unfoldable);
        } else {
            WF_TRY(fold_norm(p, norm, err));
        }
    }
    if (p->o->fold || replaces(p)) {
        WF_TRY(fold_scales(p, replaces(p), err));
    }
    for (uint32_t i = 0; i < p->streams.count; i++) {
        p->drop[i] = WF_NO_CHANNEL;
        if (crms && changes(p, i)) {
            WF_TRY(choose_channel(p, i, err));
        }
    }
    for (uint32_t i = 0; i < p->streams.norm_count && crms; i++) {
        WF_TRY(changes(p, p->streams.norms[i].stream) ? drop_from_readers(p, &p->streams.norms[i]) : WF_OK);
    }
    for (uint32_t i = 0; i < p->streams.writer_count; i++) {
        WF_TRY(changes(p, p->streams.writers[i].stream) ? centre_writer(p, &p->streams.writers[i], err) : WF_OK);
    }
    p->m->change.norm = crms ? "crms_norm" : replaces(p) ? "rms_norm" : NULL;
    return p->m->status;
}

/* ---- carrying it out on the map ---- */

static void rebuild_rows(planner *p) {
    wf_mapping *m = p->m;
    wf_map_row *rows = wf_arena_alloc(m->arena, (size_t)(2 * m->row_count + 1) * sizeof *rows);
    uint32_t count = 0;
    if (rows == NULL) {
        wf_map_fail(m, WF_E_MEMORY, "convert", "no memory to rewrite norms");
        return;
    }
    for (uint32_t i = 0; i < m->row_count; i++) {
        if (!p->removed[i]) {
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
static void filter_taps(planner *p) {
    const wf_graph *g = p->streams.graph;
    wf_map_list kept = {NULL, 0, 0};
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < p->m->taps.count; i++) {
        const char *begin = strchr(p->m->taps.items[i], '|') + 1, *end = strchr(begin, '|');
        const char *name = wf_map_format(p->m, "%.*s", (int)(end - begin), begin);
        wf_id node = wf_graph_find(g, name);
        bool changed = node == WF_NONE || changes(p, p->streams.stream_of[node]);
        for (uint32_t j = 0; j < p->streams.norm_count && !changed; j++) {
            const wf_stream_norm *norm = &p->streams.norms[j];
            changed = (norm->node == node || norm->producer == node) && norm->weight != WF_NONE &&
                      p->removed[row_of(p, weight_name(p, norm->weight))];
        }
        for (uint32_t j = 0; j < p->streams.writer_count && !changed; j++) {
            const wf_stream_writer *w = &p->streams.writers[j];
            changed = w->node == node && (changes(p, w->stream) || p->m->change.scales_folded);
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

static wf_status with_model(planner *p, wf_model *model, wf_error *err) {
    wf_mapping *m = p->m;
    wf_weights weights;
    wf_graph g;
    wf_input_class in = {1, m->image.height, m->image.width};
    wf_weights_init(&weights, m->arena, WF_BACKEND_SCALAR);
    weights.find = model->weights.find;
    weights.find_user = model->weights.find_user;
    wf_graph_init(&g, m->arena, &weights);
    g.bare_norms = model->bare_norms;
    g.bare_norm_count = model->bare_norm_count;
    model->arch->build(&g, model->config, &in);
    wf_status status = wf_graph_check(&g, err);
    if (status == WF_OK) {
        status = wf_streams_find(&g, m->arena, &p->streams, err);
    }
    if (status == WF_OK) {
        p->drop = wf_arena_alloc(m->arena, (p->streams.count + 1) * sizeof *p->drop);
        p->keeps = wf_arena_alloc(m->arena, (p->streams.count + 1) * sizeof *p->keeps);
        status = p->drop == NULL || p->keeps == NULL ? wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to rewrite norms") : plan(p, err);
    }
    if (status == WF_OK) {
        filter_taps(p);
        rebuild_rows(p);
        status = m->status;
    }
    wf_graph_free(&g);
    wf_weights_free(&weights);
    return status;
}

wf_status wf_rewrite(wf_mapping *m, const wf_convert_options *o, wf_error *err) {
    planner p = {.m = m, .o = o, .err = err};
    wf_options options = wf_options_default();
    wf_model *model;
    wf_error stopped;
    uint64_t bytes;
    p.recipe = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *p.recipe);
    p.removed = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *p.removed);
    p.made = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *p.made);
    p.made_recipe = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *p.made_recipe);
    if (p.recipe == NULL || p.removed == NULL || p.made == NULL || p.made_recipe == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to rewrite norms");
    }
    options.backend = WF_BACKEND_SCALAR;
    options.file_name = o->source_name;
    WF_TRY(wf_model_open(&options, &model, err));
    wf_error_clear(&stopped);
    wf_byte_sink sink = {model, take_header};
    wf_status status = wf_emit(m, o, WF_F32, NULL, sink, &bytes, &stopped);
    status = wf_model_has_header(model) ? with_model(&p, model, err)
             : status == WF_OK          ? wf_fail(err, WF_E_FORMAT, "convert", -1, "the converted file has no header")
                                        : wf_fail(err, stopped.code, stopped.where, stopped.offset, "%s", stopped.text);
    wf_model_free(model);
    return status;
}
