/* One persistent thread pool. A job is a number of independent tiles; the caller works on them too, and helpers that are
   late (descheduled, or not started yet) are simply not waited for: a job is closed when its tiles are gone.
   The same code runs on one thread (no helpers), on POSIX threads, and on wasm threads that the page starts. */
#ifndef WF_BASE_POOL_H
#define WF_BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { WF_POOL_MAX_THREADS = 16 };

typedef struct wf_pool wf_pool;

/* `thread` is 0 for the caller and 1 … threads−1 for helpers; a thread runs one tile at a time. */
typedef void (*wf_pool_tile)(void *arg, uint32_t tile, uint32_t thread);

/* threads counts the caller. Natively the helpers start here (fewer if the system refuses: see wf_pool_threads);
   on wasm they arrive through wf_pool_help. */
wf_status wf_pool_create(uint32_t threads, wf_pool **out, wf_error *err);
/* Tells the helpers to leave, without waiting for them. Jobs still run, on the caller alone once they have left. */
void wf_pool_dismiss(wf_pool *pool);
/* Tells the helpers to leave and, natively, joins them. On wasm the page has ended its workers before. */
void wf_pool_free(wf_pool *pool);
uint32_t wf_pool_threads(const wf_pool *pool);
/* Helpers that have reported for work. */
uint32_t wf_pool_ready(const wf_pool *pool);
/* Runs all tiles; returns when every tile is done. A NULL pool runs them in order on the calling thread. */
void wf_pool_run(wf_pool *pool, uint32_t tiles, wf_pool_tile run, void *arg);
/* The life of a helper thread: works until the pool is freed. thread is 1 … threads−1. */
void wf_pool_help(wf_pool *pool, uint32_t thread);

#endif
