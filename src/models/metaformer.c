/* PoolFormer and the MetaFormer baselines (arXiv 2111.11418; sail-sg/poolformer models/poolformer.py and metaformer.py).

   Four-stage pyramid: [stem conv] → stage 0 → [down conv, position] → stage 1 → … → head, or with `head = features` one normalised
   map per stage (dense prediction). A stage is blocks of x + s1·mixer(norm1 x), x + s2·mlp(norm2 x).

   Keys under the architecture's name (arrays have one item a stage):
     block_count, embedding_length, feed_forward_length, mixer, downsample, position.height, position.width  arrays
     stem.kernel, stem.stride, stem.padding, downsample.kernel, downsample.stride, downsample.padding
     norm, norm_epsilon, layer_scale, pool_size, attention.head_dim, attention.qkv_bias
     head (norm_pool, pool_norm, features), head.norm, head.norm_epsilon, class_count
     input.channels, input.height, input.width */
#include <string.h>

#include "models/models.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 256, MAX_WIDTH = 1 << 16 };

typedef struct config {
    uint32_t stages;
    uint32_t blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES];
    uint32_t down[MAX_STAGES]; /* 1 = a downsampling convolution in front of the stage */
    uint32_t position_h[MAX_STAGES], position_w[MAX_STAGES]; /* 0 = no table */
    wf_mixer mixer[MAX_STAGES];
    wf_conv stem, downsample; /* out_channels is filled per stage */
    wf_norm_slot norm;
    bool layer_scale;
    bool features;
    wf_head head;
    uint32_t channels;
} config;

wf_status wf_metaformer_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err);
void wf_metaformer_build(wf_graph *g, const void *cfg, const wf_input_class *in);

static wf_conv read_conv(wf_meta *m, const char *kernel, const char *stride, const char *padding) {
    wf_conv c;
    c.out_channels = 0;
    c.bias = true;
    c.kernel = wf_meta_u32(m, kernel, 1, 64);
    c.stride = wf_meta_u32(m, stride, 1, 64);
    c.pad = wf_meta_u32(m, padding, 0, 63);
    return c;
}

static void read_mixers(wf_meta *m, config *c) {
    const char *names[MAX_STAGES] = {NULL};
    if (wf_meta_strings(m, "mixer", c->stages, names) == 0) {
        return;
    }
    uint32_t head_dim = 0;
    for (uint32_t s = 0; s < c->stages; s++) {
        int kind = wf_mixer_kind_of(names[s]);
        if (kind < 0) {
            wf_meta_fail(m, "mixer", "names a mixer that this version does not have");
            return;
        }
        wf_mixer *x = &c->mixer[s];
        x->kind = (wf_mixer_kind)kind;
        if (kind == WF_MIXER_POOL) {
            x->pool_size = wf_meta_u32(m, "pool_size", 1, 63);
            if (x->pool_size % 2 == 0) {
                wf_meta_fail(m, "pool_size", "is even; only odd windows have a centre");
            }
        }
        if (kind == WF_MIXER_ATTENTION) {
            head_dim = wf_meta_u32(m, "attention.head_dim", 1, MAX_WIDTH);
            x->head_dim = head_dim;
            x->heads = c->width[s] / head_dim; /* as the official code: a remainder is not attended */
            x->qkv_bias = wf_meta_bool(m, "attention.qkv_bias");
            if (x->heads == 0) {
                wf_meta_fail(m, "attention.head_dim", "is larger than the width of a stage");
            }
        }
    }
}

