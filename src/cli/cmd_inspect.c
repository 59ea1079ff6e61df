/* inspect: what a file is, by its first bytes: a GGUF model, or a checkpoint. */
#include <string.h>

#include "cli/args.h"
#include "cli/files.h"
#include "cli/inspect.h"
#include "cli/siblings.h"
#include "format/sniff.h"

static wf_status inspect(const wf_cli *cli, const char *path, bool tensors, wf_error *err) {
    wf_input_file f;
    wf_file view;
    uint8_t head[32];
    const char *sentence;
    char begin[2048];
    uint32_t parts;
    if (wf_sibling_named(path, &parts) && wf_sibling_find(path, 0, parts, begin, sizeof begin, NULL) == WF_OK) {
        path = begin; /* the part that describes the model */
    }
    WF_TRY(wf_input_open(&f, path, err));
    wf_status status = wf_input_view(&f, &view, err);
    size_t n = f.size < sizeof head ? (size_t)f.size : sizeof head;
    if (status == WF_OK && n != 0) {
        status = view.read(view.user, 0, head, n, err);
    }
    if (status == WF_OK) {
        status = wf_sniff(head, n, &sentence) == WF_SNIFFED_GGUF
                     ? wf_inspect_gguf(cli, path, &view, tensors, err)
                     : wf_inspect_source(cli, wf_path_base(path), &view, err);
    }
    wf_input_close(&f);
    return status;
}

int wf_cmd_inspect(wf_cli *cli, int argc, char **argv) {
    bool tensors = false;
    int n;
    const wf_opt options[] = {
        {"tensors", 't', WF_OPT_FLAG, NULL, &tensors, 0, 0, "list the tensors of a model too"},
    };
    const wf_usage usage = {"inspect",
                            "FILE",
                            "Describes a GGUF model (what it computes, needs and offers, where it comes "
                            "from) or lists a checkpoint.",
                            "poolformer.gguf --tensors",
                            1,
                            1,
                            options,
                            sizeof options / sizeof options[0]};
    wf_error err;
    wf_error_clear(&err);
    wf_parsed parsed = wf_args_parse(cli, &usage, argc, argv, &n);
    if (parsed != WF_PARSED) {
        return parsed == WF_PARSED_HELP ? WF_EXIT_OK : WF_EXIT_USAGE;
    }
    if (inspect(cli, argv[0], tensors, &err) == WF_OK) {
        return WF_EXIT_OK;
    }
    wf_cli_name_file(wf_path_base(argv[0]), &err);
    return wf_cli_fail(cli, &err);
}
