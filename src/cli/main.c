/* wasmformer: the command line. Finds the verb and lets it work; everything else is in cmd_VERB.c. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/platform.h"
#include "wasmformer.h"

typedef struct verb {
    const char *name, *what;
    int (*run)(wf_cli *cli, int argc, char **argv);
} verb;

static const verb verbs[] = {
#define WF_VERB(name, what) {#name, what, wf_cmd_##name},
#include "cli/verbs.def"
#undef WF_VERB
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void print_help(FILE *f) {
    fputs("wasmformer " WF_VERSION
          ": transformers from checkpoint to answer\n\nusage: wasmformer VERB [options]\n\n",
          f);
    for (int i = 0; i < VERBS; i++) {
        fprintf(f, "  %-9s %s\n", verbs[i].name, verbs[i].what);
    }
    fputs("\n`wasmformer VERB --help` explains a verb; `wasmformer --version` prints the version.\n\n"
          "example:\n  wasmformer classify poolformer.gguf photo.jpg\n",
          f);
}

static const verb *find(const char *name) {
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int unknown_verb(wf_cli *cli, const char *word) {
    const char *names[VERBS];
    for (int i = 0; i < VERBS; i++) {
        names[i] = verbs[i].name;
    }
    wf_error err;
    wf_error_clear(&err);
    wf_fail(&err, WF_E_ARGUMENT, word, -1, "there is no verb \"%s\"; did you mean %s?", word,
            wf_args_nearest(word, names, VERBS));
    return wf_cli_usage_error(cli, &err);
}

int main(int argc, char **argv) {
    wf_cli cli;
    memset(&cli, 0, sizeof cli);
    cli.backend = WF_BACKEND_SIMD;
    if (argc < 2) {
        print_help(stderr);
        return WF_EXIT_USAGE;
    }
    const char *word = argv[1];
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (help && argc == 2) {
        print_help(stdout);
        return wf_cli_finish(&cli, WF_EXIT_OK);
    }
    if (strcmp(word, "--version") == 0) {
        puts("wasmformer " WF_VERSION);
        return wf_cli_finish(&cli, WF_EXIT_OK);
    }
    static char help_option[] = "--help";
    char *help_argv[] = {help_option, NULL};
    const verb *v = find(help ? argv[2] : word);
    if (v == NULL) {
        for (int i = 2; i < argc; i++) {
            cli.json = cli.json || strcmp(argv[i], "--json") == 0;
        }
        return unknown_verb(&cli, help ? argv[2] : word);
    }
    cli.verb = v->name;
    wf_platform_catch_interrupts();
    return wf_cli_finish(&cli, help ? v->run(&cli, 1, help_argv) : v->run(&cli, argc - 2, argv + 2));
}
