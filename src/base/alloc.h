/* Heap memory, counted. Every allocation of the engine goes through here, so that tests can
   assert "no allocation in a run after the first" and can make the n-th allocation fail. */
#ifndef WF_BASE_ALLOC_H
#define WF_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* 64-byte aligned, so that SIMD loads, cache lines and thread stacks need no further care.
   NULL when memory is exhausted or `bytes` is absurd. Contents are not initialised. */
void *wf_alloc(size_t bytes);
void *wf_alloc_zero(size_t bytes);
/* Like realloc for blocks of wf_alloc; `block` stays valid when NULL comes back. */
void *wf_realloc(void *block, size_t bytes);
void wf_free(void *block);

/* count × size with overflow check; fails with WF_E_MEMORY naming `what`. Zeroed. */
wf_status wf_alloc_array(void **out, uint64_t count, size_t size, const char *what, wf_error *err);

typedef struct wf_alloc_stats {
    uint64_t calls;      /* wf_alloc and wf_realloc calls so far */
    uint64_t live;       /* blocks not yet freed */
    uint64_t live_bytes; /* bytes in them */
    uint64_t peak_bytes;
} wf_alloc_stats;

wf_alloc_stats wf_alloc_get_stats(void);
/* For tests: the n-th allocation from now fails (0: none does). */
void wf_alloc_fail_after(uint64_t n);

#endif
