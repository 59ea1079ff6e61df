/* The pool's protocol. `generation` announces a job; a helper joins by counting itself into `active` and then looking
   whether the job is still open, the caller closes it and then waits for `active` to be zero. With sequentially consistent
   order one of the two always sees the other (Dekker). Waiting spins first (wake-up 0.5–1 µs instead of 30–90 µs), then sleeps.
   Each counter has a cache line of its own. */
#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"

#ifndef WF_THREADS
#define WF_THREADS 0
#endif

#if WF_THREADS && !defined(__wasm__)
#include <pthread.h>
#include <sched.h>
#endif

enum { SPINS = 20000 };

typedef struct counter {
    _Alignas(64) _Atomic uint32_t v;
} counter;

/* Tiles that were taken from the front (low half) and from the back (high half). */
typedef struct taken {
    _Alignas(64) _Atomic uint64_t v;
} taken;

struct wf_pool {
    taken taken;
    counter generation, open, active, sleepers, caller_sleeps, ready, quit;
    wf_pool_tile run;
    void *arg;
    uint32_t tiles, threads;
#if WF_THREADS && !defined(__wasm__)
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t handles[WF_POOL_MAX_THREADS];
    struct helper_start {
        wf_pool *pool;
        uint32_t thread;
    } starts[WF_POOL_MAX_THREADS];
#endif
};

#if WF_THREADS
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

#if defined(__wasm__)
static void sleep_while(wf_pool *pool, counter *c, uint32_t value) {
    (void)pool;
    __builtin_wasm_memory_atomic_wait32((int *)&c->v, (int)value, -1);
}
static void wake(wf_pool *pool, counter *c) {
    (void)pool;
    __builtin_wasm_memory_atomic_notify((int *)&c->v, 0xffffffffu);
}
#else
static void sleep_while(wf_pool *pool, counter *c, uint32_t value) {
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&c->v) == value) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}
static void wake(wf_pool *pool, counter *c) {
    (void)c;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}
#endif

/* Even threads take tiles from the front, odd ones from the back: of two, each meets the rows again that it wrote in the job
   before, and they are in its cache. */
static void work(wf_pool *pool, uint32_t thread) {
    const bool backwards = thread % 2 != 0;
    for (;;) {
        uint64_t before = atomic_fetch_add(&pool->taken.v, backwards ? (uint64_t)1 << 32 : 1);
        uint32_t front = (uint32_t)before, back = (uint32_t)(before >> 32);
        if ((uint64_t)front + back >= pool->tiles) {
            return;
        }
        pool->run(pool->arg, backwards ? pool->tiles - 1 - back : front, thread);
    }
}

void wf_pool_help(wf_pool *pool, uint32_t thread) {
    uint32_t seen = atomic_load(&pool->generation.v);
    atomic_fetch_add(&pool->ready.v, 1);
    while (atomic_load(&pool->quit.v) == 0) {
        atomic_fetch_add(&pool->active.v, 1);
        if (atomic_load(&pool->open.v) != 0) {
            work(pool, thread);
        }
        if (atomic_fetch_sub(&pool->active.v, 1) == 1 && atomic_load(&pool->caller_sleeps.v) != 0) {
            wake(pool, &pool->active);
        }
        for (int i = 0; i < SPINS && atomic_load(&pool->generation.v) == seen; i++) {
            relax();
        }
        if (atomic_load(&pool->generation.v) == seen) {
            atomic_fetch_add(&pool->sleepers.v, 1);
            sleep_while(pool, &pool->generation, seen);
            atomic_fetch_sub(&pool->sleepers.v, 1);
        }
        seen = atomic_load(&pool->generation.v);
    }
}

static void announce(wf_pool *pool) {
    atomic_fetch_add(&pool->generation.v, 1);
    if (atomic_load(&pool->sleepers.v) != 0) {
        wake(pool, &pool->generation);
    }
}

static void wait_for_helpers(wf_pool *pool) {
    for (int i = 0; i < SPINS && atomic_load(&pool->active.v) != 0; i++) {
        relax();
    }
    atomic_store(&pool->caller_sleeps.v, 1);
    for (uint32_t n = atomic_load(&pool->active.v); n != 0; n = atomic_load(&pool->active.v)) {
        sleep_while(pool, &pool->active, n);
    }
    atomic_store(&pool->caller_sleeps.v, 0);
}
#endif

void wf_pool_run(wf_pool *pool, uint32_t tiles, wf_pool_tile run, void *arg) {
#if WF_THREADS
    if (pool != NULL && tiles > 1 && atomic_load(&pool->ready.v) != 0) {
        pool->run = run;
        pool->arg = arg;
        pool->tiles = tiles;
        atomic_store(&pool->taken.v, 0);
        atomic_store(&pool->open.v, 1);
        announce(pool);
        work(pool, 0);
        atomic_store(&pool->open.v, 0);
        wait_for_helpers(pool);
        return;
    }
#endif
    (void)pool;
    for (uint32_t i = 0; i < tiles; i++) {
        run(arg, i, 0);
    }
}

#if WF_THREADS && !defined(__wasm__)
static void *helper_main(void *arg) {
    struct helper_start *start = arg;
    wf_pool_help(start->pool, start->thread);
    return NULL;
}
#endif

wf_status wf_pool_create(uint32_t threads, wf_pool **out, wf_error *err) {
    *out = NULL;
    if (threads == 0 || threads > WF_POOL_MAX_THREADS) {
        return wf_fail(err, WF_E_ARGUMENT, "threads", -1, "threads must be 1 … %d, not %u", WF_POOL_MAX_THREADS,
                       threads);
    }
    wf_pool *pool = wf_alloc_zero(sizeof *pool);
    if (pool == NULL) {
        return wf_fail(err, WF_E_MEMORY, "threads", -1, "no memory for the thread pool");
    }
    pool->threads = threads;
#if WF_THREADS && !defined(__wasm__)
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    for (uint32_t i = 1; i < threads; i++) {
        pool->starts[i] = (struct helper_start){pool, i};
        if (pthread_create(&pool->handles[i], NULL, helper_main, &pool->starts[i]) != 0) {
            pool->threads = i;
            break;
        }
    }
    for (uint32_t i = 1; i < pool->threads; i++) { /* ready before the first job, so that runs use them all */
        while (atomic_load(&pool->ready.v) < pool->threads - 1) {
            sched_yield();
        }
    }
#elif !WF_THREADS
    pool->threads = 1;
#endif
    *out = pool;
    return WF_OK;
}

void wf_pool_dismiss(wf_pool *pool) {
    (void)pool;
#if WF_THREADS
    if (pool != NULL) {
        atomic_store(&pool->quit.v, 1);
        announce(pool);
    }
#endif
}

void wf_pool_free(wf_pool *pool) {
    if (pool == NULL) {
        return;
    }
    wf_pool_dismiss(pool);
#if WF_THREADS
#if !defined(__wasm__)
    for (uint32_t i = 1; i < pool->threads; i++) {
        pthread_join(pool->handles[i], NULL);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
#endif
#endif
    wf_free(pool);
}

uint32_t wf_pool_threads(const wf_pool *pool) { return pool != NULL ? pool->threads : 1; }

uint32_t wf_pool_ready(const wf_pool *pool) { return pool != NULL ? atomic_load(&((wf_pool *)pool)->ready.v) : 0; }

#if !WF_THREADS
void wf_pool_help(wf_pool *pool, uint32_t thread) {
    (void)pool;
    (void)thread;
}
#endif
