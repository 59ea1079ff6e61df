/* Swin (arXiv 2103.14030; Microsoft's swin_transformer.py as timm 0.4 has it, timm ≥ 0.9, transformers modeling_swin.py): a patch
   convolution without overlap and its norm, stages of Pre-LN blocks whose attention stays in windows, every second block's windows
   shifted, 2 × 2 neighbours merged between stages, norm → mean → classifier.

   Keys under "swin." (arrays have one item a stage):
     block_count, embedding_length, feed_forward_length, attention.head_count   arrays
     window.height, window.width, shift.height, shift.width                     arrays; shifts are those of the odd blocks
     sla.block_count, sla.window, sla.shift, sla.kernel   where SLAB's linear attention mixes: how many blocks of each stage, from its
                    first on; the side of their windows (0: the whole map), the odd blocks' shift; arrays, but for the kernel's side
     window.rule    "divide": windows must divide the grid; "pad_roll" and "roll_pad": it is padded to whole windows, before it is
                    rolled by the shift or after. By the first two a map of one window's side is not shifted.
     patch_size, attention.qkv_bias (of the source, which its padding has; false: a product has one where the file holds it)
     norm           array of the blocks' norms; stem.norm, down.norm, head.norm; norm_epsilon of all
     class_count, input.channels, input.height, input.width */
#include <string.h>

#include "models/models.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 96, MAX_WIDTH = 1 << 16 }; /* two names a block for taps: see WF_MAX_ALIASES */

typedef enum window_rule { DIVIDE, PAD_ROLL, ROLL_PAD, RULES } window_rule;

typedef struct config {
    uint32_t stages, patch, channels;
    uint32_t blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES], heads[MAX_STAGES];
    uint32_t window_h[MAX_STAGES], window_w[MAX_STAGES], shift_h[MAX_STAGES], shift_w[MAX_STAGES];
    window_rule rule;
    uint32_t linear[MAX_STAGES], sla_window[MAX_STAGES], sla_shift[MAX_STAGES], sla_kernel; /* linear: blocks with it */
    bool qkv_bias;
    wf_norm_slot norm[MAX_STAGES], stem_norm, down_norm;
    wf_head head;
} config;

wf_status wf_swin_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err);
void wf_swin_build(wf_graph *g, const void *cfg, const wf_input_class *in);

static void read_norms(wf_meta *m, config *c) {
    const char *names[MAX_STAGES] = {NULL};
    wf_meta_strings(m, "norm", c->stages, names);
    c->stem_norm = wf_meta_norm(m, "stem.norm", "norm_epsilon");
    c->down_norm = wf_meta_norm(m, "down.norm", "norm_epsilon");
    c->head.norm = wf_meta_norm(m, "head.norm", "norm_epsilon");
    for (uint32_t s = 0; s < c->stages; s++) {
        c->norm[s] = (wf_norm_slot){.kind = wf_meta_norm_kind(m, "norm", names[s]), .eps = c->head.norm.eps};
    }
}

static void read_windows(wf_meta *m, config *c) {
    static const char *const rules[RULES] = {"divide", "pad_roll", "roll_pad"};
    wf_meta_u32s(m, "window.height", c->stages, MAX_STAGES, 1, 4096, c->window_h);
    wf_meta_u32s(m, "window.width", c->stages, MAX_STAGES, 1, 4096, c->window_w);
    wf_meta_u32s(m, "shift.height", c->stages, MAX_STAGES, 0, 4095, c->shift_h);
    wf_meta_u32s(m, "shift.width", c->stages, MAX_STAGES, 0, 4095, c->shift_w);
    const char *rule = wf_meta_string(m, "window.rule");
    while (m->status == WF_OK && c->rule < RULES && strcmp(rules[c->rule], rule) != 0) {
        c->rule++;
    }
    if (c->rule == RULES) {
        wf_meta_fail(m, "window.rule", "is none of \"divide\", \"pad_roll\" and \"roll_pad\"");
    }
}

