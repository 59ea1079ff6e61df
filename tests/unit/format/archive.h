/* For the tests of PyTorch's container: zip archives and the pickles inside them, written byte by
 * byte. */
#ifndef WF_TESTS_FORMAT_ARCHIVE_H
#define WF_TESTS_FORMAT_ARCHIVE_H

#include "memory.h"

#define LITERAL(s) s, sizeof(s) - 1

typedef struct entry {
    const char *name;
    const void *bytes;
    size_t n;
} entry;

enum { DEFLATED = 1, ZIP64 = 2 };

static inline void put_archive(blob *out, const entry *entries, int count, int flags) {
    uint32_t headers[16];
    for (int i = 0; i < count; i++) {
        const entry *e = &entries[i];
        headers[i] = (uint32_t)out->n;
        blob_put(out, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
        blob_int(out, e->n, 4);
        blob_int(out, e->n, 4);
        blob_int(out, strlen(e->name), 2);
        blob_int(out, 3, 2); /* an extra field that only the local header has */
        blob_text(out, e->name);
        blob_put(out, "xyz", 3);
        blob_put(out, e->bytes, e->n);
    }
    size_t directory = out->n;
    for (int i = 0; i < count; i++) {
        const entry *e = &entries[i];
        bool wide = (flags & ZIP64) != 0;
        blob_put(out, "PK\1\2\0\0\0\0\0\0", 10);
        blob_int(out, (flags & DEFLATED) != 0 ? 8 : 0, 2);
        blob_int(out, 0, 8);
        blob_int(out, wide ? 0xffffffff : e->n, 4);
        blob_int(out, wide ? 0xffffffff : e->n, 4);
        blob_int(out, strlen(e->name), 2);
        blob_int(out, wide ? 28 : 0, 2);
        blob_int(out, 0, 2 + 2 + 2 + 4);
        blob_int(out, wide ? 0xffffffff : headers[i], 4);
        blob_text(out, e->name);
        if (wide) {
            blob_int(out, 1, 2);
            blob_int(out, 24, 2);
            blob_int(out, e->n, 8);
            blob_int(out, e->n, 8);
            blob_int(out, headers[i], 8);
        }
    }
    size_t end = out->n;
    if ((flags & ZIP64) != 0) {
        blob_put(out, "PK\6\6", 4);
        blob_int(out, 44, 8);
        blob_int(out, 0, 4 + 8);
        blob_int(out, (uint64_t)count, 8);
        blob_int(out, (uint64_t)count, 8);
        blob_int(out, end - directory, 8);
        blob_int(out, directory, 8);
        blob_put(out, "PK\6\7\0\0\0\0", 8);
        blob_int(out, end, 8);
        blob_int(out, 1, 4);
    }
    blob_put(out, "PK\5\6\0\0\0\0", 8);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffff : (uint64_t)count, 2);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffff : (uint64_t)count, 2);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffffffff : end - directory, 4);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffffffff : directory, 4);
    blob_int(out, 9, 2);
    blob_text(out, "a comment");
}

static inline void pickle_text(blob *p, const char *s) {
    blob_text(p, "X");
    blob_int(p, strlen(s), 4);
    blob_text(p, s);
}

static inline void pickle_int(blob *p, int64_t v) {
    blob_put(p, "\x8a\x08", 2);
    blob_int(p, (uint64_t)v, 8);
}

/* key, then a call of _rebuild_tensor_v2 with these arguments. */
static inline void pickle_tensor(blob *p, const char *key, const char *type, const char *storage,
                                 int64_t numel, int64_t offset, int n_dims, const int64_t *size,
                                 const int64_t *stride) {
    pickle_text(p, key);
    blob_text(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(p, "storage");
    blob_text(p, "ctorch\n");
    blob_text(p, type);
    blob_text(p, "\n");
    pickle_text(p, storage);
    pickle_text(p, "cpu");
    pickle_int(p, numel);
    blob_text(p, "tQ");
    pickle_int(p, offset);
    for (int k = 0; k < 2; k++) {
        blob_text(p, "(");
        for (int d = 0; d < n_dims; d++) {
            pickle_int(p, k == 0 ? size[d] : stride[d]);
        }
        blob_text(p, "t");
    }
    blob_put(p,
             "\x89"
             "}tR",
             4);
}

static inline void begin_pickle(blob *p) {
    blob_put(p, "\x80\2}(", 4);
}
static inline void end_pickle(blob *p) {
    blob_text(p, "u.");
}

static const float storage[6] = {1, 2, 3, 4, 5, 6};

static inline wf_status open_blob(blob *file, wf_source *s, wf_error *err) {
    wf_error_clear(err);
    return wf_source_open(blob_file(file), s, err);
}

/* Pickle of {"t": 2×3 view of the storage}. */
static inline blob good_pickle(void) {
    static const int64_t size[2] = {2, 3}, stride[2] = {3, 1};
    blob p = {NULL, 0, 0};
    begin_pickle(&p);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 0, 2, size, stride);
    end_pickle(&p);
    return p;
}

#endif
