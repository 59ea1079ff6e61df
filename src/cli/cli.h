/* What the verbs of the command line share: options that every verb knows, exit codes, how failures are said.
   A verb is `int wf_cmd_NAME(wf_cli *, int argc, char **argv)` (argv without program and verb) in cmd_NAME.c.
   It parses its options (args.h), does its work, and returns an exit code; text for people goes to stdout,
   errors and progress to stderr. */
#ifndef WF_CLI_CLI_H
#define WF_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    WF_EXIT_OK = 0,
    WF_EXIT_FAILED = 1,       /* the operation failed: one sentence says why */
    WF_EXIT_USAGE = 2,        /* the command line itself is wrong */
    WF_EXIT_INTERRUPTED = 130 /* Ctrl-C, as shells expect it */
};

typedef struct wf_cli {
    const char *verb;
    bool json, quiet;
    uint32_t threads; /* 0: as many as the machine has, up to 4 */
    int backend;      /* wf_backend */
    const char *integrity; /* what pins the model file, or NULL */
} wf_cli;

/* Prints the error (`wasmformer: sentence`, or with --json one object) to stderr; returns its exit code. */
int wf_cli_fail(const wf_cli *cli, const wf_error *err);
/* The same for a wrong command line; names the help that would have told. */
int wf_cli_usage_error(const wf_cli *cli, const wf_error *err);
/* Puts the file's name before a sentence about its content that does not hold it. */
void wf_cli_name_file(const char *name, wf_error *err);
/* Ends the output to stdout: a full disk or closed pipe is a failure too. */
int wf_cli_finish(const wf_cli *cli, int code);

#define WF_VERB(name, what) int wf_cmd_##name(wf_cli *cli, int argc, char **argv);
#include "cli/verbs.def"
#undef WF_VERB

#endif
