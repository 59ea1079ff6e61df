/* PVT (arXiv 2102.12122; whai362/PVT classification/pvt.py, transformers modeling_pvt.py), PVT-v2 (arXiv 2106.13797; pvt_v2.py, timm
   pvt_v2.py, transformers modeling_pvt_v2.py) and SLAB's forms of both (arXiv 2405.11582; slab_pvt.py, slab_pvt_v2.py): stages of a patch
   convolution, its norm, positions (PVT) and Pre-LN blocks whose attention reads a reduced map; PVT-v2's convolutions overlap, its MLP
   has a depthwise one, and a norm ends each stage. CSwin (arXiv 2107.00652; Microsoft's cswin.py, SLAB's slab_cswin.py) is the same
   pyramid with overlapping convolutions: half of a block's heads sees columns of the map and the other half rows, or late in the network
   all heads all of it, and a depthwise convolution of the values (LePE) is added to what they make.

   Keys under the architecture's name, "pvt." or "cswin." (arrays have one item a stage):
     block_count, embedding_length, feed_forward_length, attention.head_count     arrays
     embed.kernel, embed.stride, embed.padding                                    arrays, of the patch convolution
     mixer, attention.reduction      arrays: "attention" or "sla"; how many times smaller each way the map of keys and values is
     attention.window (of sla), attention.qkv_bias (false: a product has one where the file holds it)
     attention.stripe, lepe.kernel   of CSwin alone: array, the side of columns and rows, 0 = every head sees the whole map; LePE's side
     feed_forward.window             of the MLP's depthwise convolution; 0 = none
     norm, embed.norm, reduction.norm, out.norm                                   arrays; out.norm of the last stage is the head's
     norm_epsilon (of the blocks, the ends and the head), embed.norm_epsilon, reduction.norm_epsilon
     position.height, position.width                                              arrays of the tables' grids; 0 = no table
     prefix_tokens  rows in front of the last stage's: the class token, which the classifier reads; 0 = it reads the mean
     class_count, input.channels, input.height, input.width */
#include <string.h>

#include "models/models.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 96, MAX_WIDTH = 1 << 16 }; /* two names a block for taps: see WF_MAX_ALIASES */

typedef struct config {
    uint32_t stages, channels, prefix, sla_kernel;
    uint32_t blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES], heads[MAX_STAGES], reduction[MAX_STAGES];
    uint32_t stripe[MAX_STAGES], lepe;
    uint32_t kernel[MAX_STAGES], stride[MAX_STAGES], pad[MAX_STAGES];
    uint32_t position_h[MAX_STAGES], position_w[MAX_STAGES];
    wf_mixer_kind mixer[MAX_STAGES];
    wf_norm_slot norm[MAX_STAGES], embed_norm[MAX_STAGES], reduction_norm[MAX_STAGES], out_norm[MAX_STAGES];
    uint32_t hidden_window;
    bool qkv_bias;
    wf_head head;
} config;

wf_status wf_pvt_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err);
void wf_pvt_build(wf_graph *g, const void *cfg, const wf_input_class *in);

static void read_norms(wf_meta *m, uint32_t stages, const char *key, const char *epsilon, wf_norm_slot *out) {
    const char *names[MAX_STAGES] = {NULL};
    float eps = wf_meta_f32(m, epsilon, 1e-12f, 1e-1f);
    wf_meta_strings(m, key, stages, names);
    for (uint32_t s = 0; s < stages; s++) {
        out[s] = (wf_norm_slot){.kind = wf_meta_norm_kind(m, key, names[s]), .eps = eps};
    }
}

