/* For the fuzz targets of checkpoint containers: a file in memory, and reading every tensor both
 * ways. */
#ifndef WF_FUZZ_CHECKPOINT_H
#define WF_FUZZ_CHECKPOINT_H

#include <stdlib.h>
#include <string.h>

#include "format/source.h"

typedef struct memory {
    uint8_t *bytes;
    size_t n;
} memory;

static wf_status read_memory(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    const memory *m = user;
    (void)err;
    if (offset > m->n || n > m->n - offset) {
        abort(); /* every read must have been checked against the file's size */
    }
    memcpy(dst, m->bytes + offset, n);
    return WF_OK;
}

/* Opens, reads, closes. A failure must come with a sentence. */
static void try_checkpoint(const uint8_t *data, size_t size) {
    enum { MOST = 1 << 14 };
    memory m = {malloc(size + 1), size};
    memcpy(m.bytes, data, size);
    wf_file file = {&m, size, read_memory};
    wf_source s;
    wf_error err;
    wf_error_clear(&err);
    wf_status status = wf_source_open(file, &s, &err);
    if (status != WF_OK && (err.code != status || err.text[0] == '\0')) {
        abort();
    }
    for (uint64_t i = 0; status == WF_OK && i < s.tensor_count && i < 64; i++) {
        const wf_source_tensor *t = &s.tensors[i];
        if (wf_source_find(&s, t->name) != t) {
            abort();
        }
        uint64_t n = t->elements < MOST ? t->elements : MOST, from[2] = {0, t->elements - n};
        double *wide = malloc((size_t)n * sizeof *wide + 1);
        float *narrow = malloc((size_t)n * sizeof *narrow + 1);
        for (int k = 0; k < 2; k++) {
            if (wf_source_read_f64(&s, t, from[k], n, wide, &err) != WF_OK ||
                wf_source_read_f32(&s, t, from[k], n, narrow, &err) != WF_OK) {
                abort(); /* an opened tensor can be read */
            }
        }
        if (wf_source_read_f32(&s, t, t->elements, 1, narrow, &err) == WF_OK) {
            abort();
        }
        wf_error_clear(&err);
        free(wide);
        free(narrow);
    }
    if (status == WF_OK) {
        wf_source_close(&s);
    }
    free(m.bytes);
}

#endif
