/* GGUF v3: a reader that is fed with bytes as they arrive, and a writer (gguf.md §1).
   The reader keeps the header (metadata and tensor table) in an arena and hands the tensor data on
   to a sink in file order; it never holds tensor bytes itself. All counts are bounded by the bytes
   that remain in the file. */
#ifndef WF_FORMAT_GGUF_H
#define WF_FORMAT_GGUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "tensor/dtype.h"

typedef enum wf_gguf_type {
    WF_GGUF_U8,
    WF_GGUF_I8,
    WF_GGUF_U16,
    WF_GGUF_I16,
    WF_GGUF_U32,
    WF_GGUF_I32,
    WF_GGUF_F32,
    WF_GGUF_BOOL,
    WF_GGUF_STRING,
    WF_GGUF_ARRAY,
    WF_GGUF_U64,
    WF_GGUF_I64,
    WF_GGUF_F64
} wf_gguf_type;

typedef struct wf_gguf_string {
    const char *text; /* NUL-terminated copy */
    uint64_t length;  /* bytes, without the NUL; a NUL inside the string is an error */
} wf_gguf_string;

/* One metadata value. For an array `type` is WF_GGUF_ARRAY, `element` its type, and `items` points
   at `count` packed native values (uint8_t … double) or wf_gguf_string. Nested arrays: refused as
   unsupported. */
typedef struct wf_gguf_kv {
    wf_gguf_string key;
    wf_gguf_type type, element;
    uint64_t count;
    union {
        uint64_t u;
        int64_t i;
        double f;
        wf_gguf_string s;
        const void *items;
    } value;
} wf_gguf_kv;

typedef struct wf_gguf_tensor {
    wf_gguf_string name;
    uint32_t n_dims;
    uint64_t dims[4]; /* dims[0] is the fastest axis; missing ones are 1 */
    wf_dtype type;
    uint64_t offset; /* from the start of the data section */
    uint64_t bytes;
} wf_gguf_tensor;

typedef struct wf_gguf {
    wf_arena arena;
    wf_gguf_kv *kvs;
    uint64_t kv_count;
    wf_gguf_tensor *tensors; /* as listed in the file */
    uint64_t tensor_count;
    uint32_t *by_offset; /* tensor indices in ascending order of offset: the order of arrival */
    uint32_t *kv_by_name,
        *tensor_by_name; /* indices in the byte order of the names, for binary search */
    uint64_t data_start; /* bytes of header and padding */
    uint64_t
        total_bytes; /* data_start + end of the last tensor: what a complete file has at least */
    uint32_t alignment;
} wf_gguf;

/* Metadata access; NULL or false when absent or of another type (integers of every width are
 * accepted where they fit). */
const wf_gguf_kv *wf_gguf_find(const wf_gguf *g, const char *key);
bool wf_gguf_get_u64(const wf_gguf *g, const char *key, uint64_t *out);
bool wf_gguf_get_f64(const wf_gguf *g, const char *key, double *out); /* floats and integers */
bool wf_gguf_get_bool(const wf_gguf *g, const char *key, bool *out);
const char *wf_gguf_get_string(const wf_gguf *g, const char *key);
/* Element i of an array as the wanted kind. */
bool wf_gguf_item_u64(const wf_gguf_kv *kv, uint64_t i, uint64_t *out);
bool wf_gguf_item_f64(const wf_gguf_kv *kv, uint64_t i, double *out);
const char *wf_gguf_item_string(const wf_gguf_kv *kv, uint64_t i);
/* Hash or binary search; NULL when absent. */
const wf_gguf_tensor *wf_gguf_find_tensor(const wf_gguf *g, const char *name);

/* Elements of all tensors, without the zeros that pad rows to a block. */
uint64_t wf_gguf_parameters(const wf_gguf *g);

/* ---- reading ---- */

/* Receives tensor data in file order, in pieces of any size; `at` is the piece's offset inside the
   tensor. Padding between tensors is not passed on. A status other than WF_OK stops the reader and
   is returned by feed. */
