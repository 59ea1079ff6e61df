/* Norms of a checkpoint's blocks, for its map. */
#ifndef WF_CONVERT_NORM_CONFIG_H
#define WF_CONVERT_NORM_CONFIG_H

#include "convert/mapping.h"
#include "parts/parts.h"

typedef struct wf_map_norms {
    const char *kind;       /* of parts.def */
    const char **placement; /* [count] as the config says it: none, one for all blocks, or one for each */
    uint32_t count;
    uint32_t (*places)[2];  /* [blocks] of the mixer and of the MLP: WF_NORM_IN | … */
    bool depth_scaling;
    float eps;              /* 0: the config does not say it */
} wf_map_norms;

/* `found`: the kind that tensors tell (wf_map_norm_kind), or NULL; `placement`: what the source's own config says of it, or NULL. */
void wf_map_read_norms(wf_mapping *m, const char *found, const char *placement, uint32_t blocks, wf_map_norms *out);
/* The norm of block b's mixer (layer 0) or MLP (1) at one place, with its tap, if there is one: source SOURCE, SOURCE_out or
   SOURCE_residual, or SOURCE where it is the only one; node NODE, NODE_out or NODE_residual. */
void wf_map_block_norm(wf_mapping *m, const wf_map_norms *n, uint32_t b, uint32_t layer, uint32_t place, const char *source, const char *node,
                       const char *order);
/* ARCHITECTURE.norm.placement and .norm.depth_scaling, where they say something. */
wf_status wf_map_write_norms(const wf_mapping *m, const wf_map_norms *n, wf_gguf_writer *w, wf_error *err);

#endif
