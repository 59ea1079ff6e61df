/* verify: the file's own golden. Loads the model as a run would, runs the recorded input,
   compares with the recorded outputs. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/load.h"
#include "cli/text_out.h"
#include "format/json.h"
#include "runtime/self_test.h"

static void print_json(const wf_model *m, const wf_verify_report *r, bool ok) {
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_format(&t, "{\"ok\":%s,\"selfError\":", ok ? "true" : "false");
    wf_text_json_number(&t, r->self_error);
    wf_text_add(&t, ",\"selfLimit\":");
    wf_text_json_number(&t, r->self_limit);
    wf_text_add(&t, ",\"sourceError\":");
    wf_text_json_number(&t, r->source_error);
    wf_text_add(&t, ",\"recordedLoss\":");
    wf_text_json_number(&t, r->recorded_loss);
    wf_text_format(&t, ",\"verified\":\"%s\",\"chunks\":%llu}\n", wf_model_verified(m),
                   (unsigned long long)wf_model_chunks(m));
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

static void print_text(const wf_cli *cli, const char *name, const wf_model *m, const wf_verify_report *r, bool ok) {
    static const char *const backends[] = {"simd", "scalar", "f64"};
    char line[160];
    snprintf(line, sizeof line, "%.80s: %s", name, ok ? "verified" : "NOT VERIFIED");
    wf_out_text(stdout, line);
    putchar('\n');
    wf_out_row("this file", "relative error %.3g against its recorded output (allowed %.1g)", r->self_error,
               r->self_limit);
    wf_out_row("source model", "relative error %.3g; %.3g when it was converted", r->source_error,
               r->recorded_loss);
    if (wf_model_chunks(m) != 0) {
        wf_out_row("bytes", "all %llu chunks match their SHA-256", (unsigned long long)wf_model_chunks(m));
    } else {
        wf_out_row("bytes", "%s", strcmp(wf_model_verified(m), "file") == 0 ? "the whole file matches its integrity value"
                                                                            : "not checked: the file holds no hashes (wf.chunks)");
    }
    wf_out_row("kernels", "%s", backends[cli->backend]);
}

int wf_cmd_verify(wf_cli *cli, int argc, char **argv) {
    const wf_opt options[] = {WF_OPT_THREADS(cli), WF_OPT_BACKEND(cli), WF_OPT_INTEGRITY(cli)};
    const wf_usage usage = {
        "verify",
        "MODEL",
        "Runs the model on the input recorded in it, and compares with the outputs recorded when it was "
        "converted:\n"
        "those of the file itself and those of the source model. Exit code 1 when they differ.",
        "poolformer.gguf",
        1,
        1,
        options,
        sizeof options / sizeof options[0]};
    int n;
    wf_error err;
    wf_error_clear(&err);
    wf_parsed parsed = wf_args_parse(cli, &usage, argc, argv, &n);
    if (parsed != WF_PARSED) {
        return parsed == WF_PARSED_HELP ? WF_EXIT_OK : WF_EXIT_USAGE;
    }
    wf_loaded loaded;
    wf_verify_report report;
    memset(&report, 0, sizeof report);
    wf_status status = wf_load_model(cli, argv[0], true, &loaded, &err);
    if (status == WF_OK) {
        status = wf_verify(loaded.model, &report, &err);
    }
    if (status == WF_OK && !report.present) {
        status = wf_fail(&err, WF_E_MISSING, "wf.golden", -1,
                         "%s carries no recorded run to compare with; files made by `wasmformer convert` do",
                         loaded.name);
    }
    if (report.present && (status == WF_OK || status == WF_E_LOSS)) {
        if (cli->json) {
            print_json(loaded.model, &report, status == WF_OK);
        } else {
            print_text(cli, loaded.name, loaded.model, &report, status == WF_OK);
        }
    }
    int code = status == WF_OK ? WF_EXIT_OK : wf_cli_fail(cli, &err);
    wf_loaded_free(&loaded);
    return code;
}
