/* Fuzz target of the config reader: a bare constructor object, a golden's JSON or an HF config.json, and, behind a zero byte, a
   preprocessor_config.json, against the tensor names of the three source libraries (the first byte chooses). What is read is
   mapped as convert does it, up to the metadata of the file; nothing is computed. A failure must come with a sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/mapping.h"
#include "format/gguf.h"

typedef struct table {
    wf_source source;
    wf_source_tensor tensors[96];
    char names[96][80];
} table;

static void add(table *t, const char *name, uint32_t n_dims, uint64_t a, uint64_t b, uint64_t k) {
    uint64_t i = t->source.tensor_count++;
    wf_source_tensor *x = &t->tensors[i];
    const uint64_t dims[4] = {a, b, k, k};
    snprintf(t->names[i], sizeof t->names[i], "%s", name);
    x->name = t->names[i];
    x->type = WF_F32;
    x->n_dims = n_dims;
    x->elements = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
        x->dims[d] = dims[d];
        x->elements *= dims[d];
    }
}

static void pair(table *t, const char *name, uint32_t n_dims, uint64_t a, uint64_t b, uint64_t k) {
    char full[80];
    snprintf(full, sizeof full, "%s.weight", name);
    add(t, full, n_dims, a, b, k);
    snprintf(full, sizeof full, "%s.bias", name);
    add(t, full, 1, a, 1, 1);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const wf_source_tensor *)a)->name, ((const wf_source_tensor *)b)->name);
}

/* norm, first and second layer of the channel MLP, scale, each twice */
static const char *const words[3][6] = {
    {"norm1", "mlp.fc1", "layer_scale_1", "norm2", "mlp.fc2", "layer_scale_2"},
    {"norm1", "mlp.fc1", "layer_scale1.scale", "norm2", "mlp.fc2", "layer_scale2.scale"},
    {"before_norm", "output.conv1", "layer_scale_1", "after_norm", "output.conv2", "layer_scale_2"}};

static void block(table *t, const char *prefix, int library, uint64_t c) {
    char name[80];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s.%s", prefix, words[library][3 * i]);
        pair(t, name, 1, c, 1, 1);
        snprintf(name, sizeof name, "%s.%s", prefix, words[library][3 * i + 1]);
        pair(t, name, 4, i == 0 ? 4 * c : c, i == 0 ? c : 4 * c, 1);
        snprintf(name, sizeof name, "%s.%s", prefix, words[library][3 * i + 2]);
        add(t, name, 1, c, 1, 1);
    }
}

/* kind 3: sail-sg's MetaFormer with attention in the second stage */
static void build(table *t, int kind) {
    int library = kind % 3;
    static const char *const stems[] = {"patch_embed.proj", "stem.conv", "poolformer.encoder.patch_embeddings.0.projection"};
    static const char *const downs[] = {"network.1.proj", "stages.1.downsample.conv", "poolformer.encoder.patch_embeddings.1.projection"};
    static const char *const blocks[] = {"network.%d.0", "stages.%d.blocks.0", "poolformer.encoder.block.%d.0"};
    static const char *const heads[] = {"head", "head.fc", "classifier"};
    memset(t, 0, sizeof *t);
    pair(t, stems[library], 4, 8, 3, 7);
    pair(t, downs[library], 4, 12, 8, 3);
    for (int s = 0; s < 2; s++) {
        char prefix[80];
        snprintf(prefix, sizeof prefix, blocks[library], library == 0 ? 2 * s : s);
        block(t, prefix, library, s == 0 ? 8 : 12);
    }
    if (kind == 3) {
        add(t, "network.2.0.token_mixer.qkv.weight", 2, 36, 12, 1);
        pair(t, "network.2.0.token_mixer.proj", 2, 12, 12, 1);
    }
    pair(t, library == 1 ? "head.norm" : library == 2 ? "poolformer.norm" : "norm", 1, 12, 1, 1);
    pair(t, heads[library], 2, 10, 12, 1);
    qsort(t->tensors, (size_t)t->source.tensor_count, sizeof t->tensors[0], by_name);
    static uint32_t order[96];
    for (uint32_t i = 0; i < t->source.tensor_count; i++) {
        order[i] = i;
    }
    t->source.tensors = t->tensors;
    t->source.by_name = order;
    t->source.container = "fuzz";
}

static wf_status map_all(wf_mapping *m, const wf_convert_options *o, wf_gguf_writer *w) {
    bool known = false;
    WF_TRY(wf_map_read_config(m, o));
    WF_TRY(wf_map_poolformer(m, &known));
    if (known) {
        wf_map_labels(m);
        wf_map_name_ignored(m);
        WF_TRY(m->status);
        WF_TRY(m->metadata(m, w, m->err));
    }
    return WF_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static table t;
    if (size == 0) {
        return 0;
    }
    build(&t, data[0] % 4);
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    const char *zero = memchr(text, 0, size - 1);
    size_t config = zero != NULL ? (size_t)(zero - text) : size - 1;
    wf_convert_options o;
    memset(&o, 0, sizeof o);
    o.config = text;
    o.config_bytes = config;
    o.config_name = "config.json";
    if (zero != NULL) {
        o.preprocessor = zero + 1;
        o.preprocessor_bytes = size - 2 - config;
    }
    wf_arena arena;
    wf_mapping m;
    wf_error err;
    wf_gguf_writer *w = NULL;
    wf_arena_init(&arena);
    wf_error_clear(&err);
    memset(&m, 0, sizeof m);
    m.arena = &arena;
    m.source = &t.source;
    m.err = &err;
    m.used = wf_arena_alloc(&arena, (size_t)t.source.tensor_count + 1);
    wf_gguf_writer_create(&w, &err);
    wf_status status = map_all(&m, &o, w);
    if (status != WF_OK && (err.code != status || err.text[0] == '\0')) {
        abort();
    }
    wf_gguf_writer_free(w);
    wf_arena_free(&arena);
    free(text);
    return 0;
}