static void read_linear(wf_meta *m, config *c) {
    if (wf_gguf_find(m->gguf, "swin.sla.block_count") == NULL) {
        return;
    }
    wf_meta_u32s(m, "sla.block_count", c->stages, MAX_STAGES, 0, MAX_BLOCKS, c->linear);
    wf_meta_u32s(m, "sla.window", c->stages, MAX_STAGES, 0, 4096, c->sla_window);
    wf_meta_u32s(m, "sla.shift", c->stages, MAX_STAGES, 0, 4095, c->sla_shift);
    c->sla_kernel = wf_meta_u32(m, "sla.kernel", 1, 31);
    if (m->status == WF_OK && c->rule != DIVIDE) {
        wf_meta_fail(m, "window.rule", "is not \"divide\", but linear attention takes no padding");
    }
}

wf_status wf_swin_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err) {
    wf_meta meta = {gguf, "swin", err, WF_OK}, *m = &meta;
    config *c = wf_arena_alloc(arena, sizeof *c);
    if (c == NULL) {
        return wf_fail(err, WF_E_MEMORY, "metadata", -1, "no memory for the model's configuration");
    }
    c->stages = wf_meta_u32s(m, "block_count", 0, MAX_STAGES, 1, MAX_BLOCKS, c->blocks);
    wf_meta_u32s(m, "embedding_length", c->stages, MAX_STAGES, 1, MAX_WIDTH, c->width);
    wf_meta_u32s(m, "feed_forward_length", c->stages, MAX_STAGES, 1, MAX_WIDTH * 8, c->hidden);
    wf_meta_u32s(m, "attention.head_count", c->stages, MAX_STAGES, 1, MAX_WIDTH, c->heads);
    if (m->status != WF_OK) {
        return m->status;
    }
    uint32_t blocks = 0;
    for (uint32_t s = 0; s < c->stages; s++) {
        blocks += c->blocks[s];
        if (c->width[s] % c->heads[s] != 0) {
            wf_meta_fail(m, "attention.head_count", "does not divide the width of a stage");
        }
    }
    if (blocks > MAX_BLOCKS) {
        wf_meta_fail(m, "block_count", "gives more blocks than a Swin may have here (96)");
    }
    read_windows(m, c);
    read_linear(m, c);
    read_norms(m, c);
    c->patch = wf_meta_u32(m, "patch_size", 1, 256);
    c->qkv_bias = wf_meta_bool(m, "attention.qkv_bias");
    c->head.kind = WF_HEAD_NORM_POOL;
    c->head.classes = wf_meta_u32(m, "class_count", 0, 1 << 20);
    c->channels = wf_meta_u32(m, "input.channels", 1, 1024);
    input->name = "input";
    input->channels = c->channels;
    input->height = wf_meta_u32(m, "input.height", 1, 1 << 15);
    input->width = wf_meta_u32(m, "input.width", 1, 1 << 15);
    *out = c;
    return m->status;
}

/* The windows of block b of a stage on a map of h × w. */
static wf_window window_of(const config *c, uint32_t s, uint32_t b, uint32_t h, uint32_t w) {
    uint32_t smaller = h < w ? h : w;
    if (b < c->linear[s]) {
        uint32_t side = c->sla_window[s], shift = b % 2 == 1 && smaller > side && side != 0 ? c->sla_shift[s] : 0;
        return (wf_window){.height = side, .width = side, .shift_h = shift, .shift_w = shift};
    }
    wf_window x = {c->window_h[s], c->window_w[s], 0, 0, 0, c->rule == ROLL_PAD, c->rule != DIVIDE && c->qkv_bias};
    bool one = c->rule != ROLL_PAD && smaller <= x.height;
    if (b % 2 == 1 && !one) {
        x.shift_h = c->shift_h[s];
        x.shift_w = c->shift_w[s];
    }
    return x;
}

