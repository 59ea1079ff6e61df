/* Files in memory for the tests of src/format: a byte builder, a wf_file over bytes, a wf_byte_sink
 * into bytes. */
#ifndef WF_TESTS_FORMAT_MEMORY_H
#define WF_TESTS_FORMAT_MEMORY_H

#include <stdlib.h>

#include "../check.h"
#include "format/gguf.h"
#include "format/source.h"

typedef struct blob {
    uint8_t *bytes;
    size_t n, capacity;
} blob;

static inline void blob_put(blob *b, const void *p, size_t n) {
    if (b->n + n > b->capacity) {
        b->capacity = (b->n + n) * 2 + 64;
        b->bytes = realloc(b->bytes, b->capacity);
    }
    if (n != 0) {
        memcpy(b->bytes + b->n, p, n);
    }
    b->n += n;
}

static inline void blob_int(blob *b, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        uint8_t c = i < 8 ? (uint8_t)(v >> 8 * i) : 0;
        blob_put(b, &c, 1);
    }
}

static inline void blob_text(blob *b, const char *s) {
    blob_put(b, s, strlen(s));
}

/* A GGUF string: length, bytes. */
static inline void blob_string(blob *b, const char *s) {
    blob_int(b, strlen(s), 8);
    blob_text(b, s);
}

static inline void blob_free(blob *b) {
    free(b->bytes);
    memset(b, 0, sizeof *b);
}

static inline wf_status blob_sink_write(void *user, const void *bytes, size_t n, wf_error *err) {
    (void)err;
    blob_put(user, bytes, n);
    return WF_OK;
}

static inline wf_byte_sink blob_sink(blob *b) {
    wf_byte_sink sink = {b, blob_sink_write};
    return sink;
}

static inline wf_status blob_file_read(void *user, uint64_t offset, void *dst, size_t n,
                                       wf_error *err) {
    const blob *b = user;
    if (offset > b->n || n > b->n - offset) {
        return wf_fail(err, WF_E_IO, "memory file", (int64_t)offset,
                       "read of %zu bytes at %llu, past the end", n, (unsigned long long)offset);
    }
    if (n != 0) {
        memcpy(dst, b->bytes + offset, n);
    }
    return WF_OK;
}

static inline wf_file blob_file(blob *b) {
    wf_file f = {b, b->n, blob_file_read};
    return f;
}

/* The whole of a file on disk; false where there is none. */
static inline bool blob_load(blob *b, const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return false;
    }
    uint8_t piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) != 0) {
        blob_put(b, piece, n);
    }
    fclose(f);
    return true;
}

#endif
