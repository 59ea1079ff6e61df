/* A model: header → architecture → plan of the recommended size → weights as they arrive. */
#include <string.h>

#include "base/alloc.h"
#include "runtime/model.h"

wf_options wf_options_default(void) {
    return (wf_options){.backend = WF_BACKEND_SIMD, .threads = 1, .int8_rows = true};
}

wf_status wf_model_open(const wf_options *options, wf_model **out, wf_error *err) {
    *out = NULL;
    wf_model *m = wf_alloc_zero(sizeof *m);
    if (m == NULL) {
        return wf_fail(err, WF_E_MEMORY, "model", -1, "no memory for a model");
    }
    m->options = *options;
    strncpy(m->file_name, options->file_name != NULL ? options->file_name : "model", sizeof m->file_name - 1);
    m->options.file_name = m->file_name;
    wf_arena_init(&m->arena);
    wf_error_clear(&m->error);
    wf_weights_init(&m->weights, &m->arena, options->backend);
    m->weights.passing = options->one_run;
    m->weights.int8_rows = options->int8_rows && options->backend != WF_BACKEND_F64;
    m->weights.file = m->file_name;
    wf_status status = wf_files_open(m, options->integrity, options->file_bytes, err);
    m->options.integrity = NULL; /* copied there */
    if (status == WF_OK && options->threads != 1) {
        status = wf_pool_create(options->threads, &m->pool, err);
    }
    if (status != WF_OK) {
        wf_model_free(m);
        return status;
    }
    *out = m;
    return WF_OK;
}

void wf_model_free(wf_model *m) {
    if (m == NULL) {
        return;
    }
    wf_pool_free(m->pool);
    wf_loader_free(&m->loader);
    wf_files_close(&m->files);
    wf_weights_free(&m->weights);
    wf_arena_free(&m->arena);
    wf_free(m);
}

static bool find_stored(void *user, const char *name, wf_stored *out) {
    const wf_gguf *g = ((wf_model *)user)->gguf;
    const wf_gguf_tensor *t = wf_gguf_find_tensor(g, name);
    if (t == NULL) {
        return false;
    }
    out->index = (uint32_t)(t - g->tensors);
    out->type = t->type;
    out->n_dims = t->n_dims;
    memcpy(out->dims, t->dims, sizeof out->dims);
    return true;
}

static wf_status read_image(wf_model *m, wf_error *err) {
    const wf_gguf *g = m->gguf;
    const wf_gguf_kv *mean = wf_gguf_find(g, "wf.image.mean"), *std = wf_gguf_find(g, "wf.image.std");
    double crop = 0;
    const char *resample = wf_gguf_get_string(g, "wf.image.resample");
    if (mean == NULL && std == NULL && resample == NULL) {
        return WF_OK;
    }
    wf_image_params *p = &m->image;
    memset(p, 0, sizeof *p);
    p->width = m->input.width;
    p->height = m->input.height;
    bool ok = mean != NULL && std != NULL && resample != NULL && wf_gguf_get_f64(g, "wf.image.crop_pct", &crop);
    for (uint64_t i = 0; ok && i < 3; i++) {
        double a = 0, b = 0;
        ok = wf_gguf_item_f64(mean, i, &a) && wf_gguf_item_f64(std, i, &b) && b > 0;
        p->mean[i] = (float)a;
        p->std[i] = (float)b;
    }
    ok = ok && crop > 0 && crop <= 1 && m->input.channels == 3;
    wf_gguf_get_bool(g, "wf.image.squash", &p->squash);
    wf_gguf_get_bool(g, "wf.image.round_long_side", &p->round_long);
    p->crop_pct = (float)crop;
    p->resample = !ok                                     ? WF_RESAMPLE_NEAREST
                  : strcmp(resample, "bicubic") == 0      ? WF_RESAMPLE_BICUBIC
                  : strcmp(resample, "bilinear") == 0     ? WF_RESAMPLE_BILINEAR
                                                          : WF_RESAMPLE_NEAREST;
    ok = ok && (p->resample != WF_RESAMPLE_NEAREST || strcmp(resample, "nearest") == 0);
    if (!ok) {
        return wf_fail(err, WF_E_FORMAT, "wf.image", -1,
                       "the keys wf.image.{mean,std,crop_pct,resample} of %s are incomplete or out of range; convert the "
                       "checkpoint again", m->file_name);
    }
    m->has_image = true;
    return WF_OK;
}

