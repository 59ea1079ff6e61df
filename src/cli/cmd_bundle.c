/* bundle: a model and the page that runs it in one HTML file, which needs no other file, no server and no network. The page
   is web/dist/wasmformer-page.html (web/page/), with engine, style, script and policy; the model goes into its marked place
   as base64, piece by piece. Nothing else out of the model reaches the markup: names and labels are shown by the script. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/picture.h"
#include "cli/platform.h"
#include "cli/progress.h"
#include "cli/text_out.h"
#include "format/gguf.h"
#include "format/json.h"

#define PAGE "wasmformer-page.html"
#define PLACE "<!--wasmformer:model-->"      /* web/build-page.mjs knows the same words */
#define MARK "content=\"wasmformer " WF_VERSION "\""
#define BEGIN "<script type=\"application/octet-stream\" class=\"model\">"
#define END "</script>\n"

enum {
    MAX_PAGE = 16 << 20,
    PIECE = 768 << 10, /* of the model; a multiple of three, so that only the last piece is padded */
    PATH = 2048
};

typedef struct bundle {
    wf_cli *cli;
    const char *model, *out, *page;
    bool force;
    char found[PATH]; /* the page's path where none was given */
    char *html;
    size_t html_bytes;
    uint64_t written;
    char integrity[96]; /* "" where the model has none */
} bundle;

/* ---- the page ---- */

/* Beside the program, in the tree that it was built in, and below the current folder (all that WASI can know). */
static wf_status find_page(bundle *b, wf_error *err) {
    static const char *const places[] = {"", "../../web/dist/"};
    char folder[PATH];
    wf_platform_program_folder(folder, sizeof folder);
    for (int i = 0; i < 2 && folder[0] != '\0'; i++) {
        int n = snprintf(b->found, sizeof b->found, "%s%s" PAGE, folder, places[i]);
        if (n < (int)sizeof b->found && wf_path_exists(b->found)) {
            b->page = b->found;
            return WF_OK;
        }
    }
    b->page = "web/dist/" PAGE;
    return wf_path_exists(b->page)
               ? WF_OK
               : wf_fail(err, WF_E_MISSING, "page", -1,
                         PAGE " is neither beside this program nor in web/dist: build it (cmake --preset web && cmake --build "
                              "--preset web && node web/build.mjs), or say where it is: --page FILE");
}

static wf_status read_page(bundle *b, wf_error *err) {
    if (b->page == NULL) {
        WF_TRY(find_page(b, err));
    }
    WF_TRY(wf_input_all(b->page, MAX_PAGE, &b->html, &b->html_bytes, err));
    const char *place = strstr(b->html, PLACE);
    if (place == NULL || strstr(place + 1, PLACE) != NULL || strlen(b->html) != b->html_bytes) {
        return wf_fail(err, WF_E_FORMAT, "page", -1,
                       "%s is no page to put a model into: give the " PAGE " of web/dist", b->page);
    }
    if (strstr(b->html, MARK) == NULL) {
        return wf_fail(err, WF_E_STATE, "page", -1,
                       "%s belongs to another version than this program (" WF_VERSION "): build both together", b->page);
    }
    return WF_OK;
}

/* ---- the model ---- */

/* Loads it as a page would: every byte is verified, and only what names pictures is taken. */
static wf_status check_model(bundle *b, wf_error *err) {
    wf_classifier c;
    wf_status status = wf_classifier_open(b->cli, b->model, &c, err);
    if (status == WF_OK && wf_gguf_find(wf_model_metadata(c.view.loaded.model), "split.count") != NULL) {
        status = wf_fail(err, WF_E_UNSUPPORTED, "split.count", -1,
                         "%s is one part of a split model: a page takes one whole file", c.view.loaded.name);
    }
    if (status == WF_OK && wf_model_integrity(c.view.loaded.model) != NULL) {
        snprintf(b->integrity, sizeof b->integrity, "%s", wf_model_integrity(c.view.loaded.model));
    }
    wf_classifier_close(&c);
    return status;
}

static wf_status put(bundle *b, wf_byte_sink out, const void *bytes, size_t n, wf_error *err) {
    b->written += n;
    return out.write(out.user, bytes, n, err);
}

static wf_status put_pieces(bundle *b, wf_input_file *f, wf_byte_sink out, uint8_t *piece, char *text, wf_error *err) {
    wf_bar bar;
    wf_bar_init(&bar, b->cli, true);
    uint64_t done = 0;
    wf_status status = WF_OK;
    for (size_t got = PIECE; status == WF_OK && got == PIECE; done += got) {
        status = wf_input_read(f, piece, PIECE, &got, err);
        if (status == WF_OK && got != 0) {
            size_t n = wf_base64(piece, got, text);
            status = put(b, out, BEGIN, sizeof BEGIN - 1, err);
            status = status == WF_OK ? put(b, out, text, n, err) : status;
            status = status == WF_OK ? put(b, out, END, sizeof END - 1, err) : status;
        }
        wf_bar_update(&bar, "writing", done, f->size);
    }
    wf_bar_clear(&bar);
    if (status == WF_OK && done != f->size) {
        status = wf_fail(err, WF_E_IO, b->model, -1, "%s changed while it was read: try again", b->model);
    }
    return status;
}

