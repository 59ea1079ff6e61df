/* The pool: every tile exactly once, whatever the number of threads; reuse; few tiles; creation and end many times. */
#include "base/pool.h"

#include "base/alloc.h"
#include "check.h"

enum { TILES = 1000 };

typedef struct job {
    unsigned char seen[TILES];
    uint32_t threads;
    int bad;
} job;

static void run(void *arg, uint32_t tile, uint32_t thread) {
    job *j = arg;
    j->seen[tile]++; /* a tile run twice would be lost or seen as 2 */
    if (thread >= j->threads) {
        j->bad = 1;
    }
}

WF_TEST(every_tile_once) {
    for (uint32_t threads = 1; threads <= 6; threads++) {
        wf_pool *pool = NULL;
        wf_error err;
        wf_error_clear(&err);
        CHECK_OK(wf_pool_create(threads, &pool, &err), err);
        for (uint32_t tiles = 0; tiles <= TILES; tiles = tiles * 2 + 1) {
            job j;
            memset(&j, 0, sizeof j);
            j.threads = threads;
            wf_pool_run(pool, tiles, run, &j);
            for (uint32_t i = 0; i < TILES; i++) {
                CHECK(j.seen[i] == (i < tiles), "%u threads: tile %u of %u ran %u times", threads, i, tiles, j.seen[i]);
            }
            CHECK(!j.bad, "a thread number out of range");
        }
        wf_pool_free(pool);
    }
}

WF_TEST(no_pool_means_the_calling_thread) {
    job j;
    memset(&j, 0, sizeof j);
    j.threads = 1;
    wf_pool_run(NULL, 17, run, &j);
    CHECK(j.seen[0] == 1 && j.seen[16] == 1 && j.seen[17] == 0 && !j.bad, "tiles");
    CHECK(wf_pool_threads(NULL) == 1, "threads");
}

WF_TEST(many_short_jobs) {
    wf_pool *pool = NULL;
    wf_error err;
    wf_error_clear(&err);
    CHECK_OK(wf_pool_create(3, &pool, &err), err);
    for (int i = 0; i < 3000; i++) {
        job j;
        memset(&j, 0, sizeof j);
        j.threads = 3;
        wf_pool_run(pool, 5, run, &j);
        CHECK(j.seen[0] == 1 && j.seen[4] == 1 && !j.bad, "job %d", i);
    }
    wf_pool_free(pool);
}

WF_TEST(start_and_end_leave_nothing) {
    for (int i = 0; i < 40; i++) {
        wf_pool *pool = NULL;
        wf_error err;
        wf_error_clear(&err);
        CHECK_OK(wf_pool_create(4, &pool, &err), err);
        wf_pool_free(pool);
    }
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
    wf_pool *pool = NULL;
    wf_error err;
    wf_error_clear(&err);
    CHECK_FAILS(wf_pool_create(0, &pool, &err), WF_E_ARGUMENT, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_pool_create(99, &pool, &err), WF_E_ARGUMENT, err);
}

int main(void) {
    RUN(every_tile_once);
    RUN(no_pool_means_the_calling_thread);
    RUN(many_short_jobs);
    RUN(start_and_end_leave_nothing);
    return wf_test_done();
}
