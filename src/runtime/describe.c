/* The model as one JSON object: what it is, what it needs, what it offers. Read by the JavaScript API and by `inspect --json`. */
#include <string.h>

#include "format/json.h"
#include "runtime/model.h"

static void add_key(wf_text *t, const char *key) {
    wf_text_add(t, t->data[t->length - 1] == '{' ? "" : ",");
    wf_text_json_string(t, key);
    wf_text_add(t, ":");
}

static void add_text(wf_text *t, const char *key, const char *value) {
    if (value != NULL) {
        add_key(t, key);
        wf_text_json_string(t, value);
    }
}

static void add_number(wf_text *t, const char *key, double value) {
    add_key(t, key);
    wf_text_json_number(t, value);
}

static void add_floats(wf_text *t, const char *key, const float *v, int n) {
    add_key(t, key);
    for (int i = 0; i < n; i++) {
        wf_text_add(t, i == 0 ? "[" : ",");
        wf_text_json_number(t, v[i]);
    }
    wf_text_add(t, "]");
}

static void add_item(wf_text *t, const wf_gguf_kv *kv, uint64_t i) {
    double f;
    const char *s = wf_gguf_item_string(kv, i);
    if (s != NULL) {
        wf_text_json_string(t, s);
    } else if (wf_gguf_item_f64(kv, i, &f)) {
        wf_text_json_number(t, f);
    } else {
        wf_text_add(t, "null");
    }
}

static void add_metadata(wf_text *t, const wf_gguf *g) {
    for (uint64_t i = 0; i < g->kv_count; i++) {
        const wf_gguf_kv *kv = &g->kvs[i];
        if (strcmp(kv->key.text, "wf.labels") == 0 || strcmp(kv->key.text, "wf.taps") == 0 ||
            strcmp(kv->key.text, WF_CHUNKS_KEY) == 0 || strcmp(kv->key.text, WF_HEADER_KEY) == 0 ||
            strcmp(kv->key.text, WF_PARTS_KEY) == 0) {
            continue; /* given in full elsewhere */
        }
        add_key(t, kv->key.text);
        double f;
        bool b;
        const char *s = wf_gguf_get_string(g, kv->key.text);
        if (s != NULL) {
            wf_text_json_string(t, s);
        } else if (kv->type == WF_GGUF_ARRAY) {
            for (uint64_t j = 0; j < kv->count && j < 1024; j++) { /* vocabularies are not for printing */
                wf_text_add(t, j == 0 ? "[" : ",");
                add_item(t, kv, j);
            }
            wf_text_add(t, kv->count == 0 ? "[]" : "]");
        } else if (kv->type == WF_GGUF_BOOL && wf_gguf_get_bool(g, kv->key.text, &b)) {
            wf_text_add(t, b ? "true" : "false");
        } else if (wf_gguf_get_f64(g, kv->key.text, &f)) {
            wf_text_json_number(t, f);
        } else {
            wf_text_add(t, "null");
        }
    }
}

static void add_image(wf_text *t, const wf_image_params *p) {
    static const char *const names[] = {"nearest", "bilinear", "bicubic"};
    add_key(t, "image");
    wf_text_add(t, "{");
    add_number(t, "width", p->width);
    add_number(t, "height", p->height);
    add_number(t, "cropPct", p->crop_pct);
    add_text(t, "resample", names[p->resample]);
    add_floats(t, "mean", p->mean, 3);
    add_floats(t, "std", p->std, 3);
    wf_text_add(t, "}");
}

static void add_tensors(wf_text *t, const wf_gguf *g) {
    add_key(t, "tensors");
    wf_text_add(t, "[");
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *x = &g->tensors[i];
        wf_text_add(t, i == 0 ? "{" : ",{");
        add_text(t, "name", x->name.text);
        add_text(t, "type", wf_dtype_get(x->type)->name);
        add_key(t, "dims");
        for (uint32_t d = 0; d < x->n_dims; d++) {
            wf_text_add(t, d == 0 ? "[" : ",");
            wf_text_json_number(t, (double)x->dims[d]);
        }
        wf_text_add(t, x->n_dims == 0 ? "[]" : "]");
        add_number(t, "bytes", (double)x->bytes);
        wf_text_add(t, "}");
    }
    wf_text_add(t, "]");
}

char *wf_model_describe(const wf_model *m) {
    wf_model_info info;
    wf_text t;
    memset(&t, 0, sizeof t);
    if (wf_model_get_info(m, &info) != WF_OK) {
        return NULL;
    }
    wf_text_add(&t, "{");
    if (t.failed) {
        return NULL;
    }
    add_text(&t, "architecture", info.architecture);
    add_text(&t, "name", info.name);
    add_text(&t, "license", info.license);
    add_text(&t, "source", info.source);
    add_text(&t, "type", info.file_type);
    add_text(&t, "verified", wf_model_verified(m));
    add_text(&t, "integrity", wf_model_integrity(m));
    add_number(&t, "parameters", (double)info.parameters);
    add_number(&t, "fileBytes", (double)wf_model_total_bytes(m));
    add_number(&t, "weightBytes", (double)info.weight_bytes);
    add_number(&t, "activationBytes", (double)info.activation_bytes);
    add_number(&t, "multiplyAdds", (double)info.cost);
    add_number(&t, "nodes", info.nodes);
    add_number(&t, "normNodes", info.norm_nodes);
    add_key(&t, "input");
    wf_text_add(&t, "{");
    add_text(&t, "name", m->input.name);
    add_number(&t, "channels", info.channels);
    add_number(&t, "height", info.height);
    add_number(&t, "width", info.width);
    if (info.vocabulary != 0) {
        add_number(&t, "vocabulary", info.vocabulary);
        add_number(&t, "context", info.context);
    }
    wf_text_add(&t, "}");
    if (m->has_image) {
        add_image(&t, &m->image);
    }
    add_text(&t, "scores", wf_model_scores(m) == WF_SCORES_SIGMOID ? "sigmoid" : "softmax");
    add_number(&t, "threshold", (double)wf_model_threshold(m));
    add_key(&t, "outputs");
    wf_text_add(&t, "[");
    for (uint32_t i = 0; m->outputs != NULL && i < m->outputs->count; i++) {
        wf_text_add(&t, i == 0 ? "" : ",");
        add_item(&t, m->outputs, i);
    }
    wf_text_add(&t, "]");
    add_key(&t, "labels");
    wf_text_add(&t, "[");
    for (uint32_t i = 0; i < info.classes; i++) {
        wf_text_add(&t, i == 0 ? "" : ",");
        add_item(&t, m->labels, i);
    }
    wf_text_add(&t, "]");
    add_key(&t, "taps");
    wf_text_add(&t, "[");
    for (uint32_t i = 0; i < m->tap_count; i++) {
        wf_text_add(&t, i == 0 ? "" : ",");
        wf_text_json_string(&t, m->taps[i].source);
    }
    wf_text_add(&t, "]");
    add_key(&t, "metadata");
    wf_text_add(&t, "{");
    add_metadata(&t, m->gguf);
    wf_text_add(&t, "}");
    add_tensors(&t, m->gguf);
    wf_text_add(&t, "}");
    if (t.failed) {
        wf_text_free(&t);
        return NULL;
    }
    return t.data;
}
