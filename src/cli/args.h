/* A small option parser: `--name value`, `--name=value`, `-o value`; `--` ends the options. Options and
   operands mix. A verb states its options as a table; help text, checks and the "did you mean" come from it. */
#ifndef WF_CLI_ARGS_H
#define WF_CLI_ARGS_H

#include <stdint.h>

#include "cli/cli.h"

typedef enum wf_opt_kind {
    WF_OPT_FLAG,   /* out: bool */
    WF_OPT_TEXT,   /* out: const char * */
    WF_OPT_COUNT,  /* out: uint32_t, within low … high */
    WF_OPT_REAL,   /* out: double ≥ 0 */
    WF_OPT_CHOICE, /* out: int, index into `value`, words separated by | */
    WF_OPT_SIZE    /* out: uint32_t[2], height and width, from "224x160" or "224" */
} wf_opt_kind;

typedef struct wf_opt {
    const char *name; /* without dashes */
    char letter;      /* '\0' or the short form */
    wf_opt_kind kind;
    const char *value; /* what stands for the value in the help; NULL for flags */
    void *out;
    uint32_t low, high;
    const char *help;
} wf_opt;

typedef struct wf_usage {
    const char *verb;
    const char *operands; /* "MODEL IMAGE..." */
    const char *what;     /* a sentence or two */
    const char *example;  /* without the program's name */
    uint32_t least, most; /* operands */
    const wf_opt *options;
    uint32_t option_count;
} wf_usage;

typedef enum wf_parsed { WF_PARSED, WF_PARSED_HELP, WF_PARSED_WRONG } wf_parsed;

/* Parses argv in place: afterwards argv[0 … *operands) are the operands. Help is printed here, and so are
   usage errors. Every verb also knows --help, --json and --quiet. */
wf_parsed wf_args_parse(wf_cli *cli, const wf_usage *usage, int argc, char **argv, int *operands);
/* The candidate with the smallest edit distance. */
const char *wf_args_nearest(const char *word, const char *const *candidates, uint32_t count);

/* Rows that several verbs have in common. */
#define WF_OPT_THREADS(cli)                 \
    {"threads",       0, WF_OPT_COUNT, "N", \
     &(cli)->threads, 1, 16,           "threads to compute with (default: cores, at most 4)"}
#define WF_OPT_BACKEND(cli) \
    {"backend",             \
     0,                     \
     WF_OPT_CHOICE,         \
     "simd|scalar|f64",     \
     &(cli)->backend,       \
     0,                     \
     0,                     \
     "kernels: fast, readable, or double precision"}
#define WF_OPT_INTEGRITY(cli)                           \
    {"integrity",       0, WF_OPT_TEXT, "sha256-BASE64", \
     &(cli)->integrity, 0, 0,           "refuse a model file other than the one that `inspect` printed this for"}

#endif
