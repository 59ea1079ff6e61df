/* A GGUF model as several files (runtime/files.h), each at most `limit` bytes, for servers that take no larger ones. Tensors stay
   whole and in the order in which they arrive. Every part has the hashes of its data, and the first those of the other headers,
   so that one value pins the model. A source with hashes is checked against them. */
#ifndef WF_CONVERT_SPLIT_H
#define WF_CONVERT_SPLIT_H

#include "format/source.h"
#include "runtime/files.h"

typedef struct wf_split_options {
    uint64_t limit;   /* bytes of a file */
    const char *name; /* of the source, for errors */
    const char *pin;  /* of the source, or NULL */
    void *user;
    void (*progress)(void *user, const char *phase, uint64_t done, uint64_t total); /* may be NULL */
    wf_status (*poll)(void *user, wf_error *err);                                   /* may stop the work */
} wf_split_options;

typedef struct wf_split wf_split;

/* Reads the file twice: to check it, and to hash the parts. It must stay open. */
wf_status wf_split_create(const wf_file *file, const wf_split_options *o, wf_split **out, wf_error *err);
void wf_split_free(wf_split *s);
uint32_t wf_split_count(const wf_split *s);
uint64_t wf_split_bytes(const wf_split *s, uint32_t part);
uint64_t wf_split_tensors(const wf_split *s, uint32_t part);
/* What pins the model: of the first part's header. */
void wf_split_integrity(const wf_split *s, char text[WF_SHA256_TEXT]);
wf_status wf_split_write(wf_split *s, uint32_t part, wf_byte_sink out, wf_error *err);

#endif
