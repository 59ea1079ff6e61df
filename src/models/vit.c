/* ViT and DeiT (arXiv 2010.11929, 2012.12877; timm vision_transformer.py and deit.py, transformers modeling_vit.py and
   modeling_deit.py): a patch convolution without overlap, class / distillation / register tokens, positions, Pre-LN blocks of
   self-attention and MLP, and a head on a token or on the mean of the patches.

   Keys under "vit.":
     block_count, embedding_length, feed_forward_length, patch_size
     mixer              "attention" (also where the key is absent) or "sla" with attention.window (SLAB)
     attention.head_count, attention.qkv_bias, attention.qk_norm, attention.qk_norm_epsilon
     norm, norm_epsilon, norm.placement, norm.depth_scaling (models.h), layer_scale
     stem.norm          of the tokens with their positions; absent: none
     prefix_tokens      rows in front of the patches: class, distillation, registers
     position           "all" (rows of the prefix too), "grid" (patches only) or "none"; position.height, position.width,
                        position.resample ("bicubic", "bicubic_antialias", "bilinear")
     head               "norm_pool", "pool_norm", "distilled", "concat" or "tasks"; pool "token" (row 0) or "mean" (rows behind the
                        prefix)
     head.norm, head.norm_epsilon, class_count, input.channels, input.height, input.width
     concat             head.hidden_length
     tasks              head.tasks, a list of "project", "rotate", "reconstruct", "position" in the order of the outputs;
                        project.token, project.layers, project.hidden_length, project.length; rotate.token; reconstruct.layers;
                        position.count (tokens are rows of the prefix) */
#include <string.h>

#include "models/models.h"

enum { MAX_BLOCKS = 96, MAX_WIDTH = 1 << 16 }; /* two names a block for taps: see WF_MAX_ALIASES */

typedef struct config {
    uint32_t blocks, patch, channels;
    uint32_t width;
    wf_norm_slot norms[MAX_BLOCKS][2], stem_norm;
    wf_block block;
    wf_tokens tokens;
    wf_head head;
    wf_tasks tasks;
} config;

wf_status wf_vit_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err);
void wf_vit_build(wf_graph *g, const void *cfg, const wf_input_class *in);

/* The index of a text value among `names`; 0 and an error when it is none of them. */
static uint32_t choose(wf_meta *m, const char *key, const char *const *names, uint32_t count) {
    const char *text = wf_meta_string(m, key);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], text) == 0) {
            return i;
        }
    }
    wf_meta_fail(m, key, "names something that this version does not have");
    return 0;
}

static void read_mixer(wf_meta *m, wf_mixer *mixer) {
    int kind = !wf_meta_has(m, "mixer") ? WF_MIXER_ATTENTION : wf_mixer_kind_of(wf_meta_string(m, "mixer"));
    mixer->kind = kind == WF_MIXER_SLA ? WF_MIXER_SLA : WF_MIXER_ATTENTION;
    if (kind != WF_MIXER_ATTENTION && kind != WF_MIXER_SLA) {
        wf_meta_fail(m, "mixer", "is neither \"attention\" nor \"sla\"");
    }
    if (kind == WF_MIXER_SLA) {
        mixer->kernel = wf_meta_u32(m, "attention.window", 1, 31);
    }
}

static void read_block(wf_meta *m, config *c) {
    wf_block *b = &c->block;
    c->width = wf_meta_u32(m, "embedding_length", 1, MAX_WIDTH);
    b->hidden = wf_meta_u32(m, "feed_forward_length", 1, MAX_WIDTH * 8);
    wf_meta_block_norms(m, c->blocks, c->norms);
    if (wf_meta_has(m, "stem.norm")) {
        c->stem_norm = wf_meta_norm(m, "stem.norm", "norm_epsilon");
    }
    b->layer_scale = wf_meta_bool(m, "layer_scale");
    read_mixer(m, &b->mixer);
    b->mixer.heads = wf_meta_u32(m, "attention.head_count", 1, MAX_WIDTH);
    b->mixer.qkv_bias = wf_meta_bool(m, "attention.qkv_bias");
    b->mixer.qk_norm = wf_meta_bool(m, "attention.qk_norm");
    if (b->mixer.qk_norm) {
        b->mixer.qk_eps = wf_meta_f32(m, "attention.qk_norm_epsilon", 1e-12f, 1e-1f);
    }
    if (m->status == WF_OK && c->width % b->mixer.heads != 0) {
        wf_meta_fail(m, "attention.head_count", "does not divide the width");
    }
    b->mixer.head_dim = m->status == WF_OK ? c->width / b->mixer.heads : 1;
}

static void read_tokens(wf_meta *m, wf_tokens *t) {
    static const char *const kinds[] = {"none", "all", "grid"}, *const rules[] = {"bicubic", "bicubic_antialias", "bilinear"};
    t->prefix = wf_meta_u32(m, "prefix_tokens", 0, 1024);
    t->position = (wf_position_kind)choose(m, "position", kinds, 3);
    if (t->position != WF_POSITION_NONE) {
        t->grid_h = wf_meta_u32(m, "position.height", 1, 4096);
        t->grid_w = wf_meta_u32(m, "position.width", 1, 4096);
        t->resample = (wf_position_resample)choose(m, "position.resample", rules, 3);
    }
}

