/* Models and runs as the verbs need them: streamed in with a progress bar, run in slices that Ctrl-C ends. */
#ifndef WF_CLI_LOAD_H
#define WF_CLI_LOAD_H

#include "cli/cli.h"
#include "wasmformer.h"

typedef struct wf_loaded {
    wf_model *model;
    wf_session *session;
    char name[256]; /* of the file, or of the first part of a split model; for sentences */
    uint32_t threads;
    double load_seconds;
} wf_loaded;

/* Reads the whole model: a file, or all parts of a split one, given by any of them; the session is made by the caller when it knows the taps. Free with wf_loaded_free in
   any case. */
wf_status wf_load_model(const wf_cli *cli, const char *path, bool int8_rows, wf_loaded *out, wf_error *err);
void wf_loaded_free(wf_loaded *l);
/* Runs the session on its input as it is. `phase` names the bar; NULL shows none. */
wf_status wf_run_session(const wf_cli *cli, wf_session *s, const char *phase, wf_error *err);
uint32_t wf_cli_threads(const wf_cli *cli);
/* WF_E_ABORTED when Ctrl-C was pressed. */
wf_status wf_check_interrupt(wf_error *err);

#endif
