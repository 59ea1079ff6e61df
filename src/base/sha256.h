/* SHA-256 (FIPS 180-4) of bytes as they arrive, and the text that pins them: "sha256-" + base64, as
   in subresource integrity. Costs 64 dependent rounds a block of 64 bytes; rates in sha256.c. */
#ifndef WF_BASE_SHA256_H
#define WF_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum {
    WF_SHA256_BYTES = 32,
    WF_SHA256_TEXT = 7 + 44 + 1 /* "sha256-", base64 of 32 bytes, NUL */
};

typedef struct wf_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes taken */
    uint8_t block[64];
} wf_sha256;

void wf_sha256_init(wf_sha256 *h);
void wf_sha256_add(wf_sha256 *h, const void *bytes, size_t n);
/* The digest of all bytes so far; h may take more afterwards. */
void wf_sha256_digest(const wf_sha256 *h, uint8_t digest[WF_SHA256_BYTES]);
void wf_sha256_text(const uint8_t digest[WF_SHA256_BYTES], char text[WF_SHA256_TEXT]);

#endif