static void read_head(wf_meta *m, const wf_tokens *t, wf_head *head) {
    static const char *const pools[] = {"token", "mean"};
    int kind = wf_head_kind_of(wf_meta_string(m, "head"));
    if (kind < 0) {
        wf_meta_fail(m, "head", "names a head that this version does not have");
        return;
    }
    head->kind = (wf_head_kind)kind;
    head->norm = wf_meta_norm(m, "head.norm", "head.norm_epsilon");
    head->classes = wf_meta_u32(m, "class_count", 0, 1 << 20);
    bool mean = choose(m, "pool", pools, 2) == 1;
    head->first = mean ? t->prefix : 0;
    head->count = mean ? 0 : 1;
    head->hidden = kind == WF_HEAD_CONCAT ? wf_meta_u32(m, "head.hidden_length", 1, MAX_WIDTH) : 0;
    bool token = kind == WF_HEAD_CONCAT || (!mean && kind != WF_HEAD_TASKS);
    if (m->status == WF_OK && ((token && t->prefix == 0) || (kind == WF_HEAD_DISTILLED && (t->prefix < 2 || head->classes == 0)))) {
        wf_meta_fail(m, "head", "reads a token that prefix_tokens does not give");
    }
    if (m->status == WF_OK && kind == WF_HEAD_CONCAT && !mean) {
        wf_meta_fail(m, "pool", "is not \"mean\", as \"concat\" needs");
    }
}

static uint32_t read_token(wf_meta *m, const char *key, uint32_t prefix) {
    uint32_t row = wf_meta_u32(m, key, 0, 1024);
    if (m->status == WF_OK && row >= prefix) {
        wf_meta_fail(m, key, "reads a token that prefix_tokens does not give");
    }
    return row;
}

static void read_tasks(wf_meta *m, config *c) {
    wf_tasks *t = &c->tasks;
    const char *names[WF_TASK_COUNT];
    bool has[WF_TASK_COUNT] = {false};
    uint32_t count = wf_meta_strings_most(m, "head.tasks", WF_TASK_COUNT, names);
    for (uint32_t i = 0; i < count; i++) {
        int kind = wf_task_kind_of(names[i]);
        if (kind < 0 || has[kind]) {
            wf_meta_fail(m, "head.tasks", "names something that this version does not have");
            return;
        }
        has[kind] = true;
        t->list[t->count++] = (wf_task_kind)kind;
    }
    t->prefix = c->tokens.prefix;
    t->patch = c->patch;
    t->channels = c->channels;
    if (has[WF_TASK_PROJECT]) {
        t->project_token = read_token(m, "project.token", t->prefix);
        t->project_layers = wf_meta_u32(m, "project.layers", 1, 16);
        t->project_hidden = wf_meta_u32(m, "project.hidden_length", 1, MAX_WIDTH);
        t->project_length = wf_meta_u32(m, "project.length", 1, MAX_WIDTH);
    }
    t->rotate_token = has[WF_TASK_ROTATE] ? read_token(m, "rotate.token", t->prefix) : 0;
    t->reconstruct_layers = has[WF_TASK_RECONSTRUCT] ? wf_meta_u32(m, "reconstruct.layers", 0, 16) : 0;
    t->places = has[WF_TASK_POSITION] ? wf_meta_u32(m, "position.count", 1, MAX_WIDTH) : 0;
}

wf_status wf_vit_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err) {
    wf_meta meta = {gguf, "vit", err, WF_OK}, *m = &meta;
    config *c = wf_arena_alloc(arena, sizeof *c);
    if (c == NULL) {
        return wf_fail(err, WF_E_MEMORY, "metadata", -1, "no memory for the model's configuration");
    }
    c->blocks = wf_meta_u32(m, "block_count", 1, MAX_BLOCKS);
    c->patch = wf_meta_u32(m, "patch_size", 1, 256);
    read_block(m, c);
    read_tokens(m, &c->tokens);
    read_head(m, &c->tokens, &c->head);
    c->channels = wf_meta_u32(m, "input.channels", 1, 1024);
    if (m->status == WF_OK && c->head.kind == WF_HEAD_TASKS) {
        read_tasks(m, c);
    }
    input->name = "input";
    input->channels = c->channels;
    input->height = wf_meta_u32(m, "input.height", 1, 1 << 15);
    input->width = wf_meta_u32(m, "input.width", 1, 1 << 15);
    *out = c;
    return m->status;
}

void wf_vit_build(wf_graph *g, const void *cfg, const wf_input_class *in) {
    const config *c = cfg;
    wf_shape picture = {in->n, in->h, in->w, c->channels, WF_LAYOUT_NCHW};
    wf_id x = wf_graph_input(g, "input", picture);
    if (in->h % c->patch != 0 || in->w % c->patch != 0) {
        wf_graph_fail(g, WF_E_SHAPE, "input", "a picture of %u × %u is no whole number of %u × %u patches; resize it to multiples of %u",
                      in->h, in->w, c->patch, c->patch, c->patch);
        return;
    }
    wf_conv stem = {c->width, c->patch, c->patch, 0, wf_graph_stored_rows(g, "stem.bias") != 0};
    x = wf_stem_conv(g, x, "stem", &stem); /* [n, h/p, w/p, width] */
    x = wf_stem_tokens(g, x, &c->tokens);  /* [n, prefix + h/p·w/p, width] */
    x = wf_norm(g, x, "stem_norm", c->stem_norm);
    for (uint32_t b = 0; b < c->blocks; b++) {
        uint32_t mark = wf_graph_enter(g, "blk.%u", b);
        wf_block block = c->block;
        block.norm1 = c->norms[b][0];
        block.norm2 = c->norms[b][1];
        x = wf_block_build(g, x, &block);
        wf_graph_scope_output(g, x);
        wf_graph_leave(g, mark);
    }
    wf_tasks tasks = c->tasks;
    wf_head head = c->head;
    tasks.map_h = in->h / c->patch;
    tasks.map_w = in->w / c->patch;
    head.tasks = &tasks;
    wf_head_build(g, x, &head);
}