static wf_id check_map(wf_graph *g, wf_id x, const config *c, uint32_t s) {
    uint32_t h = wf_graph_shape(g, x)->h, w = wf_graph_shape(g, x)->w;
    if (x == WF_NONE || c->rule == ROLL_PAD || c->linear[s] >= c->blocks[s]) {
        return x; /* a linear mixer looks at its windows itself */
    }
    bool fits = c->rule == DIVIDE ? h % c->window_h[s] == 0 && w % c->window_w[s] == 0 : h >= c->window_h[s] && w >= c->window_w[s];
    return fits ? x
                : wf_graph_fail(g, WF_E_SHAPE, "input", "this picture gives stage %u a map of %u × %u, which windows of %u × %u %s; use the "
                                "model's own picture size", s, h, w, c->window_h[s], c->window_w[s],
                                c->rule == DIVIDE ? "do not divide" : "are larger than");
}

/* Four neighbours side by side → norm → half as many channels. */
static wf_id merge(wf_graph *g, wf_id x, const config *c, uint32_t s) {
    uint32_t h = wf_graph_shape(g, x)->h, w = wf_graph_shape(g, x)->w;
    if (x != WF_NONE && c->rule == DIVIDE && (h % 2 != 0 || w % 2 != 0)) {
        return wf_graph_fail(g, WF_E_SHAPE, "input", "this picture gives a map of %u × %u in front of stage %u, which does not halve; use the "
                             "model's own picture size", h, w, s);
    }
    uint32_t mark = wf_graph_enter(g, "down");
    x = wf_node_patch_merge(g, x, "merge");
    x = wf_norm(g, x, "norm", c->down_norm);
    x = wf_node_linear(g, x, "reduction", c->width[s], wf_graph_stored_rows(g, "reduction.bias") != 0);
    wf_graph_leave(g, mark);
    wf_graph_alias(g, x, "down");
    return x;
}

static wf_id build_stage(wf_graph *g, wf_id x, const config *c, uint32_t s) {
    uint32_t stage = wf_graph_enter(g, "stage.%u", s);
    if (s > 0) {
        x = merge(g, x, c, s);
    }
    x = check_map(g, x, c, s);
    for (uint32_t b = 0; b < c->blocks[s]; b++) {
        uint32_t mark = wf_graph_enter(g, "blk.%u", b);
        wf_block block = {.norm1 = c->norm[s], .norm2 = c->norm[s], .hidden = c->hidden[s]};
        block.mixer.kind = b < c->linear[s] ? WF_MIXER_SLA : WF_MIXER_ATTENTION;
        block.mixer.kernel = c->sla_kernel;
        block.mixer.heads = c->heads[s];
        block.mixer.head_dim = c->width[s] / c->heads[s];
        block.mixer.qkv_bias = c->qkv_bias;
        block.mixer.windows = window_of(c, s, b, wf_graph_shape(g, x)->h, wf_graph_shape(g, x)->w);
        x = wf_block_build(g, x, &block);
        wf_graph_scope_output(g, x);
        wf_graph_leave(g, mark);
    }
    wf_graph_scope_output(g, x);
    wf_graph_leave(g, stage);
    return x;
}

void wf_swin_build(wf_graph *g, const void *cfg, const wf_input_class *in) {
    const config *c = cfg;
    wf_shape picture = {in->n, in->h, in->w, c->channels, WF_LAYOUT_NCHW};
    wf_id x = wf_graph_input(g, "input", picture);
    if (in->h % c->patch != 0 || in->w % c->patch != 0) {
        wf_graph_fail(g, WF_E_SHAPE, "input", "a picture of %u × %u is no whole number of %u × %u patches; resize it to multiples of %u",
                      in->h, in->w, c->patch, c->patch, c->patch);
        return;
    }
    wf_conv stem = {c->width[0], c->patch, c->patch, 0, true};
    x = wf_stem_conv(g, x, "stem", &stem); /* [n, h/p, w/p, width] */
    x = wf_norm(g, x, "stem_norm", c->stem_norm);
    for (uint32_t s = 0; s < c->stages; s++) {
        x = build_stage(g, x, c, s);
    }
    wf_head_build(g, x, &c->head);
}
