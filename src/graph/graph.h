/* A computation as a list of nodes in execution order. Built by the architectures (models/) out of parts, rewritten by passes,
   then planned once and run many times. Shapes are inferred when a node is added, so that a wrong one is an error that names
   the node and the shapes.

   Building never fails half-way in the caller's code: the first error is kept in the graph, later calls return WF_NONE and do
   nothing, and wf_graph_check reports it. So a forward pass reads as one page of plain calls:

       x = wf_node_conv2d(g, x, "stem", &conv);
       x = wf_node_group_norm(g, x, "norm", eps);                                                                     */
#ifndef WF_GRAPH_GRAPH_H
#define WF_GRAPH_GRAPH_H

#include "graph/op_table.h"
#include "graph/weights.h"

typedef uint32_t wf_id; /* of a node; WF_NONE = none */

typedef struct wf_node {
    wf_op op;
    const char *name;
    wf_id in[WF_OP_INPUTS];
    uint32_t w[WF_OP_WEIGHTS]; /* ids in the weight table */
    wf_op_params p;
    wf_shape shape;
    uint32_t guard; /* index of the run-time flag without which the node is skipped; WF_NONE = always runs */
    uint32_t users; /* nodes that read this one */
    bool kept;      /* an output or a tap: a barrier for passes, alive to the end */
    bool dead;      /* removed by a pass */
} wf_node;

/* An output, or an alias of a scope. `order` is the source framework's axis order: "nchw", "nhwc", "nc", "nc11" or
   "nlc"; taps may also be in "window" order (runtime/edge.c). */
typedef struct wf_output {
    const char *name; /* "output", "output0", …, in the model's order */
    const char *order;
    wf_id node;
} wf_output;

enum { WF_MAX_OUTPUTS = 8, WF_MAX_ALIASES = 256 };

typedef struct wf_graph {
    wf_arena *arena;
    wf_weights *weights;
    wf_node *nodes;
    uint32_t count, capacity;
    wf_output outputs[WF_MAX_OUTPUTS];
    uint32_t output_count;
    wf_output aliases[WF_MAX_ALIASES];
    uint32_t alias_count;
    /* Names that must stay observable (taps); set before building. */
    const char *const *kept_names;
    uint32_t kept_count;
    /* Norms without weight and bias, nor divided by √depth: a conversion folded that into what reads the norm (wf.norm.bare). */
    const char *const *bare_norms;
    uint32_t bare_norm_count;
    char prefix[128]; /* put before the names of nodes and weights while a part is built */
    wf_error error;
} wf_graph;

