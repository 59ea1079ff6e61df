#include "convert/chunks.h"

#include <string.h>

#include "base/alloc.h"

static wf_status end_chunk(wf_chunk_hashes *c, wf_error *err) {
    if (c->count == c->capacity) {
        uint64_t capacity = c->capacity * 2 + 64;
        uint8_t *grown = wf_realloc(c->digests, (size_t)capacity * WF_SHA256_BYTES);
        if (grown == NULL) {
            return wf_fail(err, WF_E_MEMORY, WF_CHUNKS_KEY, -1, "no memory for the hashes of the file");
        }
        c->digests = grown;
        c->capacity = capacity;
    }
    wf_sha256_digest(&c->hash, c->digests + c->count++ * WF_SHA256_BYTES);
    wf_sha256_init(&c->hash);
    return WF_OK;
}

static wf_status hash_data(void *user, const void *bytes, size_t n, wf_error *err) {
    wf_chunk_hashes *c = user;
    const uint8_t *p = bytes;
    while (c->in_data && n > 0) {
        uint64_t left = WF_CHUNK_BYTES - c->hash.length;
        size_t piece = n < left ? n : (size_t)left;
        wf_sha256_add(&c->hash, p, piece);
        p += piece;
        n -= piece;
        if (c->hash.length == WF_CHUNK_BYTES) {
            WF_TRY(end_chunk(c, err));
        }
    }
    return WF_OK;
}

void wf_chunks_begin(wf_chunk_hashes *c) {
    memset(c, 0, sizeof *c);
    wf_sha256_init(&c->hash);
}

wf_byte_sink wf_chunks_sink(wf_chunk_hashes *c) { return (wf_byte_sink){c, hash_data}; }

wf_status wf_chunks_end(wf_chunk_hashes *c, wf_error *err) { return c->hash.length > 0 ? end_chunk(c, err) : WF_OK; }

wf_status wf_chunks_add_to(const wf_chunk_hashes *c, wf_gguf_writer *w, wf_error *err) {
    return wf_gguf_add_array(w, WF_CHUNKS_KEY, WF_GGUF_U8, c->digests, c->count * WF_SHA256_BYTES, err);
}
