/* A pickle reader that executes nothing. It rebuilds plain values (numbers, strings, tuples, lists,
   dicts) and, from the few functions that torch.save uses, tensors; every other class becomes an
   inert object that only remembers its name. */
#ifndef WF_FORMAT_PICKLE_H
#define WF_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum wf_pickle_kind {
    WF_PICKLE_NONE,
    WF_PICKLE_BOOL,
    WF_PICKLE_INT,
    WF_PICKLE_FLOAT,
    WF_PICKLE_STRING,
    WF_PICKLE_BYTES,
    WF_PICKLE_TUPLE,
    WF_PICKLE_LIST, /* and set */
    WF_PICKLE_DICT,
    WF_PICKLE_GLOBAL, /* a class or function by its name */
    WF_PICKLE_OBJECT, /* an instance of, or result of a call to, something unknown */
    WF_PICKLE_STORAGE,
    WF_PICKLE_TENSOR,
    WF_PICKLE_MARK /* on the stack only */
} wf_pickle_kind;

typedef struct wf_pickle_value wf_pickle_value;
struct wf_pickle_value {
    wf_pickle_kind kind;
    union {
        int64_t i; /* INT, BOOL */
        double f;
        struct {
            const char *text; /* NUL-terminated, but may hold more NULs */
            size_t bytes;
        } string;
        struct {
            wf_pickle_value **items; /* DICT and OBJECT: key, value, key, value, … */
            size_t count, capacity;  /* of items */
            wf_pickle_value *type;   /* OBJECT: its GLOBAL, or NULL */
        } list;
        struct {
            const char *module, *name;
        } global;
        struct { /* a persistent id ('storage', type, key, location, numel) */
            const char *type, *key;
            int64_t elements;
            bool is_view;                    /* of another storage: only very old files have such */
            const wf_pickle_value *previous; /* that was made before this one */
        } storage;
        struct {
            const wf_pickle_value *storage, *offset, *size,
                *stride;       /* STORAGE, INT, TUPLE, TUPLE */
            const char *dtype; /* "uint16" …, where it is not the storage's; else NULL */
        } tensor;
    } as;
};

/* Values live in `arena`; they may contain themselves. Memory is bounded by a constant times n. */
wf_status wf_pickle_load(wf_arena *arena, const uint8_t *bytes, size_t n, wf_pickle_value **out,
                         wf_error *err);
/* The same for a pickle that more bytes follow (the legacy container has several, one behind the
   other): *used is its length. *storages: the last STORAGE that it made, from which `previous` leads
   to all others. *cut: it failed because the bytes ended, so that more of them may help. */
typedef struct wf_pickle_part {
    wf_pickle_value *value;
    size_t used;
    const wf_pickle_value *storages;
    bool cut;
} wf_pickle_part;
wf_status wf_pickle_load_part(wf_arena *arena, const uint8_t *bytes, size_t n, wf_pickle_part *out,
                              wf_error *err);
/* The value under a string key of a DICT or OBJECT, the last one where it was set more than once;
 * NULL when absent. */
const wf_pickle_value *wf_pickle_get(const wf_pickle_value *dict, const char *key);

#endif
