/* The weights of a model: identity, use and residency. A graph names a weight and says how it reads it; the table checks that
   against what the file stores, once, and remembers how many nodes use it (a pass that rewrites a weight must refuse one with
   two different uses). Data become resident tensor by tensor as the file arrives, in the layout that the kernels read. */
#ifndef WF_GRAPH_WEIGHTS_H
#define WF_GRAPH_WEIGHTS_H

#include "base/arena.h"
#include "graph/run_types.h"
#include "kernels/codec.h"
#include "kernels/op.h"

/* A lookup is a table of which a run reads a few rows: it stays as it is stored. */
typedef enum wf_role { WF_ROLE_VECTOR, WF_ROLE_TABLE, WF_ROLE_MATRIX, WF_ROLE_LOOKUP } wf_role;

/* What the file says about a tensor; `index` identifies it to the loader. */
typedef struct wf_stored {
    uint32_t index;
    wf_dtype type;
    uint32_t n_dims;
    uint64_t dims[4]; /* dims[0] fastest */
} wf_stored;

typedef struct wf_weight_entry {
    const char *name;
    wf_role role;
    wf_stored stored;
    wf_weight view;    /* data set once memory is reserved */
    uint64_t bytes;    /* of the layout in memory */
    uint32_t stored_k; /* elements of a stored row: k, or k padded to the block */
    uint32_t uses;
    uint64_t rows_done; /* stored rows that have been packed */
    /* An I8 matrix that is read as floats: its rows' steps and its columns' gains (or WF_NONE), multiplied in when all are here. */
    uint32_t steps, gains;
    bool scaled;
    bool resident; /* all rows are packed: nodes may compute with it */
    bool trusted;  /* its bytes are verified: results that used it may leave */
    void *memory;
} wf_weight_entry;

typedef bool (*wf_stored_find)(void *user, const char *name, wf_stored *out);

typedef struct wf_weights {
    wf_arena *arena;
    wf_backend backend;
    bool passing;   /* a weight's memory comes with its first row and goes with its last reader (wf_options.one_run) */
    bool int8_rows; /* Q8_0 and I8 matrices are multiplied with int8 rows (SIMD and scalar backends) */
    wf_stored_find find;
    void *find_user;
    const char *file; /* for errors: "poolformer.gguf" or "model" */
    wf_weight_entry *entries;
    uint32_t count, capacity;
} wf_weights;

enum { WF_NONE = 0xffffffffu };

void wf_weights_init(wf_weights *t, wf_arena *arena, wf_backend backend);
/* Frees the memory of the data; entries live in the arena. */
void wf_weights_free(wf_weights *t);
/* Registers a use and returns the weight's id. Fails when the tensor is absent, has other dimensions than n × k (vector: k; table,
   matrix and lookup: n rows of k), or a type that the role cannot take. */
wf_status wf_weights_use(wf_weights *t, const char *name, wf_role role, uint32_t n, uint32_t k, uint32_t *id, wf_error *err);
/* Matrix `id` is I8 and is to be read as floats, q · steps[row] · gains[column % their number]; both are vectors in use. */
void wf_weights_scale(wf_weights *t, uint32_t id, uint32_t steps, uint32_t gains);
bool wf_weights_has(const wf_weights *t, const char *name);
/* Bytes that all registered weights will occupy. */
uint64_t wf_weights_bytes(const wf_weights *t);
/* Takes the memory for all registered weights; of passing ones none yet. */
wf_status wf_weights_reserve(wf_weights *t, wf_error *err);
/* `rows` complete stored rows, starting at stored row `first` (a multiple of WF_PANEL for matrices; `rows` too, except at the end). */
wf_status wf_weights_rows(wf_weights *t, uint32_t id, uint64_t first, const void *stored, uint64_t rows, wf_error *err);
/* Gives a weight's memory back: no node can read it again. */
void wf_weights_drop(wf_weights *t, uint32_t id);
/* The bytes of a weight are verified: it is trusted if all its rows are packed. Returns whether it is. */
bool wf_weights_admit(wf_weights *t, uint32_t id);
/* Whether every registered weight is trusted. */
bool wf_weights_are_trusted(const wf_weights *t);

#endif
