/* Scales and shifts of norms, and layer scales, as parts of the products next to them (rewrite.h). */
#include "base/alloc.h"
#include "convert/rewriter.h"

/* A vector of the source as doubles in the arena. */
static double *read_vector(wf_rewriter *p, uint32_t row, wf_error *err) {
    wf_map_reader reader;
    if (wf_map_reader_open(&reader, p->m, &p->m->rows[row], err) != WF_OK) {
        return NULL;
    }
    double *v = wf_arena_alloc(p->m->arena, (size_t)reader.stored.k * sizeof *v);
    bool good = v != NULL && wf_map_read_source(&reader, 0, v, err) == WF_OK;
    wf_map_reader_close(&reader);
    return good ? v : NULL;
}

/* eps as the source meant it: RepBN's is always 1e-5, which a float misses by 2.5e-8 of it. */
static double decimal(float eps) { return eps == 1e-5f ? 1e-5 : eps; }

/* The recipe of a product's bias; a product without one gets a bias. */
static struct wf_rewrite *bias_recipe(wf_rewriter *p, const wf_node *product, uint32_t matrix) {
    if (product->w[1] != WF_NONE) {
        uint32_t row = wf_rewriter_row(p, wf_rewriter_weight(p, product->w[1]));
        if (p->streams.graph->weights->entries[product->w[1]].uses > 1 && p->made[row].name == NULL) {
            p->made[row] = p->m->rows[row]; /* windows go on padding with the bias as it was (parts/mixer/attention.c) */
            p->made[row].rewrite = NULL;
            p->made[row].name = wf_map_format(p->m, "%s.pad", product->name);
        }
        return wf_rewriter_recipe(p, row);
    }
    if (p->made[matrix].name != NULL) {
        return p->made_recipe[matrix];
    }
    struct wf_rewrite *w = p->made_recipe[matrix] = wf_rewriter_new_recipe(p);
    if (w == NULL) {
        return NULL;
    }
    w->made = true;
    p->made[matrix] = p->m->rows[matrix];
    p->made[matrix].kind = WF_MAP_VECTOR;
    p->made[matrix].rewrite = w;
    p->made[matrix].name = wf_map_format(p->m, "%s.bias", product->name);
    return w;
}

/* The bias of a product that reads a norm takes W · β. */
static wf_status fold_shift(wf_rewriter *p, const wf_node *reader, uint32_t matrix, const double *shift, uint32_t channels, wf_error *err) {
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

static wf_status read_terms(wf_rewriter *p, const wf_node *norm, norm_terms *out, wf_error *err) {
    double *v[5] = {NULL};
    for (int i = 0; i < 5; i++) {
        v[i] = norm->w[i] != WF_NONE ? read_vector(p, wf_rewriter_row(p, wf_rewriter_weight(p, norm->w[i])), err) : NULL;
        if (norm->w[i] != WF_NONE && v[i] == NULL) {
            return err->code != WF_OK ? err->code : wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to plan the rewrite of norms");
        }
    }
    uint32_t channels = norm->shape.c;
    for (int i = 0; i < 2 && norm->op == WF_OP_REPBN; i++) { /* a batch norm may have no scale and shift: 1 and 0 */
        bool absent = v[i] == NULL;
        v[i] = absent ? wf_arena_alloc(p->m->arena, channels * sizeof *v[i]) : v[i];
        if (v[i] == NULL) {
            return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to plan the rewrite of norms");
        }
        for (uint32_t c = 0; c < channels && absent; c++) {
            v[i][c] = i == 0 ? 1 : 0;
        }
    }
    *out = (norm_terms){v[0], v[1]};
    for (uint32_t c = 0; c < channels && norm->op == WF_OP_REPBN; c++) {
        double over = v[0][c] / __builtin_sqrt(v[3][c] + decimal(norm->p.eps));
        v[0][c] = over + (v[4] != NULL ? v[4][0] : 0);
        v[1][c] -= over * v[2][c];
    }
    return WF_OK;
}

static void remove_norm(wf_rewriter *p, const wf_node *norm) {
    for (int i = 0; i < 5; i++) {
        if (norm->w[i] != WF_NONE) {
            p->removed[wf_rewriter_row(p, wf_rewriter_weight(p, norm->w[i]))] = true;
        }
    }
    wf_map_list_add(p->m, &p->m->change.bare_norms, norm->name);
}

static wf_status fold_forward(wf_rewriter *p, const wf_stream_norm *norm, wf_error *err) {
    const wf_graph *g = p->streams.graph;
    uint32_t channels = g->nodes[norm->node].shape.c;
    norm_terms terms;
    WF_TRY(read_terms(p, &g->nodes[norm->node], &terms, err));
    for (uint32_t i = 0; i < norm->reader_count; i++) {
        const wf_node *reader = &g->nodes[norm->readers[i]];
        uint32_t matrix = wf_rewriter_row(p, wf_rewriter_weight(p, reader->w[0]));
        struct wf_rewrite *w = wf_rewriter_recipe(p, matrix);
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
static wf_status fold_back(wf_rewriter *p, const wf_stream_norm *norm, wf_error *err) {
    const wf_node *node = &p->streams.graph->nodes[norm->node], *product = &p->streams.graph->nodes[norm->producer];
    uint32_t matrix = wf_rewriter_row(p, wf_rewriter_weight(p, product->w[0]));
    norm_terms terms;
    WF_TRY(read_terms(p, node, &terms, err));
    struct wf_rewrite *w = wf_rewriter_recipe(p, matrix), *bias = bias_recipe(p, product, matrix);
    WF_TRY(p->m->status);
    w->scale = bias->scale = terms.gain;
    bias->offset = terms.shift;
    remove_norm(p, node);
    return p->m->status;
}

wf_status wf_fold_norm(wf_rewriter *p, const wf_stream_norm *norm, wf_error *err) {
    return norm->producer != WF_NONE ? fold_back(p, norm, err) : fold_forward(p, norm, err);
}

wf_status wf_fold_scales(wf_rewriter *p, bool needed, wf_error *err) {
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
        uint32_t row = wf_rewriter_row(p, wf_rewriter_weight(p, w->scale));
        double *scale = read_vector(p, row, err);
        if (scale == NULL) {
            return err->code != WF_OK ? err->code : wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to fold layer scales");
        }
        struct wf_rewrite *matrix = wf_rewriter_recipe(p, wf_rewriter_row(p, wf_rewriter_weight(p, w->matrix)));
        struct wf_rewrite *bias = w->bias != WF_NONE ? wf_rewriter_recipe(p, wf_rewriter_row(p, wf_rewriter_weight(p, w->bias))) : NULL;
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