static void read_mixers(wf_meta *m, config *c) {
    const char *names[MAX_STAGES] = {NULL};
    wf_meta_strings(m, "mixer", c->stages, names);
    bool linear = false;
    for (uint32_t s = 0; s < c->stages && m->status == WF_OK; s++) {
        int kind = wf_mixer_kind_of(names[s]);
        if (kind != WF_MIXER_ATTENTION && kind != WF_MIXER_SLA) {
            wf_meta_fail(m, "mixer", "names something that is neither \"attention\" nor \"sla\"");
        }
        linear |= kind == WF_MIXER_SLA;
        c->mixer[s] = kind == WF_MIXER_SLA ? WF_MIXER_SLA : WF_MIXER_ATTENTION;
        if (c->width[s] % c->heads[s] != 0) {
            wf_meta_fail(m, "attention.head_count", "does not divide the width of a stage");
        }
    }
    c->sla_kernel = linear ? wf_meta_u32(m, "attention.window", 1, 31) : 0;
    if (linear && c->sla_kernel % 2 == 0) {
        wf_meta_fail(m, "attention.window", "is even; only odd windows have a centre");
    }
    if (strcmp(m->arch, "cswin") == 0) {
        wf_meta_u32s(m, "attention.stripe", c->stages, MAX_STAGES, 0, 4096, c->stripe);
        c->lepe = wf_meta_u32(m, "lepe.kernel", 1, 31);
    }
    if (c->prefix != 0 && (c->reduction[c->stages - 1] > 1 || c->mixer[c->stages - 1] == WF_MIXER_SLA || c->hidden_window != 0)) {
        wf_meta_fail(m, "prefix_tokens", "puts rows in front of a map that its stage reads as a picture");
    }
}

static void read_stages(wf_meta *m, config *c) {
    const struct {
        const char *key;
        uint32_t low, high, *out;
    } arrays[] = {{"embedding_length", 1, MAX_WIDTH, c->width},   {"feed_forward_length", 1, MAX_WIDTH * 8, c->hidden},
                  {"attention.head_count", 1, MAX_WIDTH, c->heads}, {"attention.reduction", 1, 64, c->reduction},
                  {"embed.kernel", 1, 64, c->kernel},             {"embed.stride", 1, 64, c->stride},
                  {"embed.padding", 0, 63, c->pad},               {"position.height", 0, 4096, c->position_h},
                  {"position.width", 0, 4096, c->position_w}};
    uint32_t blocks = 0;
    c->stages = wf_meta_u32s(m, "block_count", 0, MAX_STAGES, 1, MAX_BLOCKS, c->blocks);
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0] && m->status == WF_OK; i++) {
        wf_meta_u32s(m, arrays[i].key, c->stages, MAX_STAGES, arrays[i].low, arrays[i].high, arrays[i].out);
    }
    for (uint32_t s = 0; s < c->stages; s++) {
        blocks += c->blocks[s];
        if ((c->position_h[s] == 0) != (c->position_w[s] == 0)) {
            wf_meta_fail(m, "position.width", "is zero where position.height is not, or the other way round");
        }
    }
    if (blocks > MAX_BLOCKS) {
        wf_meta_fail(m, "block_count", "gives more blocks than a pyramid may have here (96)");
    }
}

wf_status wf_pvt_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err) {
    wf_meta meta = {gguf, wf_gguf_get_string(gguf, "general.architecture"), err, WF_OK}, *m = &meta;
    config *c = wf_arena_alloc(arena, sizeof *c);
    if (c == NULL) {
        return wf_fail(err, WF_E_MEMORY, "metadata", -1, "no memory for the model's configuration");
    }
    read_stages(m, c);
    WF_TRY(m->status);
    c->prefix = wf_meta_u32(m, "prefix_tokens", 0, 1024);
    c->hidden_window = wf_meta_u32(m, "feed_forward.window", 0, 63);
    if (c->hidden_window != 0 && c->hidden_window % 2 == 0) {
        wf_meta_fail(m, "feed_forward.window", "is even; only odd windows have a centre");
    }
    read_mixers(m, c);
    read_norms(m, c->stages, "norm", "norm_epsilon", c->norm);
    read_norms(m, c->stages, "out.norm", "norm_epsilon", c->out_norm);
    read_norms(m, c->stages, "embed.norm", "embed.norm_epsilon", c->embed_norm);
    read_norms(m, c->stages, "reduction.norm", "reduction.norm_epsilon", c->reduction_norm);
    c->qkv_bias = wf_meta_bool(m, "attention.qkv_bias");
    c->head.kind = WF_HEAD_NORM_POOL;
    c->head.norm = c->out_norm[c->stages - 1];
    c->head.classes = wf_meta_u32(m, "class_count", 0, 1 << 20);
    c->head.count = c->prefix != 0 ? 1 : 0;
    c->channels = wf_meta_u32(m, "input.channels", 1, 1024);
    input->name = "input";
    input->channels = c->channels;
    input->height = wf_meta_u32(m, "input.height", 1, 1 << 15);
    input->width = wf_meta_u32(m, "input.width", 1, 1 << 15);
    *out = c;
    return m->status;
}

