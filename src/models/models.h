/* Architectures: metadata → configuration → graph. */
#ifndef WF_MODELS_MODELS_H
#define WF_MODELS_MODELS_H

#include "format/gguf.h"
#include "parts/parts.h"

/* What a model reads; the shape class of a plan is (n, h, w). A language model reads n sequences of h token ids: channels and w are
   1 and vocabulary is not 0. */
typedef struct wf_input_spec {
    const char *name; /* "input", "input_ids" */
    uint32_t channels, height, width; /* the size the file recommends */
    uint32_t vocabulary, context;     /* ids are below the one, sequences no longer than the other; 0 = pictures */
} wf_input_spec;

typedef struct wf_input_class {
    uint32_t n, h, w;
} wf_input_class;

typedef struct wf_arch {
    const char *name;
    /* Reads and checks all metadata; *config lives in the arena. */
    wf_status (*configure)(const wf_gguf *meta, wf_arena *arena, const void **config, wf_input_spec *input, wf_error *err);
    /* Adds the whole forward pass for one shape class. Errors stay in the graph. */
    void (*build)(wf_graph *g, const void *config, const wf_input_class *in);
} wf_arch;

/* NULL when unknown; the error then lists the known ones. */
const wf_arch *wf_arch_find(const char *name);
const char *wf_arch_list(void); /* "poolformer, wf.metaformer" */

/* Reading metadata with errors that name the key. The prefix is the architecture's name. */
typedef struct wf_meta {
    const wf_gguf *gguf;
    const char *arch;
    wf_error *err;
    wf_status status; /* the first failure */
} wf_meta;
bool wf_meta_has(const wf_meta *m, const char *key);
uint32_t wf_meta_u32(wf_meta *m, const char *key, uint32_t low, uint32_t high);
float wf_meta_f32(wf_meta *m, const char *key, float low, float high); /* low ≤ value ≤ high, so never NaN */
bool wf_meta_bool(wf_meta *m, const char *key);
const char *wf_meta_string(wf_meta *m, const char *key);
/* An array with `count` items (count = 0: any from 1 to `most`); returns the number of items. */
uint32_t wf_meta_u32s(wf_meta *m, const char *key, uint32_t count, uint32_t most, uint32_t low, uint32_t high, uint32_t *out);
uint32_t wf_meta_strings(wf_meta *m, const char *key, uint32_t count, const char **out);
/* The kind of norm called `name` (parts.def), read from `key`; `none` after an error. */
wf_norm_kind wf_meta_norm_kind(wf_meta *m, const char *key, const char *name);
/* The norm that key `kind` names, with the epsilon of key `eps`. */
wf_norm_slot wf_meta_norm(wf_meta *m, const char *kind, const char *eps);
/* The norms of `blocks` blocks, each of its mixer and of its channel MLP:
     norm, norm_epsilon
     norm.placement      of both sub-layers ("in", "out", "residual", "in+out" …; absent: "in"), or "MIXER,CHANNEL"; or an array of
                         such texts, one a block
     norm.depth_scaling  true: what a norm gives is divided by the root of the block's number, from 1 (absent: false) */
void wf_meta_block_norms(wf_meta *m, uint32_t blocks, wf_norm_slot (*out)[2]);
/* Any number from 1 to `most`; returns how many. */
uint32_t wf_meta_strings_most(wf_meta *m, const char *key, uint32_t most, const char **out);
void wf_meta_fail(wf_meta *m, const char *key, const char *why);
/* The file is right, but asks for something that this version does not compute. */
void wf_meta_refuse(wf_meta *m, const char *key, const char *what);

#endif
