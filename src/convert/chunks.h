/* The hashes that a header holds of its file's data (runtime/integrity.h), made while the data are written. */
#ifndef WF_CONVERT_CHUNKS_H
#define WF_CONVERT_CHUNKS_H

#include "runtime/integrity.h"

/* Digests of the chunks of the data section, grown as they come. */
typedef struct wf_chunk_hashes {
    wf_sha256 hash;
    uint8_t *digests; /* [count, 32]; wf_free */
    uint64_t count, capacity;
    bool in_data; /* to be set once the header is out: what comes before is not hashed */
} wf_chunk_hashes;

void wf_chunks_begin(wf_chunk_hashes *c);
wf_byte_sink wf_chunks_sink(wf_chunk_hashes *c);
wf_status wf_chunks_end(wf_chunk_hashes *c, wf_error *err);
wf_status wf_chunks_add_to(const wf_chunk_hashes *c, wf_gguf_writer *w, wf_error *err);

#endif