static wf_status put_model(bundle *b, wf_byte_sink out, wf_error *err) {
    wf_input_file f;
    WF_TRY(wf_input_open(&f, b->model, err));
    uint8_t *piece = wf_alloc(PIECE);
    char *text = wf_alloc(WF_BASE64_LENGTH(PIECE));
    wf_status status = piece == NULL || text == NULL
                           ? wf_fail(err, WF_E_MEMORY, b->model, -1, "no memory to read %s", b->model)
                           : put_pieces(b, &f, out, piece, text, err);
    wf_free(piece);
    wf_free(text);
    wf_input_close(&f);
    return status;
}

static wf_status put_page(bundle *b, wf_byte_sink out, wf_error *err) {
    const char *place = strstr(b->html, PLACE), *rest = place + sizeof PLACE - 1;
    WF_TRY(put(b, out, b->html, (size_t)(place - b->html), err));
    WF_TRY(put_model(b, out, err));
    return put(b, out, rest, (size_t)(b->html + b->html_bytes - rest), err);
}

static wf_status check_names(const bundle *b, wf_error *err) {
    if (wf_path_same(b->model, b->out)) {
        return wf_fail(err, WF_E_ARGUMENT, "out", -1, "model and output are the same file: choose another name for -o");
    }
    if (!b->force && wf_path_exists(b->out)) {
        return wf_fail(err, WF_E_ARGUMENT, "out", -1,
                       "%s exists already: choose another name, or give --force to replace it", b->out);
    }
    wf_input_file f;
    WF_TRY(wf_input_open(&f, b->model, err));
    bool seekable = f.seekable;
    wf_input_close(&f);
    return seekable ? WF_OK
                    : wf_fail(err, WF_E_IO, b->model, -1,
                              "%s is a pipe or device, and this needs a file: save it first", b->model);
}

static wf_status make(bundle *b, wf_error *err) {
    WF_TRY(check_names(b, err));
    WF_TRY(read_page(b, err));
    WF_TRY(check_model(b, err));
    wf_output_file out;
    wf_status status = wf_output_begin(&out, b->out, err);
    status = status == WF_OK ? put_page(b, wf_output_sink(&out), err) : status;
    status = status == WF_OK ? wf_output_commit(&out, err) : status;
    wf_output_discard(&out);
    return status;
}

/* ---- saying ---- */

static void print_json(const bundle *b) {
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "{\"out\":");
    wf_text_json_string(&t, b->out);
    wf_text_add(&t, ",\"page\":");
    wf_text_json_string(&t, b->page);
    wf_text_format(&t, ",\"bytes\":%llu", (unsigned long long)b->written);
    if (b->integrity[0] != '\0') {
        wf_text_format(&t, ",\"integrity\":\"%s\"", b->integrity);
    }
    wf_text_add(&t, "}\n");
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

static void print_text(const bundle *b) {
    wf_number bytes;
    wf_out_text(stdout, b->out);
    printf(": %s; open it in a browser\n", wf_out_bytes(bytes, b->written));
}

int wf_cmd_bundle(wf_cli *cli, int argc, char **argv) {
    bundle b;
    memset(&b, 0, sizeof b);
    b.cli = cli;
    cli->threads = 1;
    const wf_opt options[] = {
        {"out", 'o', WF_OPT_TEXT, "FILE", &b.out, 0, 0, "the HTML file to write"},
        {"page", 0, WF_OPT_TEXT, "FILE", &b.page, 0, 0,
         "the page to put it into (default: beside this program, in web/dist)"},
        {"force", 'f', WF_OPT_FLAG, NULL, &b.force, 0, 0, "replace the output file if it exists"},
        WF_OPT_INTEGRITY(cli),
    };
    const wf_usage usage = {
        "bundle",
        "MODEL -o FILE",
        "Makes one HTML file that holds the model and the engine and names what is in pictures, also when it is\n"
        "opened from a disk, without a server and without a network. It is " PAGE " with the model in it.",
        "poolformer.gguf -o poolformer.html",
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
    if (b.out == NULL) {
        wf_fail(&err, WF_E_ARGUMENT, "out", -1, "bundle needs -o FILE");
        return wf_cli_usage_error(cli, &err);
    }
    b.model = argv[0];
    int code = WF_EXIT_OK;
    if (make(&b, &err) != WF_OK) {
        code = wf_cli_fail(cli, &err);
    } else if (cli->json) {
        print_json(&b);
    } else {
        print_text(&b);
    }
    wf_free(b.html);
    return code;
}
