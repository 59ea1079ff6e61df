/* Files: random access for checkpoints, whole small files, and output that appears complete or not at all. */
#ifndef WF_CLI_FILES_H
#define WF_CLI_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "format/gguf.h"
#include "format/source.h"

typedef struct wf_input_file {
    FILE *file;
    const char *path; /* the caller's */
    uint64_t size;    /* 0 when it cannot be known (a pipe) */
    bool seekable;
} wf_input_file;

wf_status wf_input_open(wf_input_file *f, const char *path, wf_error *err);
void wf_input_close(wf_input_file *f);
/* Up to n bytes in order; *got is 0 at the end. */
wf_status wf_input_read(wf_input_file *f, void *dst, size_t n, size_t *got, wf_error *err);
/* Random access; an error for pipes. The view points at f. */
wf_status wf_input_view(wf_input_file *f, wf_file *out, wf_error *err);
/* A whole file of at most `limit` bytes; wf_free it. A NUL follows the last byte. */
wf_status wf_input_all(const char *path, uint64_t limit, char **out, size_t *n, wf_error *err);

/* The same file, under whatever names. */
bool wf_path_same(const char *a, const char *b);
bool wf_path_exists(const char *path);
bool wf_path_is_folder(const char *path);
const char *wf_path_base(const char *path); /* the part behind the last / */

/* Output is written beside its place under NAME.part-xxxxxxxx and takes its name when it is complete. */
typedef struct wf_output_file {
    FILE *file;
    char *path,
        *part; /* part is NULL where there is nothing to rename: devices and pipes are written directly */
} wf_output_file;

wf_status wf_output_begin(wf_output_file *f, const char *path, wf_error *err);
wf_byte_sink wf_output_sink(wf_output_file *f);
wf_status wf_output_commit(wf_output_file *f, wf_error *err);
/* Removes what was written, unless it was committed; may be called always. */
void wf_output_discard(wf_output_file *f);

#endif
