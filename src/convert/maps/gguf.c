/* A GGUF file of our own as the source: to store it as another type or to rewrite its norms. Names, order, taps, labels and
   metadata are taken over; what belongs to the old bytes (self-test, hashes, padding) is made anew. */
#include <string.h>

#include "convert/mapping.h"
#include "models/models.h"

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* The architecture's own keys are taken over, and what describes the model; the rest is made anew by the writer for its bytes. */
static bool is_taken_over(const wf_mapping *m, const char *key) {
    static const char *const made[] = {"general.architecture", "general.type", "general.name", "general.license", "general.alignment",
                                       "general.file_type", "general.quantization_version"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        if (strcmp(key, made[i]) == 0) {
            return false;
        }
    }
    size_t n = strlen(m->architecture);
    static const char *const meaning[] = {"wf.outputs", "wf.grid", "wf.scores", "wf.threshold"}; /* runtime/meaning.c */
    for (size_t i = 0; i < sizeof meaning / sizeof meaning[0]; i++) {
        if (strcmp(key, meaning[i]) == 0) {
            return true;
        }
    }
    return begins(key, "general.") || begins(key, "tokenizer.") || (begins(key, m->architecture) && key[n] == '.');
}

static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

/* A Swin's norms by stage (models/swin.c). */
static wf_status write_norms(const wf_mapping *m, const wf_gguf_kv *kv, wf_gguf_writer *w, wf_error *err) {
    const char *key = kv->key.text, *names[10], *text = wf_gguf_get_string(m->source->gguf, key);
    if (text != NULL) {
        const char *node = ends(key, ".stem.norm") ? "stem_norm" : ends(key, ".down.norm") ? "stage.1.down.norm" : "norm";
        return wf_gguf_add_string(w, key, wf_map_norm_of(m, node, text), err);
    }
    if (kv->count > 10) {
        return wf_fail(err, WF_E_FORMAT, key, -1, "%s lists too many norms", key);
    }
    for (uint64_t s = 0; s < kv->count; s++) {
        char node[] = "stage.0.blk.0.norm1";
        node[6] = (char)('0' + s);
        names[s] = wf_map_norm_of(m, node, wf_gguf_item_string(kv, s));
    }
    return wf_gguf_add_array(w, key, WF_GGUF_STRING, names, kv->count, err);
}

/* The architecture's own keys, as a rewrite of norms leaves them. */
static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    const wf_gguf *g = m->source->gguf;
    for (uint64_t i = 0; i < g->kv_count; i++) {
        const wf_gguf_kv *kv = &g->kvs[i];
        const char *key = kv->key.text;
        if (!is_taken_over(m, key)) {
            continue;
        }
        if (m->norms_by_stage && ends(key, ".norm")) {
            WF_TRY(write_norms(m, kv, w, err));
        } else if (m->norms_by_stage && ends(key, ".qkv_bias")) {
            WF_TRY(wf_gguf_add_kv(w, kv, err)); /* false: where the file has one */
        } else if (m->change.norm != NULL && ends(key, ".norm") && kv->type == WF_GGUF_STRING) {
            WF_TRY(wf_gguf_add_string(w, key, wf_map_norm_now(m, wf_gguf_get_string(g, key)), err));
        } else if (m->change.scales_folded && ends(key, ".layer_scale")) {
            WF_TRY(wf_gguf_add_bool(w, key, false, err));
        } else if (m->change.biases_made && ends(key, ".qkv_bias")) {
            WF_TRY(wf_gguf_add_bool(w, key, true, err));
        } else {
            WF_TRY(wf_gguf_add_kv(w, kv, err));
        }
    }
    return WF_OK;
}

static void copy_list(wf_mapping *m, const char *key, wf_map_list *list) {
    const wf_gguf_kv *kv = wf_gguf_find(m->source->gguf, key);
    for (uint64_t i = 0; kv != NULL && kv->type == WF_GGUF_ARRAY && kv->element == WF_GGUF_STRING && i < kv->count; i++) {
        wf_map_list_add(m, list, wf_gguf_item_string(kv, i));
    }
}

/* Which 2-D tensors are tables (they stay F32) is known to the model's code; a table is what is called position or prefix. */
static wf_map_kind kind_of(const wf_source_tensor *t) {
    return t->n_dims == 1 ? WF_MAP_VECTOR
           : strcmp(t->name, "token_embd.weight") == 0 ? WF_MAP_LOOKUP
           : ends(t->name, "position.weight") || ends(t->name, "prefix.weight") || ends(t->name, "window.weight") ? WF_MAP_TABLE_ROWS
                                                                                   : WF_MAP_LINEAR;
}

