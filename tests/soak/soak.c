/* The C API for a long time: runs, loads and frees, aborts at random moments of loading and of running. Nothing may grow: the
   engine's own counted heap, threads, open files, resident memory. Not a test by itself: tests/soak/native.mjs builds and runs it.
     soak MODEL RUNS CYCLES ABORTS THREADS */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "unit/check.h"
#include "wasmformer.h"

static uint8_t *file;
static size_t file_bytes;
static uint32_t runs, cycles, aborts, threads;
static float first[1024]; /* logits that every run must give again, bit for bit */
static uint32_t classes;

typedef struct figures {
    uint64_t live, live_bytes, rss;
    int threads, files;
} figures;

/* In [0, 1). */
static double moment_of(wf_rng *rng) { return (double)(wf_rng_u32(rng) >> 8) / 16777216.0; }

static int entries(const char *path) {
    int n = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    if (d != NULL) {
        closedir(d);
    }
    return n;
}

static figures look(void) {
    figures f;
    wf_alloc_stats stats = wf_alloc_get_stats();
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm != NULL) {
        CHECK(fscanf(statm, "%*u %lu", &pages) == 1);
        fclose(statm);
    }
    f.live = stats.live;
    f.live_bytes = stats.live_bytes;
    f.rss = (uint64_t)pages * 4096;
    f.threads = entries("/proc/self/task");
    f.files = entries("/proc/self/fd");
    return f;
}

static void compare(const char *what, uint32_t times, figures a, figures b) {
    printf("# %u × %s, %u threads: resident %.1f → %.1f MB, engine's heap %.2f → %.2f MB in %llu → %llu blocks, threads %d → %d, "
           "files %d → %d\n", times, what, threads, (double)a.rss / 1e6, (double)b.rss / 1e6, (double)a.live_bytes / 1e6,
           (double)b.live_bytes / 1e6, (unsigned long long)a.live, (unsigned long long)b.live, a.threads, b.threads, a.files, b.files);
    CHECK(a.live == b.live && a.live_bytes == b.live_bytes, "%llu bytes more", (unsigned long long)(b.live_bytes - a.live_bytes));
    CHECK(a.threads == b.threads && a.files == b.files, "threads %d, files %d", b.threads, b.files);
#if !__has_feature(address_sanitizer) /* which keeps freed blocks for a while */
    CHECK(b.rss < a.rss + 2000000, "resident memory grew by %llu bytes", (unsigned long long)(b.rss - a.rss));
#endif
}

static wf_model *open_model(wf_error *err) {
    wf_options options = wf_options_default();
    options.threads = threads;
    options.file_bytes = file_bytes;
    wf_model *m = NULL;
    CHECK_OK(wf_model_open(&options, &m, err), *err);
    return m;
}

/* In pieces of uneven length, up to `limit` bytes. */
static void feed(wf_model *m, size_t limit, wf_error *err) {
    for (size_t at = 0, n; at < limit; at += n) {
        n = limit - at < 65537 ? limit - at : 65537;
        CHECK_OK(wf_model_feed(m, file + at, n, err), *err);
    }
}

static wf_session *open_session(wf_model *m, wf_error *err) {
    wf_session *s = NULL;
    wf_model_info info;
    wf_model_get_info(m, &info);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, err), *err);
    CHECK_OK(wf_session_prepare(s, 1, info.height, info.width, err), *err);
    return s;
}

static void fill(wf_session *s) {
    wf_rng rng;
    wf_rng_seed(&rng, 1);
    float *input = wf_session_input(s);
    for (uint64_t i = 0; i < wf_session_input_elements(s); i++) {
        input[i] = wf_rng_signed(&rng);
    }
}

/* Runs to the end; the logits must be those of the first run. */
static void run(wf_session *s, wf_error *err) {
    wf_progress progress = WF_YIELD;
    float logits[1024];
    wf_output_info out;
    fill(s);
    CHECK_OK(wf_session_start(s, err), *err);
    while (progress == WF_YIELD) {
        CHECK_OK(wf_session_step(s, 0, &progress, err), *err);
    }
    CHECK(progress == WF_DONE);
    CHECK_OK(wf_session_output(s, 0, &out, err), *err);
    CHECK(out.n_dims == 2 && out.dims[1] <= 1024);
    CHECK_OK(wf_session_read_f32(s, 0, logits, err), *err);
    if (classes == 0) {
        classes = out.dims[1];
        memcpy(first, logits, sizeof *first * classes);
    }
    CHECK(memcmp(first, logits, sizeof *first * classes) == 0, "another result");
}

