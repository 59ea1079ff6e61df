/* The model's insides, shared by the files of runtime/. */
#ifndef WF_RUNTIME_MODEL_H
#define WF_RUNTIME_MODEL_H

#include "graph/plan.h"
#include "models/models.h"
#include "runtime/files.h"
#include "wasmformer.h"

/* One row of wf.taps: "SOURCE NAME|node|order". */
typedef struct wf_tap {
    const char *source, *node, *order;
} wf_tap;

/* Collects the rows of a tensor until a group of WF_PANEL is complete. */
typedef struct wf_loader {
    uint32_t *weight_of; /* [tensors] id in the weight table, or WF_NONE */
    uint8_t *staging;    /* one group of stored rows */
    uint64_t staging_bytes, staged;
    uint64_t admitted; /* place in by_offset of the first tensor whose bytes are not verified yet */
} wf_loader;

struct wf_model {
    wf_options options;
    char file_name[WF_FILE_NAME]; /* of the first, where there are several */
    wf_arena arena;
    wf_files files;
    const wf_gguf *gguf; /* NULL until every header has come */
    const wf_arch *arch;
    const void *config;
    wf_input_spec input;
    wf_weights weights;
    wf_loader loader;
    wf_pool *pool;
    wf_tap *taps;
    uint32_t tap_count;
    const char **bare_norms; /* wf.norm.bare */
    uint32_t bare_norm_count;
    wf_image_params image;
    bool has_image;
    const wf_gguf_kv *labels;
    const wf_gguf_kv *outputs; /* wf.outputs, or NULL */
    wf_scores scores;
    float threshold;
    uint32_t grid[2]; /* rows and columns of tiles, or 0 */
    uint64_t activation_bytes, cost, parameters;
    uint32_t nodes, norm_nodes;
    bool reserved, complete;
    wf_error error; /* a failed model stays failed */
};

/* meaning.c: what the file says of its outputs, of which there are so many. */
wf_status wf_meaning_read(wf_model *m, uint32_t outputs, wf_error *err);

/* loader.c */
wf_status wf_loader_prepare(wf_model *m, wf_error *err);
wf_status wf_loader_data(void *model, uint32_t tensor, uint64_t at, const void *bytes, size_t n, wf_error *err);
/* Lets runs use the weights that have arrived and whose bytes, up to `verified` from the file's beginning, are verified. */
void wf_loader_admit(wf_model *m, uint64_t verified);
void wf_loader_free(wf_loader *l);

/* Builds the plan of one shape class; kept: node names that must stay observable. The plan's arena is the caller's. */
wf_status wf_model_plan(wf_model *m, wf_arena *arena, const wf_input_class *in, const char *const *kept, uint32_t kept_count,
                        wf_plan *out, wf_error *err);

/* session.c: the runs that begin from now on are watched (NULL: no longer). */
void wf_session_observe(wf_session *s, wf_observe observe, void *observer);
/* session.c: the plan of the chosen shape class (NULL before prepare), and the node that comes next in it. */
const wf_plan *wf_session_plan(const wf_session *s);
uint32_t wf_session_cursor(const wf_session *s);

/* edge.c: between internal rows and the source's order. */
typedef struct wf_edge {
    const char *order;
    const wf_shape *shape;
    const wf_op_params *window; /* of the attention behind it, for the order "window"; else NULL */
} wf_edge;
wf_status wf_edge_dims(const wf_edge *e, uint32_t *n_dims, uint32_t dims[4]);
void wf_edge_read(const void *data, bool is_double, const wf_edge *e, void *dst, bool dst_double);

#endif