static wf_block block_of(const config *c, uint32_t s) {
    wf_block b = {.norm1 = c->norm[s], .norm2 = c->norm[s], .hidden = c->hidden[s], .hidden_window = c->hidden_window};
    b.mixer.kind = c->mixer[s];
    b.mixer.heads = c->heads[s];
    b.mixer.head_dim = c->width[s] / c->heads[s];
    b.mixer.qkv_bias = c->qkv_bias;
    b.mixer.reduction = c->reduction[s];
    b.mixer.reduction_norm = c->reduction_norm[s];
    b.mixer.kernel = c->sla_kernel;
    b.mixer.windows.stripe = c->stripe[s];
    b.mixer.lepe = c->lepe;
    return b;
}

static wf_id build_stage(wf_graph *g, wf_id x, const config *c, uint32_t s) {
    uint32_t stage = wf_graph_enter(g, "stage.%u", s);
    bool last = s + 1 == c->stages;
    wf_conv embed = {c->width[s], c->kernel[s], c->stride[s], c->pad[s], true};
    wf_tokens tokens = {last ? c->prefix : 0, WF_POSITION_ALL, c->position_h[s], c->position_w[s], WF_POSITION_BILINEAR};
    tokens.position = c->position_h[s] == 0 ? WF_POSITION_NONE : WF_POSITION_ALL;
    x = wf_stem_conv(g, x, "embed", &embed); /* [n, h, w, width] */
    x = wf_norm(g, x, "embed_norm", c->embed_norm[s]);
    x = wf_stem_tokens(g, x, &tokens); /* a map, or in the last stage [n, prefix + h·w, width] */
    uint32_t h = wf_graph_shape(g, x)->h, w = wf_graph_shape(g, x)->w, stripe = c->stripe[s];
    if (x != WF_NONE && stripe != 0 && c->mixer[s] == WF_MIXER_ATTENTION && (h % stripe != 0 || w % stripe != 0)) {
        wf_graph_fail(g, WF_E_SHAPE, "input", "this picture gives stage %u a map of %u × %u, which stripes of %u do not divide; use the model's "
                      "own picture size", s, h, w, stripe);
    }
    for (uint32_t b = 0; b < c->blocks[s]; b++) {
        uint32_t mark = wf_graph_enter(g, "blk.%u", b);
        wf_block block = block_of(c, s);
        x = wf_block_build(g, x, &block);
        wf_graph_scope_output(g, x);
        wf_graph_leave(g, mark);
    }
    x = last ? x : wf_norm(g, x, "out_norm", c->out_norm[s]);
    wf_graph_scope_output(g, x);
    wf_graph_leave(g, stage);
    return x;
}

void wf_pvt_build(wf_graph *g, const void *cfg, const wf_input_class *in) {
    const config *c = cfg;
    wf_shape picture = {in->n, in->h, in->w, c->channels, WF_LAYOUT_NCHW};
    wf_id x = wf_graph_input(g, "input", picture);
    for (uint32_t s = 0; s < c->stages; s++) {
        x = build_stage(g, x, c, s);
    }
    wf_head_build(g, x, &c->head);
}
