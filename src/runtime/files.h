/* The files of a model: one, or the parts of a split one (NAME-00001-of-0000N.gguf, as llama.cpp's gguf-split writes them: each a
   whole GGUF file; the first has the metadata, all say split.no, split.count and split.tensors.count).
   The graph needs every tensor's shape before the first byte can be packed. So parts are read in two rounds: the headers of all,
   then all files from their beginnings, in order. One file needs one round. Nothing is kept between the rounds but the tables
   and a hash of each header, which the second round must meet again.
   Places in a split model count through its files as if they lay one behind the other. */
#ifndef WF_RUNTIME_FILES_H
#define WF_RUNTIME_FILES_H

#include "runtime/integrity.h"

#define WF_PARTS_KEY "wf.parts" /* in the first part: SHA-256 of the header of each other part (U8, 32 bytes each) */

enum { WF_MOST_FILES = 1024, WF_FILE_NAME = 96 };

typedef struct wf_model_file {
    char name[WF_FILE_NAME];
    struct wf_model *model;
    wf_gguf_reader *reader;
    const wf_gguf *gguf; /* NULL until its header is complete */
    wf_integrity integrity;
    uint64_t bytes; /* its length where that is known, else 0 */
    uint64_t header_bytes;
    uint64_t base, end;    /* of its bytes in the whole model */
    uint32_t first_tensor; /* its place in the table of all */
    uint8_t digest[WF_SHA256_BYTES]; /* of its header */
    wf_sha256 again;                 /* the same in the second round */
} wf_model_file;

typedef struct wf_files {
    wf_model_file **list; /* [opened]; in the model's arena */
    uint32_t count;       /* files of the model; 1 until the first header says otherwise */
    uint32_t opened;      /* whose reading has begun */
    uint32_t current;     /* whose bytes come now */
    bool second;          /* round */
    bool full;            /* nothing more is wanted of the current file in this round */
    wf_gguf all;          /* of a split model: the first part's metadata, everybody's tensors; owns nothing */
    char *pin;            /* what `integrity` said, for the parts to come */
} wf_files;

/* Begins the only file, or the first part. */
wf_status wf_files_open(struct wf_model *m, const char *pin, uint64_t bytes, wf_error *err);
void wf_files_close(wf_files *f);
/* The next bytes of the current file. *header is set when the last header that was missing is complete: the whole model's. */
wf_status wf_files_feed(struct wf_model *m, const uint8_t *bytes, size_t n, size_t *used, const wf_gguf **header, wf_error *err);
/* The file `index` begins: of the first round, or of the second. Ends the one before. */
wf_status wf_files_next(struct wf_model *m, uint32_t index, const char *name, uint64_t bytes, wf_error *err);
/* All files have ended. */
wf_status wf_files_finish(struct wf_model *m, wf_error *err);
/* Bytes from the model's beginning that may be used. */
uint64_t wf_files_verified(const wf_files *f);
uint64_t wf_files_position(const wf_files *f);
uint64_t wf_files_total(const wf_files *f);

#endif
