/* Stored element types and the block formats of weights. A "row" runs along the fastest axis (GGUF dims[0],
   the input features of a linear layer); blocks never cross rows. */
#ifndef WF_TENSOR_DTYPE_H
#define WF_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wf_dtype {
#define WF_DTYPE(name, gguf_id, block, bytes) WF_##name,
#include "tensor/dtypes.def"
#undef WF_DTYPE
    WF_DTYPE_COUNT
} wf_dtype;

typedef struct wf_dtype_info {
    const char *name; /* "F32", "Q8_0", … */
    uint32_t gguf_id;
    uint32_t block; /* elements a block */
    uint32_t bytes; /* bytes a block */
    /* Both NULL for types that only occur as raw data (integers); I8 decodes to its integers. k is a multiple of `block`. */
    void (*decode)(const void *src, float *dst, size_t k);
    void (*encode)(const float *src, void *dst, size_t k);
} wf_dtype_info;

const wf_dtype_info *wf_dtype_get(wf_dtype type);
/* Looks a GGUF type id up; false for dead and unknown ids. */
bool wf_dtype_from_gguf(uint32_t id, wf_dtype *out);
/* The ggml name of an id that we do not support ("Q4_K"), or NULL for an id that means nothing. */
const char *wf_gguf_type_name(uint32_t id);
/* Bytes of one row of k elements; k must be a multiple of the block. */
uint64_t wf_dtype_row_bytes(wf_dtype type, uint64_t k);

#endif