/* "source|node|order", copied and split. */
static wf_status read_taps(wf_model *m, wf_error *err) {
    const wf_gguf_kv *kv = wf_gguf_find(m->gguf, "wf.taps");
    if (kv == NULL) {
        return WF_OK;
    }
    if (kv->type != WF_GGUF_ARRAY || kv->element != WF_GGUF_STRING || kv->count > UINT32_MAX / sizeof(wf_tap)) {
        return wf_fail(err, WF_E_FORMAT, "wf.taps", -1, "wf.taps of %s is not a list of texts", m->file_name);
    }
    m->taps = wf_arena_alloc(&m->arena, (size_t)kv->count * sizeof *m->taps);
    for (uint64_t i = 0; m->taps != NULL && i < kv->count; i++) {
        const char *text = wf_gguf_item_string(kv, i);
        char *copy = wf_arena_string(&m->arena, text, strlen(text));
        char *node = copy != NULL ? strchr(copy, '|') : NULL;
        char *order = node != NULL ? strchr(node + 1, '|') : NULL;
        if (order == NULL) {
            return wf_fail(err, WF_E_FORMAT, "wf.taps", -1, "\"%s\" in wf.taps of %s is not SOURCE|NODE|ORDER; convert the checkpoint again", text,
                           m->file_name);
        }
        *node++ = '\0';
        *order++ = '\0';
        m->taps[i] = (wf_tap){copy, node, order};
        m->tap_count = (uint32_t)i + 1;
    }
    return m->taps != NULL ? WF_OK : wf_fail(err, WF_E_MEMORY, "wf.taps", -1, "no memory for the taps");
}

wf_status wf_model_plan(wf_model *m, wf_arena *arena, const wf_input_class *in, const char *const *kept, uint32_t kept_count,
                        wf_plan *out, wf_error *err) {
    wf_graph graph;
    wf_graph_init(&graph, arena, &m->weights);
    graph.kept_names = kept;
    graph.kept_count = kept_count;
    graph.bare_norms = m->bare_norms;
    graph.bare_norm_count = m->bare_norm_count;
    m->arch->build(&graph, m->config, in);
    for (uint32_t i = 0; i < kept_count; i++) {
        if (graph.error.code == WF_OK && wf_graph_find(&graph, kept[i]) == WF_NONE) {
            wf_graph_fail(&graph, WF_E_FORMAT, "wf.taps", "wf.taps names the node \"%s\", which the model does not have; "
                          "convert the checkpoint again", kept[i]);
        }
    }
    uint32_t threads = wf_pool_threads(m->pool);
    wf_status status = wf_plan_make(out, &graph, m->options.backend, threads, err);
    if (status != WF_OK) {
        wf_plan_free(out);
    }
    return status;
}

/* The first plan registers the weights, and says how much memory the model takes. */
/* The norms whose scale and shift a conversion has folded away. */
static wf_status read_bare_norms(wf_model *m, wf_error *err) {
    const wf_gguf_kv *kv = wf_gguf_find(m->gguf, "wf.norm.bare");
    if (kv == NULL) {
        return WF_OK;
    }
    if (kv->type != WF_GGUF_ARRAY || kv->element != WF_GGUF_STRING || kv->count > 65536) {
        return wf_fail(err, WF_E_FORMAT, "wf.norm.bare", -1, "wf.norm.bare of %s is no list of names; convert the checkpoint again",
                       m->file_name);
    }
    m->bare_norms = wf_arena_alloc(&m->arena, ((size_t)kv->count + 1) * sizeof *m->bare_norms);
    if (m->bare_norms == NULL) {
        return wf_fail(err, WF_E_MEMORY, "wf.norm.bare", -1, "no memory for the names of norms");
    }
    for (uint64_t i = 0; i < kv->count; i++) {
        m->bare_norms[m->bare_norm_count++] = wf_gguf_item_string(kv, i);
    }
    return WF_OK;
}

