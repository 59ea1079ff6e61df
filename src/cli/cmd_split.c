/* split: a GGUF model as several files, NAME-00001-of-0000N.gguf … */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "cli/text_out.h"
#include "convert/split.h"
#include "format/json.h"

enum { MOST_PATH = 2048 };

typedef struct job {
    wf_cli *cli;
    const char *source, *out, *size;
    bool force;
    uint64_t limit;
    wf_bar bar;
    wf_split *split;
} job;

static void on_progress(void *user, const char *phase, uint64_t done, uint64_t total) {
    wf_bar_update(&((job *)user)->bar, phase, done, total);
}

static wf_status on_poll(void *user, wf_error *err) {
    (void)user;
    return wf_check_interrupt(err);
}

/* "25000000", "25M": powers of 1000, as gguf-split has them. */
static bool read_size(const char *text, uint64_t *out) {
    static const char units[] = "KMG";
    char *end;
    uint64_t v = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (text[0] < '0' || text[0] > '9' || v == 0 || v > UINT64_MAX / 1000000000 || (*end != '\0' && (unit == NULL || end[1] != '\0'))) {
        return false;
    }
    for (const char *u = units; unit != NULL && u <= unit; u++) {
        v *= 1000;
    }
    *out = v;
    return true;
}

/* NAME of the files to come: of -o or of the source, without .gguf. */
static int stem(const job *j) {
    const char *name = j->out;
    size_t n = strlen(name);
    return (int)(n > 5 && strcmp(name + n - 5, ".gguf") == 0 ? n - 5 : n);
}

static wf_status part_path(const job *j, uint32_t index, char path[MOST_PATH], wf_error *err) {
    int n = snprintf(path, MOST_PATH, "%.*s-%05u-of-%05u.gguf", stem(j), j->out, index + 1, wf_split_count(j->split));
    return n > 0 && n < MOST_PATH ? WF_OK
                                  : wf_fail(err, WF_E_ARGUMENT, "out", -1, "the name of the files to write is too long: choose a "
                                                                           "shorter one with -o");
}

static wf_status write_part(job *j, uint32_t index, wf_error *err) {
    char path[MOST_PATH];
    wf_output_file out;
    WF_TRY(part_path(j, index, path, err));
    wf_status status = wf_output_begin(&out, path, err);
    if (status == WF_OK) {
        status = wf_split_write(j->split, index, wf_output_sink(&out), err);
    }
    if (status == WF_OK) {
        status = wf_output_commit(&out, err);
    }
    wf_output_discard(&out);
    return status;
}

/* All parts or none: a folder with half a model is worse than an empty one. */
static wf_status write_parts(job *j, wf_error *err) {
    char path[MOST_PATH];
    uint32_t count = wf_split_count(j->split), done = 0;
    for (uint32_t i = 0; i < count && !j->force; i++) {
        WF_TRY(part_path(j, i, path, err));
        if (wf_path_exists(path)) {
            return wf_fail(err, WF_E_ARGUMENT, "out", -1,
                           "%s exists already: choose another name with -o, or give --force to replace it", path);
        }
    }
    wf_status status = WF_OK;
    while (done < count && status == WF_OK) {
        status = write_part(j, done, err);
        done += status == WF_OK;
    }
    while (status != WF_OK && done > 0 && part_path(j, --done, path, NULL) == WF_OK) {
        remove(path);
    }
    return status;
}

static wf_status split(job *j, wf_error *err) {
    wf_input_file f;
    wf_file view;
    wf_split_options o = {j->limit, wf_path_base(j->source), j->cli->integrity, j, on_progress, on_poll};
    WF_TRY(wf_input_open(&f, j->source, err));
    wf_status status = wf_input_view(&f, &view, err);
    status = status == WF_OK ? wf_split_create(&view, &o, &j->split, err) : status;
    status = status == WF_OK ? write_parts(j, err) : status;
    wf_input_close(&f);
    wf_bar_clear(&j->bar);
    return status;
}

static void print_text(const job *j) {
    char path[MOST_PATH], pin[WF_SHA256_TEXT];
    wf_number bytes;
    for (uint32_t i = 0; i < wf_split_count(j->split); i++) {
        part_path(j, i, path, NULL);
        wf_out_row(i == 0 ? "written" : "", "%s (%s, %llu tensors)", path, wf_out_bytes(bytes, wf_split_bytes(j->split, i)),
                   (unsigned long long)wf_split_tensors(j->split, i));
    }
    wf_split_integrity(j->split, pin);
    wf_out_row("integrity", "%s", pin);
}

static void print_json(const job *j) {
    char path[MOST_PATH], pin[WF_SHA256_TEXT];
    wf_text t;
    memset(&t, 0, sizeof t);
    for (uint32_t i = 0; i < wf_split_count(j->split); i++) {
        part_path(j, i, path, NULL);
        wf_text_add(&t, i == 0 ? "{\"parts\":[{\"file\":" : ",{\"file\":");
        wf_text_json_string(&t, path);
        wf_text_format(&t, ",\"bytes\":%llu,\"tensors\":%llu}", (unsigned long long)wf_split_bytes(j->split, i),
                       (unsigned long long)wf_split_tensors(j->split, i));
    }
    wf_split_integrity(j->split, pin);
    wf_text_format(&t, "],\"integrity\":\"%s\"}\n", pin);
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

int wf_cmd_split(wf_cli *cli, int argc, char **argv) {
    job j;
    int n;
    memset(&j, 0, sizeof j);
    j.cli = cli;
    const wf_opt options[] = {
        {"size", 's', WF_OPT_TEXT, "SIZE", &j.size, 0, 0, "greatest size of a file: bytes, or with K, M or G (powers of 1000)"},
        {"out", 'o', WF_OPT_TEXT, "NAME", &j.out, 0, 0, "begin of the names of the files (default: the model's own)"},
        {"force", 'f', WF_OPT_FLAG, NULL, &j.force, 0, 0, "replace files that exist"},
    };
    const wf_usage usage = {"split",
                            "MODEL --size SIZE",
                            "Writes a GGUF model as several files NAME-00001-of-0000N.gguf, for servers that take no larger ones.\n"
                            "They load like one file, here and in pages, given the first; llama.cpp's tools read them too.",
                            "poolformer_m48.gguf --size 25M",
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
    if (j.size == NULL || !read_size(j.size, &j.limit)) {
        if (j.size == NULL) {
            wf_fail(&err, WF_E_ARGUMENT, "size", -1, "split needs --size SIZE, the greatest size of a file, for example 25M");
        } else {
            wf_fail(&err, WF_E_ARGUMENT, "size", -1,
                    "--size takes a number of bytes, or one with K, M or G (powers of 1000), for example 25M, not \"%s\"", j.size);
        }
        return wf_cli_usage_error(cli, &err);
    }
    j.source = argv[0];
    j.out = j.out != NULL ? j.out : j.source;
    wf_bar_init(&j.bar, cli, true);
    int code = WF_EXIT_OK;
    if (split(&j, &err) != WF_OK) {
        code = wf_cli_fail(cli, &err);
    } else if (cli->json) {
        print_json(&j);
    } else {
        print_text(&j);
    }
    wf_split_free(j.split);
    return code;
}
