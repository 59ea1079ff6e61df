/* Trust in the bytes of a model file, checked as they arrive.
     wf.chunks  SHA-256 of each MiB of the data section, in the header (U8, 32 bytes a chunk): a
                damaged chunk is named, and a tensor may be used once every chunk that it touches is
                verified, not before
     a pin      what the caller expects, "sha256-BASE64" (subresource integrity): of the header where
                it holds wf.chunks, so that the whole file is pinned and can still be used while it
                arrives; of the whole file otherwise
     wf.header  SHA-256 of the header itself, all bytes before the data, with the 32 bytes of this hash
                taken as zeros (U8, the first key, so that its place is fixed): a damaged header is an
                error without a pin too. A file with wf.chunks must have it
   Costs the hash of every byte once (of the header's twice); holds no bytes. Where the caller has a faster SHA-256 (a browser's
   crypto.subtle) it hashes the chunks itself and hands in their digests: what they must be, and when
   bytes count as verified, is still decided here. */
#ifndef WF_RUNTIME_INTEGRITY_H
#define WF_RUNTIME_INTEGRITY_H

#include "base/sha256.h"
#include "format/gguf.h"

#define WF_CHUNKS_KEY "wf.chunks"
#define WF_HEADER_KEY "wf.header"

enum {
    WF_CHUNK_BYTES = 1 << 20,
    WF_HEADER_AT = 24 + 8 + 9 + 4 + 4 + 8 /* magic, version, counts; length and text of the key; two
                                             types and a count: then the hash of the header */
};

typedef enum wf_trust {
    WF_TRUST_NONE,   /* a foreign file without a pin */
    WF_TRUST_CHUNKS, /* wf.chunks */
    WF_TRUST_FILE    /* a foreign file, pinned whole */
} wf_trust;

typedef struct wf_integrity {
    const char *pin; /* copied by open; NULL: none */
    char *pin_memory;
    const char *file; /* its name, for errors; the caller's */
    wf_trust trust;
    bool outside;          /* digests of chunks come by wf_integrity_digest */
    const uint8_t *chunks;   /* [count, 32] expected digests */
    uint64_t count, current; /* chunks, and the one whose bytes come next */
    uint64_t data_start, data_end;
    uint64_t position; /* bytes taken, header included */
    uint64_t verified; /* bytes from the file's beginning that may be used; UINT64_MAX where nothing
                          is to be checked */
    bool data;         /* the header is complete */
    wf_sha256 zeroed;  /* of the header with its own hash as zeros */
    wf_sha256 hash;    /* of the header, then of the current chunk, or of the whole file */
    char own[WF_SHA256_TEXT];    /* room for a pin that is one of a list (wf_integrity_nth) */
    char header[WF_SHA256_TEXT]; /* the value that pins this file by its header; "" where only the
                                    whole file can be pinned */
} wf_integrity;

/* pin may be NULL. Fails when it holds no SHA-256 in the syntax of subresource integrity. */
wf_status wf_integrity_open(wf_integrity *x, const char *pin, const char *file, wf_error *err);
/* How many hashes a pin lists, and the one at `index` copied into `text`, which comes back. */
uint32_t wf_integrity_pins(const char *pin);
const char *wf_integrity_nth(const char *pin, uint32_t index, char text[WF_SHA256_TEXT]);
void wf_integrity_close(wf_integrity *x);
/* All bytes of the file in order. Those before the header's end come before wf_integrity_header,
 * the others after it. */
wf_status wf_integrity_bytes(wf_integrity *x, const void *bytes, size_t n, wf_error *err);
/* The header is complete: checks it against its own hash; comes before anything in it is believed. */
wf_status wf_integrity_self(wf_integrity *x, const wf_gguf *gguf, wf_error *err);
/* The file has `bytes` bytes or more; fails when that is more than our own header describes. */
wf_status wf_integrity_length(const wf_integrity *x, uint64_t bytes, wf_error *err);
/* Then: checks its pin and the table of chunks. */
wf_status wf_integrity_header(wf_integrity *x, const wf_gguf *gguf, wf_error *err);
/* With `outside`: the digest of the next chunk, in order, all of whose bytes have been taken. */
wf_status wf_integrity_digest(wf_integrity *x, const uint8_t digest[WF_SHA256_BYTES],
                              wf_error *err);
/* The file has ended: checks that all chunks came, or the pin of the whole. */
wf_status wf_integrity_finish(wf_integrity *x, wf_error *err);

/* The last byte of the data section that hashes cover, padding behind the last tensor included. */
uint64_t wf_integrity_data_end(const wf_gguf *gguf);

#endif
