/* A model file in 1 MiB pieces into wf_model_feed; a run in slices of about a tenth of a second. */
#include "cli/load.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/files.h"
#include "cli/platform.h"
#include "cli/progress.h"
#include "cli/siblings.h"

enum { PIECE = 1 << 20, SLICE = 20 * 1000 * 1000 };

uint32_t wf_cli_threads(const wf_cli *cli) {
    uint32_t cores = wf_platform_cores();
    return cli->threads != 0 ? cli->threads : cores < 4 ? cores : 4;
}

wf_status wf_check_interrupt(wf_error *err) {
    return wf_platform_interrupted()
               ? wf_fail(err, WF_E_ABORTED, "interrupt", -1, "stopped: Ctrl-C was pressed")
               : WF_OK;
}

typedef struct reading {
    const char *path; /* of the first file */
    wf_model *model;
    uint8_t *piece;
    wf_bar bar;
    uint64_t done, total; /* bytes of the files that are known */
    bool counts;          /* this round is what the bar shows */
} reading;

/* One file, as far as the model wants it. */
static wf_status feed_file(reading *r, wf_input_file *f, wf_error *err) {
    size_t got = 1;
    while (got != 0 && !wf_model_wants_next(r->model)) {
        WF_TRY(wf_check_interrupt(err));
        WF_TRY(wf_input_read(f, r->piece, PIECE, &got, err));
        WF_TRY(wf_model_feed(r->model, r->piece, got, err));
        r->done += r->counts ? got : 0;
        wf_bar_update(&r->bar, "reading", r->done, r->total);
    }
    return WF_OK;
}

/* Part `index` of a split model, which lies beside the first. */
static wf_status feed_part(reading *r, uint32_t index, wf_error *err) {
    char path[2048];
    wf_input_file f;
    WF_TRY(wf_sibling_find(r->path, index, wf_model_files(r->model), path, sizeof path, err));
    WF_TRY(wf_input_open(&f, path, err));
    r->total += r->counts ? 0 : f.size;
    wf_status status = wf_model_next(r->model, index, wf_path_base(path), f.size, err);
    status = status == WF_OK ? feed_file(r, &f, err) : status;
    wf_input_close(&f);
    return status;
}

static wf_status feed_all(reading *r, wf_input_file *first, wf_error *err) {
    r->counts = true;
    r->total = first->size;
    WF_TRY(feed_file(r, first, err));
    uint32_t count = wf_model_files(r->model);
    for (uint32_t i = 1; i < 2 * count && count > 1; i++) {
        r->counts = i >= count;
        r->done = i == count ? 0 : r->done;
        WF_TRY(feed_part(r, i % count, err));
    }
    return wf_model_finish(r->model, err);
}

static wf_status load(const wf_cli *cli, const char *path, wf_input_file *f, bool int8_rows, wf_loaded *out, wf_error *err) {
    wf_options options = wf_options_default();
    options.backend = (wf_backend)cli->backend;
    options.threads = out->threads;
    options.int8_rows = int8_rows;
    options.file_name = out->name;
    options.file_bytes = f->size;
    options.integrity = cli->integrity;
    reading r = {.path = path, .piece = wf_alloc(PIECE)};
    if (r.piece == NULL) {
        return wf_fail(err, WF_E_MEMORY, out->name, -1, "no memory to read %s", out->name);
    }
    wf_bar_init(&r.bar, cli, true);
    wf_status status = wf_model_open(&options, &out->model, err);
    if (status == WF_OK) {
        r.model = out->model;
        status = feed_all(&r, f, err);
    }
    wf_bar_clear(&r.bar);
    wf_free(r.piece);
    return status;
}

wf_status wf_load_model(const wf_cli *cli, const char *path, bool int8_rows, wf_loaded *out, wf_error *err) {
    char begin[2048];
    uint32_t count;
    memset(out, 0, sizeof *out);
    if (wf_sibling_named(path, &count)) { /* any part stands for the model */
        WF_TRY(wf_sibling_find(path, 0, count, begin, sizeof begin, err));
        path = begin;
    }
    snprintf(out->name, sizeof out->name, "%s", wf_path_base(path));
    out->threads = wf_cli_threads(cli);
    uint64_t began = wf_platform_now_ns();
    wf_input_file f;
    WF_TRY(wf_input_open(&f, path, err));
    wf_status status = load(cli, path, &f, int8_rows, out, err);
    wf_input_close(&f);
    if (status != WF_OK && (out->model == NULL || wf_model_files(out->model) == 1)) { /* else it names the part */
        wf_cli_name_file(out->name, err);
    }
    out->load_seconds = (double)(wf_platform_now_ns() - began) / 1e9;
    return status;
}

void wf_loaded_free(wf_loaded *l) {
    wf_session_free(l->session);
    wf_model_free(l->model);
    memset(l, 0, sizeof *l);
}

wf_status wf_run_session(const wf_cli *cli, wf_session *s, const char *phase, wf_error *err) {
    wf_bar bar;
    wf_bar_init(&bar, cli, false);
    wf_progress progress = WF_YIELD;
    wf_status status = wf_session_start(s, err);
    while (status == WF_OK && progress != WF_DONE) {
        status = wf_check_interrupt(err);
        if (status == WF_OK) {
            status = wf_session_step(s, SLICE, &progress, err);
        }
        if (phase != NULL) {
            wf_bar_update(&bar, phase, (uint64_t)(100 * wf_session_fraction(s)), 100);
        }
    }
    wf_bar_clear(&bar);
    return status;
}
