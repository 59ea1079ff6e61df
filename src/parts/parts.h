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

typedef enum wf_task_kind {
#define WF_TASK(upper, name, order, build) WF_TASK_##upper,
#include "parts/parts.def"
#undef WF_TASK
    WF_TASK_COUNT
} wf_task_kind;

/* The index of a part's name, or −1. */
int wf_norm_kind_of(const char *name);
int wf_mixer_kind_of(const char *name);
int wf_head_kind_of(const char *name);
int wf_task_kind_of(const char *name);

/* Where a sub-layer F normalises: x → residual(x + out(F(in(x)))). Pre-LN is in, Post-LN residual, Peri-LN (arXiv 2502.02732) and
   Sandwich in and out, OLMo-2 and Swin-v2 out. */
enum { WF_NORM_IN = 1, WF_NORM_OUT = 2, WF_NORM_RESIDUAL = 4 };

/* How and where a sub-layer, a stem or a head normalises. */
typedef struct wf_norm_slot {
    wf_norm_kind kind;
    float eps;
    uint32_t places; /* of a sub-layer: WF_NORM_IN | …; 0 = in */
    uint32_t depth;  /* LayerNorm scaling (arXiv 2502.05795): what the norm in gives is divided by √depth; 0 = it is not */
} wf_norm_slot;

/* "in", "out", "residual", or some of them joined by '+' → places of a block's two sub-layers; of each its own in "MIXER,CHANNEL".
   False when it is none of that. */
bool wf_norm_places_of(const char *text, uint32_t out[2]);

/* A token mixer and what it needs; each reads the fields of its own kind. */
typedef struct wf_mixer {
    wf_mixer_kind kind;
    uint32_t pool_size; /* pool: odd window */
    uint32_t heads, head_dim; /* attention: heads × head_dim need not equal the width */
    bool qkv_bias;
    wf_window windows; /* attention, sla: height and stripe 0 = over the whole map */
    uint32_t reduction;          /* attention, sla: k and v come from a map so many times smaller each way; 0 and 1 = from all rows */
    wf_norm_slot reduction_norm; /* of that map */
    bool qk_norm;    /* attention: a layer norm over each head of q and of k, shared by the heads */
    float qk_eps;
    uint32_t kernel; /* sla: side of the convolution of the values, odd */
    uint32_t lepe;   /* attention, sla: side of another one, of each channel by itself, odd; 0 = none (CSwin) */
    uint32_t kv_heads; /* causal: of k and v */
    wf_id angles;      /* causal: of rotary positions (wf_node_rope_angles) */
    wf_rope_pairs pairs;
} wf_mixer;

/* What follows the mixer: two products around a GELU, or three around a gate (SwiGLU). */
typedef enum wf_channel_kind { WF_CHANNEL_MLP, WF_CHANNEL_GATED } wf_channel_kind;

/* One row of the layer table: everything that may differ from block to block. */
typedef struct wf_block {
    wf_norm_slot norm1, norm2; /* of the token mixer and of the channel MLP */
    wf_mixer mixer;
    uint32_t hidden;   /* of the channel MLP */
    bool layer_scale;
    uint32_t hidden_window; /* of a depthwise convolution in front of the MLP's GELU, odd; 0 = none */
    wf_channel_kind channel;
    const char *norm1_name, *norm2_name; /* what files call the norms; NULL: "norm1" and "norm2" */
} wf_block;

/* One norm, whatever the slot's places. */
wf_id wf_norm(wf_graph *g, wf_id x, const char *name, wf_norm_slot slot);

/* Mixers: n = normalised rows [n·h·w, c] → the same shape; the last node is called "mixer". */
wf_id wf_mixer_build(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_identity(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_pool(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_attention(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_causal(wf_graph *g, wf_id n, const wf_mixer *mixer);
wf_id wf_mixer_sla(wf_graph *g, wf_id n, const wf_mixer *mixer);
/* heads + a depthwise convolution of the values of qkv, or heads alone. */
wf_id wf_mixer_lepe(wf_graph *g, wf_id heads, wf_id qkv, const wf_mixer *mixer);
wf_id wf_mixer_spatial_fc(wf_graph *g, wf_id n, const wf_mixer *mixer);

/* [q | k | v] of the rows, or q alone and in *others [k | v] of a reduced map; WF_NONE otherwise. */
wf_id wf_mixer_qkv(wf_graph *g, wf_id n, const wf_mixer *mixer, wf_id *others);

/* Channel mixers: ffn_up → [ffn_window, a depthwise convolution of `window` cells →] GELU → ffn_down, and silu(ffn_gate) · ffn_up → ffn_down. */
wf_id wf_channel_mlp(wf_graph *g, wf_id n, uint32_t hidden, uint32_t window);
wf_id wf_channel_gated(wf_graph *g, wf_id n, uint32_t hidden);

/* x + s1 · mixer(norm1(x)), then x + s2 · mlp(norm2(x)), or with norms in other places: "norm1_out" behind the mixer (in front of s1),
   "norm1_residual" behind the sum; the same for norm2. Names are relative to the current scope. */
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

/* What the head "tasks" consists of (head/tasks.c); each kind at most once. */
typedef struct wf_tasks {
    wf_task_kind list[WF_TASK_COUNT];
    uint32_t count;
    uint32_t project_token, project_layers, project_hidden, project_length, rotate_token; /* tokens are rows */
    uint32_t reconstruct_layers, patch, channels; /* in front of the pixels; side and channels of a patch */
    uint32_t places;                              /* position: of the grid */
    uint32_t prefix, map_h, map_w;                /* rows in front of the patches, and these as a map */
} wf_tasks;

/* Heads: map → [n, classes]; classes = 0 leaves the pooled features. They declare the outputs: "output", or "output0", "output1", … */
typedef struct wf_head {
    wf_head_kind kind;
    wf_norm_slot norm;
    uint32_t classes;
    uint32_t first, count;  /* the rows that are pooled: first … first + count − 1, count 0 = to the end */
    uint32_t hidden;        /* concat: of its MLP */
    const wf_tasks *tasks;  /* tasks */
} wf_head;
void wf_head_build(wf_graph *g, wf_id x, const wf_head *head);
void wf_head_norm_pool(wf_graph *g, wf_id x, const wf_head *head);
void wf_head_pool_norm(wf_graph *g, wf_id x, const wf_head *head);
void wf_head_distilled(wf_graph *g, wf_id x, const wf_head *head);
void wf_head_concat(wf_graph *g, wf_id x, const wf_head *head);
void wf_head_tasks(wf_graph *g, wf_id x, const wf_head *head);
/* Language models: a logit for each entry of the vocabulary behind each token, [n, t, vocabulary]; llama.cpp's names "output_norm"
   and "output". */
void wf_head_tokens(wf_graph *g, wf_id x, wf_norm_slot norm, uint32_t vocabulary);

#endif