static wf_status plan_recommended(wf_model *m, wf_error *err) {
    wf_input_class in = {1, m->input.height, m->input.width};
    wf_plan plan;
    WF_TRY(wf_model_plan(m, &m->arena, &in, NULL, 0, &plan, err));
    m->activation_bytes = plan.total_bytes;
    m->cost = plan.cost;
    m->nodes = wf_plan_live_nodes(&plan);
    for (uint32_t i = 0; i < plan.graph.count; i++) {
        const wf_node *n = &plan.graph.nodes[i];
        m->norm_nodes += !n->dead && (n->op == WF_OP_GROUP_NORM || n->op == WF_OP_LAYER_NORM || n->op == WF_OP_REPBN);
    }
    uint32_t outputs = plan.graph.output_count;
    wf_plan_free(&plan);
    WF_TRY(wf_meaning_read(m, outputs, err));
    return wf_loader_prepare(m, err);
}

static wf_status header_arrived(wf_model *m, const wf_gguf *gguf, wf_error *err) {
    m->gguf = gguf;
    m->weights.find = find_stored;
    m->weights.find_user = m;
    const char *name = wf_gguf_get_string(gguf, "general.architecture");
    if (name == NULL) {
        return wf_fail(err, WF_E_MISSING, "general.architecture", -1,
                       "%s does not say its architecture (general.architecture), so it is no model: give another file", m->file_name);
    }
    m->arch = wf_arch_find(name);
    if (m->arch == NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, "general.architecture", -1,
                       "%s holds a model of architecture \"%s\"; this version runs %s: use a newer one, or another model", m->file_name, name, wf_arch_list());
    }
    m->parameters = wf_gguf_parameters(gguf);
    WF_TRY(m->arch->configure(gguf, &m->arena, &m->config, &m->input, err));
    WF_TRY(read_image(m, err));
    WF_TRY(read_taps(m, err));
    WF_TRY(read_bare_norms(m, err));
    m->labels = wf_gguf_find(gguf, "wf.labels");
    if (m->labels != NULL && (m->labels->type != WF_GGUF_ARRAY || m->labels->element != WF_GGUF_STRING)) {
        m->labels = NULL;
    }
    return plan_recommended(m, err);
}

static wf_status feed(wf_model *m, const uint8_t *bytes, size_t n, wf_error *err) {
    while (n > 0) {
        size_t used = 0;
        const wf_gguf *header = NULL;
        if (m->gguf != NULL && !m->files.full && !m->reserved) {
            WF_TRY(wf_weights_reserve(&m->weights, err));
            m->reserved = true;
        }
        WF_TRY(wf_files_feed(m, bytes, n, &used, &header, err));
        if (m->gguf != NULL) {
            wf_loader_admit(m, wf_files_verified(&m->files));
        } else if (header != NULL) {
            WF_TRY(header_arrived(m, header, err));
        }
        bytes += used;
        n -= used;
    }
    return WF_OK;
}

/* Every call of a failed model repeats its first failure. */
static wf_status answer(const wf_model *m, wf_error *err) {
    return m->error.code == WF_OK ? WF_OK
                                  : wf_fail(err, m->error.code, m->error.where, m->error.offset, "%s", m->error.text);
}

wf_status wf_model_digest(wf_model *m, const uint8_t digest[32], wf_error *err) {
    if (m->error.code == WF_OK && wf_integrity_digest(&m->files.list[m->files.current]->integrity, digest, &m->error) == WF_OK) {
        wf_loader_admit(m, wf_files_verified(&m->files));
    }
    return answer(m, err);
}

wf_status wf_model_feed(wf_model *m, const void *bytes, size_t n, wf_error *err) {
    if (m->error.code == WF_OK) {
        feed(m, bytes, n, &m->error);
    }
    return answer(m, err);
}

uint32_t wf_model_files(const wf_model *m) { return m->files.count; }

bool wf_model_wants_next(const wf_model *m) { return m->files.full; }

wf_status wf_model_next(wf_model *m, uint32_t index, const char *name, uint64_t file_bytes, wf_error *err) {
    if (m->error.code == WF_OK && wf_files_next(m, index, name, file_bytes, &m->error) == WF_OK && m->gguf != NULL) {
        wf_loader_admit(m, wf_files_verified(&m->files));
    }
    return answer(m, err);
}