wf_status wf_metaformer_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input,
                                  wf_error *err) {
    wf_meta meta = {gguf, wf_gguf_get_string(gguf, "general.architecture"), err, WF_OK}, *m = &meta;
    config *c = wf_arena_alloc(arena, sizeof *c);
    if (c == NULL) {
        return wf_fail(err, WF_E_MEMORY, "metadata", -1, "no memory for the model's configuration");
    }
    c->stages = wf_meta_u32s(m, "block_count", 0, MAX_STAGES, 1, MAX_BLOCKS, c->blocks);
    wf_meta_u32s(m, "embedding_length", c->stages, MAX_STAGES, 1, MAX_WIDTH, c->width);
    wf_meta_u32s(m, "feed_forward_length", c->stages, MAX_STAGES, 1, MAX_WIDTH * 8, c->hidden);
    wf_meta_u32s(m, "downsample", c->stages, MAX_STAGES, 0, 1, c->down);
    wf_meta_u32s(m, "position.height", c->stages, MAX_STAGES, 0, 4096, c->position_h);
    wf_meta_u32s(m, "position.width", c->stages, MAX_STAGES, 0, 4096, c->position_w);
    if (m->status != WF_OK) {
        return m->status;
    }
    read_mixers(m, c);
    c->stem = read_conv(m, "stem.kernel", "stem.stride", "stem.padding");
    c->downsample = read_conv(m, "downsample.kernel", "downsample.stride", "downsample.padding");
    c->norm = wf_meta_norm(m, "norm", "norm_epsilon");
    c->layer_scale = wf_meta_bool(m, "layer_scale");
    const char *head = wf_meta_string(m, "head");
    c->features = strcmp(head, "features") == 0;
    if (!c->features) {
        int kind = wf_head_kind_of(head);
        if (kind < 0) {
            wf_meta_fail(m, "head", "names a head that this version does not have");
        } else {
            c->head.kind = (wf_head_kind)kind;
        }
        c->head.classes = wf_meta_u32(m, "class_count", 0, 1 << 20);
    }
    c->head.norm = wf_meta_norm(m, "head.norm", "head.norm_epsilon");
    c->channels = wf_meta_u32(m, "input.channels", 1, 1024);
    input->name = "input";
    input->channels = c->channels;
    input->height = wf_meta_u32(m, "input.height", 1, 1 << 15);
    input->width = wf_meta_u32(m, "input.width", 1, 1 << 15);
    *out = c;
    return m->status;
}

static wf_id build_stage(wf_graph *g, wf_id x, const config *c, uint32_t s) {
    uint32_t stage = wf_graph_enter(g, "stage.%u", s);
    wf_block block = {.norm1 = c->norm, .norm2 = c->norm, .mixer = c->mixer[s], .hidden = c->hidden[s], .layer_scale = c->layer_scale};
    if (s > 0 && c->down[s]) {
        wf_conv down = c->downsample;
        down.out_channels = c->width[s];
        x = wf_stem_conv(g, x, "down", &down); /* [n, h/2, w/2, c_s] */
    }
    if (c->position_h[s] != 0) {
        x = wf_stem_position(g, x, c->position_h[s], c->position_w[s]);
    }
    for (uint32_t b = 0; b < c->blocks[s]; b++) {
        uint32_t blk = wf_graph_enter(g, "blk.%u", b);
        x = wf_block_build(g, x, &block);
        wf_graph_scope_output(g, x);
        wf_graph_leave(g, blk);
    }
    wf_graph_scope_output(g, x);
    wf_graph_leave(g, stage);
    return x;
}

void wf_metaformer_build(wf_graph *g, const void *cfg, const wf_input_class *in) {
    static const char *const names[MAX_STAGES] = {"output0", "output1", "output2", "output3",
                                                  "output4", "output5", "output6", "output7"};
    const config *c = cfg;
    wf_shape picture = {in->n, in->h, in->w, c->channels, WF_LAYOUT_NCHW};
    wf_id x = wf_graph_input(g, "input", picture);
    wf_conv stem = c->stem;
    stem.out_channels = c->width[0];
    x = wf_stem_conv(g, x, "stem", &stem);
    for (uint32_t s = 0; s < c->stages; s++) {
        x = build_stage(g, x, c, s);
        if (c->features) {
            uint32_t mark = wf_graph_enter(g, "stage.%u", s);
            bool raw = wf_graph_stored_rows(g, "out_norm.weight") == 0; /* detection backbones may skip the first */
            wf_graph_output(g, names[s], "nchw", raw ? x : wf_norm(g, x, "out_norm", c->head.norm));
            wf_graph_leave(g, mark);
        }
    }
    if (!c->features) {
        wf_head_build(g, x, &c->head);
    }
}
