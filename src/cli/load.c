/* A model file in 1 MiB pieces into wf_model_feed; a run in slices of about a tenth of a second. */
#include "cli/load.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/files.h"
#include "cli/platform.h"
#include "cli/progress.h"

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

static wf_status feed_all(wf_input_file *f, wf_model *m, uint8_t *piece, wf_bar *bar, wf_error *err) {
    uint64_t done = 0;
    size_t got = 1;
    while (got != 0) {
        WF_TRY(wf_check_interrupt(err));
        WF_TRY(wf_input_read(f, piece, PIECE, &got, err));
        WF_TRY(wf_model_feed(m, piece, got, err));
        done += got;
        wf_bar_update(bar, "reading", done, f->size);
    }
    return wf_model_finish(m, err);
}

static wf_status load(const wf_cli *cli, wf_input_file *f, bool int8_rows, wf_loaded *out, wf_error *err) {
    wf_options options = wf_options_default();
    options.backend = (wf_backend)cli->backend;
    options.threads = out->threads;
    options.int8_rows = int8_rows;
    options.file_name = out->name;
    options.file_bytes = f->size;
    options.integrity = cli->integrity;
    uint8_t *piece = wf_alloc(PIECE);
    if (piece == NULL) {
        return wf_fail(err, WF_E_MEMORY, out->name, -1, "no memory to read %s", out->name);
    }
    wf_bar bar;
    wf_bar_init(&bar, cli, true);
    wf_status status = wf_model_open(&options, &out->model, err);
    if (status == WF_OK) {
        status = feed_all(f, out->model, piece, &bar, err);
    }
    wf_bar_clear(&bar);
    wf_free(piece);
    return status;
}

/* Sentences about the content don't always say whose it is. */
static void name_file(const char *name, wf_error *err) {
    if (strstr(err->text, name) == NULL && err->code != WF_E_ABORTED) {
        wf_error named;
        wf_error_clear(&named);
        wf_fail(&named, err->code, err->where, err->offset, "%s: %s", name, err->text);
        *err = named;
    }
}

wf_status wf_load_model(const wf_cli *cli, const char *path, bool int8_rows, wf_loaded *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    out->name = wf_path_base(path);
    out->threads = wf_cli_threads(cli);
    uint64_t began = wf_platform_now_ns();
    wf_input_file f;
    WF_TRY(wf_input_open(&f, path, err));
    wf_status status = load(cli, &f, int8_rows, out, err);
    wf_input_close(&f);
    if (status != WF_OK) {
        name_file(out->name, err);
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