wf_status wf_model_finish(wf_model *m, wf_error *err) {
    if (m->error.code == WF_OK && wf_files_finish(m, &m->error) == WF_OK && !m->reserved) {
        m->reserved = wf_weights_reserve(&m->weights, &m->error) == WF_OK;
    }
    if (m->error.code == WF_OK) {
        wf_loader_admit(m, wf_files_verified(&m->files));
    }
    m->complete = m->error.code == WF_OK;
    return answer(m, err);
}

bool wf_model_has_header(const wf_model *m) { return m->gguf != NULL && m->error.code == WF_OK; }

bool wf_model_is_complete(const wf_model *m) { return m->complete; }

uint64_t wf_model_position(const wf_model *m) { return wf_files_position(&m->files); }

uint64_t wf_model_total_bytes(const wf_model *m) { return m->gguf != NULL ? wf_files_total(&m->files) : 0; }

/* As much as is true of every file. */
const char *wf_model_verified(const wf_model *m) {
    bool all = m->files.opened == m->files.count, chunks = all;
    for (uint32_t i = 0; i < m->files.opened; i++) {
        wf_trust trust = m->files.list[i]->integrity.trust;
        all &= trust != WF_TRUST_NONE;
        chunks &= trust == WF_TRUST_CHUNKS;
    }
    return chunks ? "chunks" : all ? "file" : "none";
}

const char *wf_model_integrity(const wf_model *m) {
    bool whole = m->files.count == 1 || (m->gguf != NULL && wf_gguf_find(m->gguf, WF_PARTS_KEY) != NULL);
    const char *header = m->files.list[0]->integrity.header;
    return whole && header[0] != '\0' ? header : NULL;
}

uint64_t wf_model_chunks(const wf_model *m) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < m->files.opened; i++) {
        count += m->files.list[i]->integrity.count;
    }
    return count;
}

uint64_t wf_model_chunks_at(const wf_model *m) {
    const wf_integrity *x = &m->files.list[0]->integrity;
    return m->files.count == 1 && x->count != 0 ? x->data_start : 0;
}

wf_status wf_model_get_info(const wf_model *m, wf_model_info *out) {
    memset(out, 0, sizeof *out);
    if (!wf_model_has_header(m)) {
        return WF_E_STATE;
    }
    out->architecture = m->arch->name;
    out->name = wf_gguf_get_string(m->gguf, "general.name");
    out->license = wf_gguf_get_string(m->gguf, "general.license");
    out->source = wf_gguf_get_string(m->gguf, "wf.source");
    out->file_type = wf_gguf_get_string(m->gguf, "wf.type");
    out->parameters = m->parameters;
    out->weight_bytes = wf_weights_bytes(&m->weights);
    out->activation_bytes = m->activation_bytes;
    out->cost = m->cost;
    out->channels = m->input.channels;
    out->height = m->input.height;
    out->width = m->input.width;
    out->vocabulary = m->input.vocabulary;
    out->context = m->input.context;
    out->classes = m->labels != NULL && m->labels->count <= UINT32_MAX ? (uint32_t)m->labels->count : 0;
    out->tap_count = m->tap_count;
    out->nodes = m->nodes;
    out->norm_nodes = m->norm_nodes;
    return WF_OK;
}

const char *wf_model_label(const wf_model *m, uint32_t index) {
    return m->labels != NULL && index < m->labels->count ? wf_gguf_item_string(m->labels, index) : NULL;
}

const char *wf_model_tap(const wf_model *m, uint32_t index) {
    return index < m->tap_count ? m->taps[index].source : NULL;
}

const wf_image_params *wf_model_image(const wf_model *m) { return m->has_image ? &m->image : NULL; }

const wf_gguf *wf_model_metadata(const wf_model *m) { return m->gguf; }

wf_backend wf_model_backend(const wf_model *m) { return m->options.backend; }

bool wf_model_int8_rows(const wf_model *m) {
    bool any = false;
    for (uint32_t i = 0; i < m->weights.count; i++) {
        const wf_weight_entry *e = &m->weights.entries[i];
        any |= e->role == WF_ROLE_MATRIX && (e->stored.type == WF_Q8_0 || e->stored.type == WF_I8) && m->weights.int8_rows;
    }
    return any;
}
