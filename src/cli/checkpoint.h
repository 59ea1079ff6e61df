/* A checkpoint as people have it on their disk: a file, the folder of a Hugging Face model, or one of a sharded checkpoint's files. */
#ifndef WF_CLI_CHECKPOINT_H
#define WF_CLI_CHECKPOINT_H

#include "base/status.h"

enum { WF_CHECKPOINT_PATH = 2048 };

typedef struct wf_checkpoint {
    const char *file;   /* what is to be opened: the source itself, or found[0] */
    const char *config; /* the folder's config.json, or NULL */
    char found[2][WF_CHECKPOINT_PATH];
} wf_checkpoint;

/* Of a folder: its model.safetensors, the index of its shards, or pytorch_model.bin, and its config.json. Of a shard: the index
   beside it. Everything else is taken as it is. */
wf_status wf_checkpoint_find(const char *source, wf_checkpoint *out, wf_error *err);

#endif
