/* malloc with a 64-byte aligned user pointer and a header that remembers the size. The counters are
   not atomic: the engine allocates from one thread only (kernels on other threads never allocate). */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

typedef struct header {
    void *block; /* what malloc gave */
    size_t bytes;
} header;

static wf_alloc_stats stats;
static uint64_t fail_after;

static header *header_of(void *user) { return (header *)((char *)user - sizeof(header)); }

void *wf_alloc(size_t bytes) {
    stats.calls++;
    if (fail_after != 0 && --fail_after == 0) {
        return NULL;
    }
    if (bytes > SIZE_MAX - 2 * ALIGNMENT) {
        return NULL;
    }
    char *block = malloc(bytes + sizeof(header) + ALIGNMENT);
    if (block == NULL) {
        return NULL;
    }
    uintptr_t user = ((uintptr_t)block + sizeof(header) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    header *h = header_of((void *)user);
    h->block = block;
    h->bytes = bytes;
    stats.live++;
    stats.live_bytes += bytes;
    if (stats.live_bytes > stats.peak_bytes) {
        stats.peak_bytes = stats.live_bytes;
    }
    return (void *)user;
}

void *wf_alloc_zero(size_t bytes) {
    void *p = wf_alloc(bytes);
    if (p != NULL) {
        memset(p, 0, bytes);
    }
    return p;
}

void wf_free(void *block) {
    if (block == NULL) {
        return;
    }
    header *h = header_of(block);
    stats.live--;
    stats.live_bytes -= h->bytes;
    free(h->block);
}

void *wf_realloc(void *block, size_t bytes) {
    void *moved = wf_alloc(bytes);
    if (moved == NULL || block == NULL) {
        return moved;
    }
    size_t old = header_of(block)->bytes;
    memcpy(moved, block, old < bytes ? old : bytes);
    wf_free(block);
    return moved;
}

wf_status wf_alloc_array(void **out, uint64_t count, size_t size, const char *what, wf_error *err) {
    *out = NULL;
    if (size != 0 && count > (SIZE_MAX - 256) / size) {
        return wf_fail(err, WF_E_MEMORY, what, -1,
                       "%s would need %llu × %zu bytes, more than this machine can address", what,
                       (unsigned long long)count, size);
    }
    *out = wf_alloc_zero((size_t)count * size);
    if (*out == NULL) {
        return wf_fail(err, WF_E_MEMORY, what, -1,
                       "no memory for %s (%llu bytes); close other programs or use a smaller model", what,
                       (unsigned long long)(count * size));
    }
    return WF_OK;
}

wf_alloc_stats wf_alloc_get_stats(void) { return stats; }

void wf_alloc_fail_after(uint64_t n) { fail_after = n; }