static void read_image(wf_mapping *m) {
    static const char *const names[] = {"nearest", "bilinear", "bicubic"};
    const wf_gguf *g = m->source->gguf;
    const wf_gguf_kv *mean = wf_gguf_find(g, "wf.image.mean"), *std = wf_gguf_find(g, "wf.image.std");
    const char *resample = wf_gguf_get_string(g, "wf.image.resample");
    double d;
    wf_image_params *p = &m->image;
    for (uint64_t i = 0; i < 3; i++) {
        p->mean[i] = mean != NULL && wf_gguf_item_f64(mean, i, &d) ? (float)d : 0;
        p->std[i] = std != NULL && wf_gguf_item_f64(std, i, &d) ? (float)d : 1;
        p->resample = resample != NULL && strcmp(resample, names[i]) == 0 ? (int)i : (int)p->resample;
    }
    p->crop_pct = wf_gguf_get_f64(g, "wf.image.crop_pct", &d) ? (float)d : 1;
    wf_gguf_get_bool(g, "wf.image.squash", &p->squash);
    wf_gguf_get_bool(g, "wf.image.round_long_side", &p->round_long);
}

wf_status wf_map_gguf(wf_mapping *m, bool *known) {
    const wf_gguf *g = m->source->gguf;
    const void *config;
    wf_input_spec input = {0};
    uint64_t v;
    *known = g != NULL;
    if (g == NULL) {
        return WF_OK;
    }
    const char *name = wf_gguf_get_string(g, "general.architecture");
    const wf_arch *arch = name != NULL ? wf_arch_find(name) : NULL;
    if (arch == NULL) {
        return wf_fail(m->err, WF_E_UNSUPPORTED, "general.architecture", -1,
                       "this GGUF file is of architecture \"%s\"; this version rewrites %s", name != NULL ? name : "(none)", wf_arch_list());
    }
    if (wf_gguf_find(g, "split.count") != NULL) {
        return wf_fail(m->err, WF_E_UNSUPPORTED, "split.count", -1, "this is one part of a split model; rewrite the model before it is split");
    }
    WF_TRY(arch->configure(g, m->arena, &config, &input, m->err));
    m->metadata = write_metadata;
    m->architecture = arch->name;
    m->norms_by_stage = strcmp(arch->name, "swin") == 0;
    m->family = wf_gguf_get_string(g, "wf.source");
    m->family = m->family != NULL ? m->family : "GGUF";
    m->name = wf_gguf_get_string(g, "general.name");
    m->license = wf_gguf_get_string(g, "general.license");
    m->channels = input.channels;
    m->vocabulary = input.vocabulary;
    m->context = input.context;
    m->unpadded = strcmp(arch->name, "llama") == 0;
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_source_tensor *t = wf_map_find(m, g->tensors[g->by_offset[i]].name.text);
        const wf_dtype_info *type = wf_dtype_get(g->tensors[g->by_offset[i]].type);
        if (t == NULL || type->block != 1 || g->tensors[g->by_offset[i]].type == WF_I8) {
            return wf_fail(m->err, WF_E_UNSUPPORTED, g->tensors[g->by_offset[i]].name.text, -1,
                           "tensor \"%s\" is stored as %s already: rewriting quantized weights would lose twice; start from the F32 or F16 "
                           "file, or from the checkpoint", g->tensors[g->by_offset[i]].name.text, type->name);
        }
        wf_map_tensor(m, t->name, t->name, kind_of(t), false);
    }
    read_image(m);
    m->image.height = input.height;
    m->image.width = input.width;
    copy_list(m, "wf.taps", &m->taps);
    copy_list(m, "wf.labels", &m->labels);
    copy_list(m, "wf.assumptions", &m->assumptions);
    copy_list(m, "wf.norm.bare", &m->change.bare_norms);
    m->classes = m->labels.count;
    const char *noise = wf_gguf_get_string(g, "wf.golden.input");
    m->golden_octaves = noise != NULL && strcmp(noise, WF_GOLDEN_OCTAVES) == 0;
    const wf_gguf_kv *golden = wf_gguf_find(g, "wf.golden.shape");
    m->golden_size = golden != NULL && wf_gguf_item_u64(golden, 2, &v) && v <= 4096 && v != m->image.height ? (uint32_t)v : 0;
    return m->status;
}
