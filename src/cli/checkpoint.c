#include "cli/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "cli/files.h"

static bool exists_in(const char *folder, const char *name, char path[WF_CHECKPOINT_PATH]) {
    size_t n = strlen(folder);
    int written = snprintf(path, WF_CHECKPOINT_PATH, "%s%s%s", folder, n > 0 && folder[n - 1] == '/' ? "" : "/", name);
    return written > 0 && written < WF_CHECKPOINT_PATH && wf_path_exists(path);
}

static wf_status find_in_folder(const char *folder, wf_checkpoint *out, wf_error *err) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"};
    out->file = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && out->file == NULL; i++) {
        out->file = exists_in(folder, names[i], out->found[0]) ? out->found[0] : NULL;
    }
    if (out->file == NULL) {
        return wf_fail(err, WF_E_IO, folder, -1,
                       "the folder %s has none of model.safetensors, model.safetensors.index.json and pytorch_model.bin: give the "
                       "checkpoint's file", folder);
    }
    out->config = exists_in(folder, "config.json", out->found[1]) ? out->found[1] : NULL;
    return WF_OK;
}

/* NAME-00001-of-00002.safetensors: its index is NAME.safetensors.index.json. */
static wf_status find_index(const char *source, wf_checkpoint *out, wf_error *err) {
    const char *base = wf_path_base(source), *of = strstr(base, "-of-"), *end = strrchr(base, '.');
    bool shard = of != NULL && of - base >= 6 && of[-6] == '-' && strspn(of + 4, "0123456789") == 5 && end != NULL &&
                 strcmp(end, ".gguf") != 0;
    if (!shard) {
        return WF_OK;
    }
    int written = snprintf(out->found[0], WF_CHECKPOINT_PATH, "%.*s%s.index.json", (int)(of - 6 - source), source, of + 9);
    if (written < WF_CHECKPOINT_PATH && wf_path_exists(out->found[0])) {
        out->file = out->found[0];
        return WF_OK;
    }
    return wf_fail(err, WF_E_UNSUPPORTED, base, -1,
                   "%s is one part of a sharded checkpoint, whose index %s is not beside it: put the whole checkpoint into one folder",
                   base, wf_path_base(out->found[0]));
}

wf_status wf_checkpoint_find(const char *source, wf_checkpoint *out, wf_error *err) {
    out->file = source;
    out->config = NULL;
    return wf_path_is_folder(source) ? find_in_folder(source, out, err) : find_index(source, out, err);
}
