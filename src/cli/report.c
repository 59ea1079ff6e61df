/* Failures become one sentence on stderr: `wasmformer: …`, or with --json an object for programs. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/text_out.h"
#include "format/json.h"

static void say(const wf_cli *cli, const wf_error *err, const char *hint) {
    if (cli->json) {
        wf_text t;
        memset(&t, 0, sizeof t);
        wf_json_error(&t, err);
        fprintf(stderr, "{\"error\":%s}\n", t.failed ? "null" : t.data);
        wf_text_free(&t);
        return;
    }
    fputs("wasmformer: ", stderr);
    wf_out_text(stderr, err->text);
    fputs(hint, stderr);
    fputc('\n', stderr);
}

int wf_cli_fail(const wf_cli *cli, const wf_error *err) {
    say(cli, err, "");
    return err->code == WF_E_ABORTED ? WF_EXIT_INTERRUPTED : WF_EXIT_FAILED;
}

int wf_cli_usage_error(const wf_cli *cli, const wf_error *err) {
    char hint[80];
    snprintf(hint, sizeof hint, " (see wasmformer %s%s--help)", cli->verb != NULL ? cli->verb : "",
             cli->verb != NULL ? " " : "");
    say(cli, err, hint);
    return WF_EXIT_USAGE;
}

int wf_cli_finish(const wf_cli *cli, int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return code;
    }
    wf_error err;
    wf_error_clear(&err);
    wf_fail(&err, WF_E_IO, "standard output", -1,
            "the output could not be written in full: is the disk full?");
    return wf_cli_fail(cli, &err);
}

void wf_cli_name_file(const char *name, wf_error *err) {
    if (strstr(err->text, name) == NULL && err->code != WF_E_ABORTED) {
        wf_error named;
        wf_error_clear(&named);
        wf_fail(&named, err->code, err->where, err->offset, "%s: %s", name, err->text);
        *err = named;
    }
}
