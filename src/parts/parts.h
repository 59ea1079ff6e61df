/* The vocabulary of models. A model is a stem, blocks of x + mixer(norm(x)) and x + channel(norm(x)), and a head
   (MetaFormer, arXiv 2111.11418); a part adds the nodes of one of these to a graph. Parts know shapes and names, never
   execution order, memory or backend. */
#ifndef WF_PARTS_PARTS_H
#define WF_PARTS_PARTS_H

#include "graph/graph.h"

typedef enum wf_norm_kind {
#define WF_NORM(upper, name, build) WF_NORM_##upper,
#include "parts/parts.def"
#undef WF_NORM
    WF_NORM_COUNT
} wf_norm_kind;

typedef enum wf_mixer_kind {
#define WF_MIXER(upper, name, build) WF_MIXER_##upper,
#include "parts/parts.def"
#undef WF_MIXER
    WF_MIXER_COUNT
} wf_mixer_kind;

typedef enum wf_head_kind {
#define WF_HEAD(upper, name, build) WF_HEAD_##upper,
#include "parts/parts.def"
#undef WF_HEAD
    WF_HEAD_COUNT
} wf_head_kind;

/* The index of a part's name, or −1. */
int wf_norm_kind_of(const char *name);
int wf_mixer_kind_of(const char *name);
int wf_head_kind_of(const char *name);

/* Where and how a sub-layer normalises. Placement "in" (Pre-LN) is today's only one. */
typedef struct wf_norm_slot {
    wf_norm_kind kind;
    float eps;
} wf_norm_slot;

/* A token mixer and what it needs; each reads the fields of its own kind. */
typedef struct wf_mixer {
    wf_mixer_kind kind;
    uint32_t pool_size; /* pool: odd window */
    uint32_t heads, head_dim; /* attention: heads × head_dim need not equal the width */
    bool qkv_bias;
    wf_window windows; /* attention, sla: height and stripe 0 = over the whole map */
    bool qk_norm;    /* attention: a layer norm over each head of q and of k, shared by the heads */
    float qk_eps;
    uint32_t kernel; /* sla: side of the convolution of the values, odd */
    uint32_t kv_heads; /* causal: of k and v */
    wf_id angles;      /* causal: of rotary positions (wf_node_rope_angles) */
    wf_rope_pairs pairs;
} wf_mixer;

/* What follows the mixer: two products around a GELU, or three around a gate (SwiGLU). */
typedef enum wf_channel_kind { WF_CHANNEL_MLP, WF_CHANNEL_GATED } wf_channel_kind;

/* One row of the layer table: everything that may differ from block to block. */
typedef struct wf_block {
    wf_norm_slot norm1, norm2;
    wf_mixer mixer;
    uint32_t hidden;   /* of the channel MLP */
    bool layer_scale;
    wf_channel_kind channel;
    const char *norm1_name, *norm2_name; /* what files call the norms; NULL: "norm1" and "norm2" */
} wf_block;

wf_id wf_norm(wf_graph *g, wf_id x, const char *name, wf_norm_slot slot);

/* Mixers: n = normalised rows [n·h·w, c] → the same shape; the last node is called "mixer". */
wf_id wf_mixer_build(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_identity(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_pool(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_attention(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_causal(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_sla(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_spatial_fc(wf_graph *g, wf_id n, const wf_mixer *mixer);

/* Channel mixers: ffn_up → GELU → ffn_down, and silu(ffn_gate) · ffn_up → ffn_down. */
wf_id wf_channel_mlp(wf_graph *g, wf_id n, uint32_t hidden);
wf_id wf_channel_gated(wf_graph *g, wf_id n, uint32_t hidden);

/* x + s1 · mixer(norm1(x)), then x + s2 · mlp(norm2(x)); names are relative to the current scope. */
wf_id wf_block_build(wf_graph *g, wf_id x, const wf_block *block);

/* Convolutional stem or downsampling ("patch embedding"), and a learned position table bound to its grid. */
wf_id wf_stem_conv(wf_graph *g, wf_id x, const char *name, const wf_conv *conv);
wf_id wf_stem_position(wf_graph *g, wf_id x, uint32_t grid_h, uint32_t grid_w);

/* Tokens of an isotropic model: class and register tokens in front of the map, and learned positions. */
typedef enum wf_position_kind { WF_POSITION_NONE, WF_POSITION_ALL, WF_POSITION_GRID } wf_position_kind;
typedef struct wf_tokens {
    uint32_t prefix; /* rows in front */
    wf_position_kind position; /* of all rows, or of the map's alone (added before the prefix) */
    uint32_t grid_h, grid_w;
    wf_position_resample resample;
} wf_tokens;
/* map [n, h, w, c] → rows; the result is called "tokens". */
wf_id wf_stem_tokens(wf_graph *g, wf_id x, const wf_tokens *tokens);

/* Heads: map → [n, classes]; classes = 0 leaves the pooled features. Output "output" is declared. */
typedef struct wf_head {
    wf_head_kind kind;
    wf_norm_slot norm;
    uint32_t classes;
    uint32_t first, count; /* the rows that are pooled: first … first + count − 1, count 0 = to the end */
} wf_head;
void wf_head_build(wf_graph *g, wf_id x, const wf_head *head);
wf_id wf_head_norm_pool(wf_graph *g, wf_id x, const wf_head *head);
wf_id wf_head_pool_norm(wf_graph *g, wf_id x, const wf_head *head);
wf_id wf_head_distilled(wf_graph *g, wf_id x, const wf_head *head);
/* Language models: a logit for each entry of the vocabulary behind each token, [n, t, vocabulary]; llama.cpp's names "output_norm"
   and "output". */
void wf_head_tokens(wf_graph *g, wf_id x, wf_norm_slot norm, uint32_t vocabulary);

#endif