typedef struct wf_gguf_sink {
    void *user;
    wf_status (*data)(void *user, uint32_t tensor, uint64_t at, const void *bytes, size_t n,
                      wf_error *err);
} wf_gguf_sink;

typedef struct wf_gguf_reader wf_gguf_reader;

/* file_bytes: the file's length where it is known, else 0 (counts are then bounded by limits stated
 * in gguf_read.c). */
wf_status wf_gguf_reader_create(uint64_t file_bytes, wf_gguf_reader **out, wf_error *err);
void wf_gguf_reader_free(wf_gguf_reader *r); /* also frees the wf_gguf that it owns */
/* Takes the next n bytes. Before the header is complete they are buffered and *header stays NULL;
   when the header is complete *header is set and feed returns having consumed only what the header
   needed (*used), so that the caller can look at the header and set a sink before it feeds the
   rest. After that all n bytes are consumed. */
wf_status wf_gguf_reader_feed(wf_gguf_reader *r, const void *bytes, size_t n, size_t *used,
                              const wf_gguf **header, wf_error *err);
void wf_gguf_reader_set_sink(wf_gguf_reader *r, wf_gguf_sink sink);
/* The input has ended: an error (with the byte counts) unless every tensor is complete. */
wf_status wf_gguf_reader_finish(wf_gguf_reader *r, wf_error *err);
/* Bytes consumed so far, and the offset of the first tensor byte not yet delivered. */
uint64_t wf_gguf_reader_position(const wf_gguf_reader *r);

/* ---- writing ---- */

/* Writes to memory-less output: every byte goes to `write` in file order. */
typedef struct wf_byte_sink {
    void *user;
    wf_status (*write)(void *user, const void *bytes, size_t n, wf_error *err);
} wf_byte_sink;

typedef struct wf_gguf_writer wf_gguf_writer;

wf_status wf_gguf_writer_create(wf_gguf_writer **out, wf_error *err);
void wf_gguf_writer_free(wf_gguf_writer *w);
/* Keys in the order of the calls. Adding a key twice is an error. */
wf_status wf_gguf_add_u32(wf_gguf_writer *w, const char *key, uint32_t v, wf_error *err);
wf_status wf_gguf_add_u64(wf_gguf_writer *w, const char *key, uint64_t v, wf_error *err);
wf_status wf_gguf_add_f32(wf_gguf_writer *w, const char *key, float v, wf_error *err);
wf_status wf_gguf_add_bool(wf_gguf_writer *w, const char *key, bool v, wf_error *err);
wf_status wf_gguf_add_string(wf_gguf_writer *w, const char *key, const char *v, wf_error *err);
/* items: `count` packed values of the element type (const char *const * for strings). */
wf_status wf_gguf_add_array(wf_gguf_writer *w, const char *key, wf_gguf_type element,
                            const void *items, uint64_t count, wf_error *err);
/* The first key: 32 bytes (U8) for the SHA-256 of the header, all bytes before the data, with these 32
 * taken as zeros; wf_gguf_write_header fills them in. */
wf_status wf_gguf_add_seal(wf_gguf_writer *w, const char *key, wf_error *err);
/* Copies a value read from another file. */
wf_status wf_gguf_add_kv(wf_gguf_writer *w, const wf_gguf_kv *kv, wf_error *err);
/* Declares a tensor; data follow in the order of declaration. */
wf_status wf_gguf_add_tensor(wf_gguf_writer *w, const char *name, wf_dtype type, uint32_t n_dims,
                             const uint64_t *dims, wf_error *err);
/* Header out; then for each declared tensor in order exactly its bytes through wf_gguf_write_data
 * (in any pieces); then end. */
wf_status wf_gguf_write_header(wf_gguf_writer *w, wf_byte_sink sink, wf_error *err);
wf_status wf_gguf_write_data(wf_gguf_writer *w, const void *bytes, size_t n, wf_error *err);
wf_status wf_gguf_write_end(wf_gguf_writer *w, wf_error *err);

#endif
