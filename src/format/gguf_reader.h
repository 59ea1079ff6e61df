/* Private to the three files of the GGUF reader: gguf_read.c (feeding), gguf_header.c (one function
   for each step of the header) and gguf_check.c (what can only be checked when the whole header is
   there). */
#ifndef WF_FORMAT_GGUF_READER_H
#define WF_FORMAT_GGUF_READER_H

#include "format/gguf.h"

/* Where the file's length is unknown, and as a bound on memory in any case. */
#define WF_GGUF_HEADER_LIMIT (UINT64_C(256) << 20)

enum { WF_GGUF_FIXED_BYTES = 24 }; /* magic, version, tensor count, key count */

typedef enum wf_gguf_step {
    STEP_FIXED,
    STEP_KEY_LENGTH,
    STEP_KEY,
    STEP_TYPE,
    STEP_SCALAR,
    STEP_STRING_LENGTH,
    STEP_STRING,
    STEP_ARRAY,
    STEP_ITEMS,
    STEP_ITEM_LENGTH,
    STEP_ITEM,
    STEP_NAME_LENGTH,
    STEP_NAME,
    STEP_DIMENSION_COUNT,
    STEP_TENSOR,
    STEP_PADDING,
    STEP_DATA
} wf_gguf_step;

struct wf_gguf_reader {
    wf_gguf g;
    uint64_t file_bytes; /* 0: unknown */
    uint64_t limit;      /* the header must end before this */
    uint64_t position;   /* bytes consumed by finished steps, and by data */
    wf_gguf_step step;
    uint64_t need; /* bytes of the current step */
    uint8_t *carry;
    size_t carry_bytes, carry_capacity;
    size_t kv_capacity, tensor_capacity;
    uint64_t kvs_expected, tensors_expected;
    wf_gguf_string *items; /* of the string array that is being read */
    uint64_t item_count;
    size_t item_capacity;
    uint64_t current; /* place in by_offset of the tensor whose bytes come next */
    wf_gguf_sink sink;
    wf_status status; /* the first failure, which every later call repeats */
    wf_error error;
};

wf_status wf_gguf_reader_no_memory(wf_gguf_reader *r);
/* Refuses a count of things, each of at least `each` bytes, that cannot fit into what may still
 * come. */
wf_status wf_gguf_reader_check_room(wf_gguf_reader *r, uint64_t count, uint64_t each,
                                    const char *what);
/* The error for bytes that don't begin a GGUF file: says what they look like. */
wf_status wf_gguf_reader_refuse(wf_gguf_reader *r, const uint8_t *p, size_t n);
/* Takes the bytes of the current step, all r->need of them, and names the next one. */
wf_status wf_gguf_reader_step(wf_gguf_reader *r, const uint8_t *p);
/* Sorts the tables, then checks names, alignment and places, and computes where the data begin and
 * end. */
wf_status wf_gguf_reader_end_header(wf_gguf_reader *r);

#endif