static void cycle(wf_error *err) {
    wf_model *m = open_model(err);
    feed(m, file_bytes, err);
    CHECK_OK(wf_model_finish(m, err), *err);
    wf_session *s = open_session(m, err);
    run(s, err);
    wf_session_free(s);
    wf_model_free(m);
}

WF_TEST(runs_leave_everything_as_it_was) {
    wf_error err;
    wf_error_clear(&err);
    wf_model *m = open_model(&err);
    feed(m, file_bytes, &err);
    CHECK_OK(wf_model_finish(m, &err), err);
    wf_session *s = open_session(m, &err);
    figures a = {0};
    uint64_t calls = 0;
    for (uint32_t i = 0; i < runs; i++) {
        run(s, &err);
        if (i == runs / 10) {
            a = look();
            calls = wf_alloc_get_stats().calls;
        }
    }
    CHECK(wf_alloc_get_stats().calls == calls, "runs allocate");
    compare("run", runs, a, look());
    wf_session_free(s);
    wf_model_free(m);
}

WF_TEST(loads_and_frees_leave_everything_as_it_was) {
    wf_error err;
    wf_error_clear(&err);
    figures a = {0};
    for (uint32_t i = 0; i < cycles; i++) {
        if (i == cycles / 10) {
            a = look();
        }
        cycle(&err);
    }
    compare("load, run, free", cycles, a, look());
}

/* A load that stops anywhere in the file, or begins to run before its end, is freed; then one that does not stop is right. */
WF_TEST(loads_stopped_anywhere_leave_nothing) {
    wf_error err;
    wf_error_clear(&err);
    wf_rng rng;
    wf_rng_seed(&rng, 7);
    cycle(&err);
    figures a = look();
    for (uint32_t i = 0; i < aborts; i++) {
        wf_model *m = open_model(&err);
        feed(m, (size_t)(moment_of(&rng) * (double)file_bytes), &err);
        if (wf_model_has_header(m) && i % 2 == 0) {
            wf_progress progress;
            wf_session *s = open_session(m, &err);
            fill(s);
            CHECK_OK(wf_session_step(s, 0, &progress, &err), err);
            CHECK(progress == WF_NEED_BYTES || progress == WF_DONE);
            wf_session_free(s);
        }
        wf_model_free(m);
    }
    cycle(&err);
    compare("load stopped at a random byte", aborts, a, look());
}

/* A run that is dropped between any two steps, and after it one that is not. */
WF_TEST(runs_stopped_anywhere_leave_a_usable_model) {
    wf_error err;
    wf_error_clear(&err);
    wf_rng rng;
    wf_rng_seed(&rng, 8);
    wf_model *m = open_model(&err);
    feed(m, file_bytes, &err);
    CHECK_OK(wf_model_finish(m, &err), err);
    wf_session *s = open_session(m, &err);
    wf_model_info info;
    wf_model_get_info(m, &info);
    run(s, &err);
    figures a = look();
    for (uint32_t i = 0; i < aborts; i++) {
        wf_progress progress = WF_YIELD;
        double moment = moment_of(&rng);
        fill(s);
        CHECK_OK(wf_session_start(s, &err), err);
        while (progress == WF_YIELD && wf_session_fraction(s) < moment) {
            CHECK_OK(wf_session_step(s, 1 + info.cost / 100, &progress, &err), err);
        }
        if (i % 3 == 0) {
            CHECK_OK(wf_session_prepare(s, 1, info.height, info.width, &err), err);
        }
        run(s, &err);
    }
    compare("run stopped between two random steps", aborts, a, look());
    wf_session_free(s);
    wf_model_free(m);
}

int main(int argc, char **argv) {
    FILE *f = argc == 6 ? fopen(argv[1], "rb") : NULL;
    if (f == NULL) {
        fprintf(stderr, "usage: soak MODEL RUNS CYCLES ABORTS THREADS\n");
        return 2;
    }
    runs = (uint32_t)atoi(argv[2]);
    cycles = (uint32_t)atoi(argv[3]);
    aborts = (uint32_t)atoi(argv[4]);
    threads = (uint32_t)atoi(argv[5]);
    file = malloc(64 << 20);
    file_bytes = fread(file, 1, 64 << 20, f);
    fclose(f);
    RUN(runs_leave_everything_as_it_was);
    RUN(loads_and_frees_leave_everything_as_it_was);
    RUN(loads_stopped_anywhere_leave_nothing);
    RUN(runs_stopped_anywhere_leave_a_usable_model);
    free(file);
    return wf_test_done();
}
