/* One view of every checkpoint container that convert reads: a table of named tensors plus a way to
   read their bytes. Opened by safetensors.c, torch_zip.c, torch_legacy.c and source_gguf.c (nothing in a pickle is
   executed). */
#ifndef WF_FORMAT_SOURCE_H
#define WF_FORMAT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "tensor/dtype.h"

enum { WF_SOURCE_MAX_DIMS = 8 };

/* Random access to the file's bytes; the CLI implements it with fread, the page with a Blob held in
 * memory. */
typedef struct wf_file {
    void *user;
    uint64_t size;
    wf_status (*read)(void *user, uint64_t offset, void *dst, size_t n, wf_error *err);
} wf_file;

typedef struct wf_source_tensor {
    const char *name;
    wf_dtype type;
    bool is_bool; /* type is I8; every byte but 0 counts as 1 */
    bool is_u8;   /* type is I8, but the bytes are unsigned: 0 … 255 */
    uint32_t n_dims;
    uint64_t dims[WF_SOURCE_MAX_DIMS];   /* outermost first, as in PyTorch */
    int64_t strides[WF_SOURCE_MAX_DIMS]; /* in elements */
    uint64_t elements;
    uint64_t storage_at; /* file offset of the storage's first byte */
    uint64_t storage_bytes;
    uint64_t first; /* element offset of the tensor inside its storage */
    bool is_mask; /* while the table is made: of another tensor */
    const struct wf_source_tensor *mask; /* by which reading multiplies (torch.nn.utils.prune), or NULL */
} wf_source_tensor;

typedef struct wf_source {
    wf_arena arena;
    const char *container; /* "safetensors", "torch zip", "torch legacy", "GGUF" */
    wf_file file;
    wf_source_tensor *tensors;
    uint64_t tensor_count;
    uint32_t *by_name; /* indices in the byte order of the names */
    /* What was unwrapped and cut off to find the plain names ("model", "without the prefix
       module.", "state_dict, without the prefix _orig_mod."), or NULL. */
    const char *prefix_note;
    const struct wf_gguf *gguf; /* of a GGUF source: its metadata; else NULL */
    struct wf_gguf_reader *gguf_reader; /* owns them */
} wf_source;

/* Recognises the container by its first bytes; the error names what the bytes look like (HTML page,
 * GGUF, gzip, …). */
wf_status wf_source_open(wf_file file, wf_source *out, wf_error *err);
/* The same, and a GGUF file too, where it may be converted further. */
wf_status wf_source_or_model_open(wf_file file, wf_source *out, wf_error *err);
void wf_source_close(wf_source *s);
wf_status wf_safetensors_open(wf_file file, wf_source *out, wf_error *err);
wf_status wf_torch_zip_open(wf_file file, wf_source *out, wf_error *err);
wf_status wf_torch_legacy_open(wf_file file, wf_source *out, wf_error *err);
wf_status wf_gguf_source_open(wf_file file, wf_source *out, wf_error *err);

/* ---- checkpoints in several files, as an index (NAME.safetensors.index.json) lists them ---- */
typedef struct wf_shards {
    wf_arena arena;
    const char *index_name; /* of the index, for errors; the caller's */
    const struct wf_json *map;
    const char **names;     /* [count] plain file names, beside the index */
    wf_file *files;         /* [count] to be filled by the caller, who keeps them open */
    uint32_t count;
} wf_shards;

wf_status wf_shards_read(wf_shards *shards, const char *json, size_t n, const char *index_name,
                         wf_error *err);
void wf_shards_free(wf_shards *shards);
/* One source over all the files; `shards` must outlive it. Fails unless every tensor of the index is
 * where it says. */
wf_status wf_shards_open(const wf_shards *shards, wf_source *out, wf_error *err);

const wf_source_tensor *wf_source_find(const wf_source *s, const char *name);
/* Decodes `count` elements, from logical (row-major) element `first` on, to float or double.
 * Integers convert; strided tensors are gathered. */
wf_status wf_source_read_f32(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                             uint64_t count, float *dst, wf_error *err);
wf_status wf_source_read_f64(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                             uint64_t count, double *dst, wf_error *err);

/* ---- writing safetensors (for `run --out`) ---- */
typedef struct wf_safetensors_entry {
    const char *name;
    wf_dtype type; /* F32 or F64 */
    uint32_t n_dims;
    uint64_t dims[WF_SOURCE_MAX_DIMS];
    const void *data;
} wf_safetensors_entry;

struct wf_byte_sink;
wf_status wf_safetensors_write(const struct wf_byte_sink *sink, const wf_safetensors_entry *entries,
                               uint64_t count, wf_error *err);

#endif