void wf_graph_init(wf_graph *g, wf_arena *arena, wf_weights *weights);
void wf_graph_free(wf_graph *g);
/* WF_OK, or the first error met while building. */
wf_status wf_graph_check(const wf_graph *g, wf_error *err);
/* Reports an error of a part or model through the graph; returns WF_NONE. */
wf_id wf_graph_fail(wf_graph *g, wf_status code, const char *where, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;

/* Enters "scope." in front of names; returns the length to hand to wf_graph_leave. */
uint32_t wf_graph_enter(wf_graph *g, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void wf_graph_leave(wf_graph *g, uint32_t mark);
/* Another name for an existing node, for taps of a whole scope ("stage.0" is the output of its last block). */
void wf_graph_alias(wf_graph *g, wf_id node, const char *name);
/* The same under the name of the current scope itself. */
void wf_graph_scope_output(wf_graph *g, wf_id node);

/* Weights are looked up under prefix + name. */
uint32_t wf_graph_vector(wf_graph *g, const char *name, uint32_t k);
uint32_t wf_graph_table(wf_graph *g, const char *name, uint32_t rows, uint32_t k);
uint32_t wf_graph_matrix(wf_graph *g, const char *name, uint32_t n, uint32_t k);
/* A table whose rows are looked up as they are stored. */
uint32_t wf_graph_lookup(wf_graph *g, const char *name, uint32_t rows, uint32_t k);
/* WF_NONE, without an error, when the file has no such tensor. */
uint32_t wf_graph_optional_vector(wf_graph *g, const char *name, uint32_t k);

wf_id wf_graph_input(wf_graph *g, const char *name, wf_shape shape);
/* The general constructor: fills a node from `like` (op, in, w, p) under prefix + name and infers its shape. */
wf_id wf_graph_add(wf_graph *g, const char *name, const wf_node *like);
/* order: "nchw", "nc", "nc11" or "nlc" (batch, then tokens, then channels); name and order are kept by reference. */
void wf_graph_output(wf_graph *g, const char *name, const char *order, wf_id node);
/* Stored rows (dims[1]) of prefix + name, 0 when the file lacks it: for weights that are bound to a grid. */
uint64_t wf_graph_stored_rows(wf_graph *g, const char *name);
const wf_shape *wf_graph_shape(const wf_graph *g, wf_id node);
/* By node name or alias; WF_NONE when unknown. */
wf_id wf_graph_find(const wf_graph *g, const char *name);

/* ---- constructors of the ops (build_ops.c); weights are NAME.weight, NAME.bias ---- */
typedef struct wf_conv {
    uint32_t out_channels, kernel, stride, pad;
    bool bias;
} wf_conv;
wf_id wf_node_conv2d(wf_graph *g, wf_id x, const char *name, const wf_conv *conv);
wf_id wf_node_linear(wf_graph *g, wf_id x, const char *name, uint32_t out_features, bool bias);
wf_id wf_node_group_norm(wf_graph *g, wf_id x, const char *name, float eps);
wf_id wf_node_layer_norm(wf_graph *g, wf_id x, const char *name, float eps);
/* Without a mean, for rows whose mean is zero; the second for rows that have lost a channel, which is stored as zero
   (Pre-RMSNorm and Pre-CRMSNorm, arXiv 2305.14858). */
wf_id wf_node_rms_norm(wf_graph *g, wf_id x, const char *name, float eps);
wf_id wf_node_crms_norm(wf_graph *g, wf_id x, const char *name, float eps);
/* The same where the last channel holds the mean that was taken out of the others, for readers without a norm. */
wf_id wf_node_carried_norm(wf_graph *g, wf_id x, const char *name, float eps);
/* RMS with one weight for all channels (SSNorm, arXiv 2506.19697). */
wf_id wf_node_ss_norm(wf_graph *g, wf_id x, const char *name, float eps);
/* Norms whose statistics are constants: RepBN (SLAB, arXiv 2405.11582) has NAME.{weight, bias, mean, var, alpha}, a batch norm no
   alpha, Unified Normalization (arXiv 2208.01313) neither mean nor alpha. Folded into its neighbours nothing is left of such a norm,
   and x itself comes back. */
wf_id wf_node_repbn(wf_graph *g, wf_id x, const char *name, float eps);
wf_id wf_node_batch_norm(wf_graph *g, wf_id x, const char *name, float eps);
wf_id wf_node_un(wf_graph *g, wf_id x, const char *name, float eps);
wf_id wf_node_pool2d(wf_graph *g, wf_id x, const char *name, uint32_t size, bool minus_input);
/* A convolution of each channel by itself, stride 1, zeros outside: NAME.weight [kernel², c], NAME.bias. */
wf_id wf_node_depthwise(wf_graph *g, wf_id x, const char *name, uint32_t kernel);
/* base + the same of the channels of x from `first` on; stripe: 0, or the map ends at the edges of stripes (kernels/window.h). */
wf_id wf_node_depthwise_onto(wf_graph *g, wf_id base, wf_id x, const char *name, uint32_t kernel, uint32_t first, uint32_t stripe);
/* slope: of the numbers below zero. */
wf_id wf_node_relu(wf_graph *g, wf_id x, const char *name, float slope);
wf_id wf_node_gelu(wf_graph *g, wf_id x, const char *name);
/* base + scale · x; scale is a vector weight or WF_NONE. */
wf_id wf_node_residual(wf_graph *g, wf_id base, wf_id x, const char *name, uint32_t scale);
wf_id wf_node_add_table(wf_graph *g, wf_id x, const char *name, uint32_t table);
/* Windows of a map, shifted, or stripes (kernels/window.h); height and stripe 0 = every row sees its whole segment. */
typedef struct wf_window {
    uint32_t height, width, shift_h, shift_w, stripe;
    bool roll_first, padding_has_bias; /* the latter: padding stands for qkv of zeros, which is its bias; else for zeros */
} wf_window;
typedef struct wf_attention {
    uint32_t heads, head_dim;
    float scale;
    wf_window window;
    uint32_t table, padding; /* weights or WF_NONE: relative position bias; what a padded cell has for [q | k | v], else zeros */
    wf_id others;            /* WF_NONE, or [k | v] of the rows that are seen: qkv is q alone then */
    uint32_t kv_heads; /* of k and v, 0 = heads */
    bool causal;       /* rows see their segment's rows up to themselves */
} wf_attention;
wf_id wf_node_attention(wf_graph *g, wf_id qkv, const char *name, const wf_attention *attention);
/* The same of q, k and v in three nodes, without windows (`others` is not read). */
wf_id wf_node_attention_apart(wf_graph *g, const wf_id qkv[3], const char *name, const wf_attention *attention);
/* ids [n, 1, t, 1] → rows [n, t, c] of NAME.weight [vocabulary, c]. */
wf_id wf_node_embed(wf_graph *g, wf_id ids, const char *name, uint32_t vocabulary, uint32_t c);
/* The turns of rotary positions for the rows of a segment of x, `turned` elements a head; then their use on `heads` heads. */
wf_id wf_node_rope_angles(wf_graph *g, wf_id x, const char *name, uint32_t turned, float theta);
wf_id wf_node_rope(wf_graph *g, wf_id x, const char *name, wf_id angles, uint32_t heads, uint32_t head_dim, wf_rope_pairs pairs);
/* silu(x) · up. */
wf_id wf_node_gate(wf_graph *g, wf_id x, wf_id up, const char *name);
/* [n, h, w, c] → [n, h/2, w/2, 4c]. */
wf_id wf_node_patch_merge(wf_graph *g, wf_id x, const char *name);
/* Simplified linear attention (SLAB): NAME.position.weight [cells of a window, heads·d], NAME.window.{weight [kernel², d], bias}; with
   stripes [cells of both halves, heads/2·d], [kernel², 2·d], [2·d]. others as above; the positions are theirs. */
typedef struct wf_sla {
    uint32_t heads, head_dim, kernel;
    wf_window window;
    wf_id others;
} wf_sla;
wf_id wf_node_sla(wf_graph *g, wf_id qkv, const char *name, const wf_sla *sla);
wf_id wf_node_transpose(wf_graph *g, wf_id x, const char *name);
/* Rows first … first + count − 1 of each segment; count = 0: to its end. */
wf_id wf_node_segment_mean(wf_graph *g, wf_id x, const char *name, uint32_t first, uint32_t count);
/* A table of `first` rows and a grid, NAME.weight, added to every segment; the grid is resampled when the map is another one. */
typedef struct wf_position {
    uint32_t first, grid_h, grid_w, map_h, map_w;
    wf_position_resample resample;
} wf_position;
wf_id wf_node_position(wf_graph *g, wf_id x, const char *name, const wf_position *position);
/* `rows` rows of NAME.weight in front of every segment. */
wf_id wf_node_prefix(wf_graph *g, wf_id x, const char *name, uint32_t rows);
/* Heads first … first + heads − 1 of [q | k | v] rows. */
wf_id wf_node_head_norm(wf_graph *g, wf_id x, const char *name, uint32_t first, uint32_t heads, uint32_t head_dim, float eps);
wf_id wf_node_average(wf_graph *g, wf_id a, wf_id b, const char *name);
/* [a | b], channels side by side. */
wf_id wf_node_concat(wf_graph *g, wf_id a, wf_id b, const char *name);
/* Rows first … first + h·w − 1 of each segment as a map of h × w. */
wf_id wf_node_take_rows(wf_graph *g, wf_id x, const char *name, uint32_t first, uint32_t h, uint32_t w);
/* [n, h, w, factor²·c] → [n, h·factor, w·factor, c]. */
wf_id wf_node_pixel_shuffle(wf_graph *g, wf_id x, const char *name, uint32_t factor);

/* ---- passes: rewrite the node list; exact up to rounding, and stop at kept nodes ---- */
/* linear/conv2d → GELU and → residual become the epilogue of the product. */
void wf_pass_fuse_epilogue(wf_graph *g);
/* A norm or int8 product that one int8 product reads writes bytes on that one's grid. After the epilogues are fused. */
void wf_pass_fuse_int8(wf_graph *g);

#endif
