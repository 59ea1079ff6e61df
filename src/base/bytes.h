/* Bounded little-endian reading: every read is checked against the bytes that remain. A reader that
   ran past its end stays failed, so a parser may read a whole record and test `failed` once. */
#ifndef WF_BASE_BYTES_H
#define WF_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct wf_bytes {
    const uint8_t *data;
    size_t size, pos;
    bool failed;
} wf_bytes;

static inline wf_bytes wf_bytes_of(const void *data, size_t size) {
    wf_bytes b = {(const uint8_t *)data, size, 0, false};
    return b;
}

static inline size_t wf_bytes_left(const wf_bytes *b) { return b->size - b->pos; }

/* A view of the next n bytes, or NULL. */
static inline const uint8_t *wf_bytes_take(wf_bytes *b, uint64_t n) {
    if (b->failed || n > wf_bytes_left(b)) {
        b->failed = true;
        return NULL;
    }
    const uint8_t *p = b->data + b->pos;
    b->pos += (size_t)n;
    return p;
}

static inline uint16_t wf_load_u16(const void *p) {
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t wf_load_u32(const void *p) {
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t wf_load_u64(const void *p) {
    return (uint64_t)wf_load_u32(p) | (uint64_t)wf_load_u32((const uint8_t *)p + 4) << 32;
}

static inline uint8_t wf_bytes_u8(wf_bytes *b) {
    const uint8_t *p = wf_bytes_take(b, 1);
    return p != NULL ? *p : 0;
}

static inline uint16_t wf_bytes_u16(wf_bytes *b) {
    const uint8_t *p = wf_bytes_take(b, 2);
    return p != NULL ? wf_load_u16(p) : 0;
}

static inline uint32_t wf_bytes_u32(wf_bytes *b) {
    const uint8_t *p = wf_bytes_take(b, 4);
    return p != NULL ? wf_load_u32(p) : 0;
}

static inline uint64_t wf_bytes_u64(wf_bytes *b) {
    const uint8_t *p = wf_bytes_take(b, 8);
    return p != NULL ? wf_load_u64(p) : 0;
}

#endif
