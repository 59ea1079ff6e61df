/* A GGUF model: what it is, needs and offers. Only the header is read: the reader finds its
   length, the model is fed just that. A file without hashes is read once more, for the value that pins it whole. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sha256.h"
#include "cli/inspect.h"
#include "cli/files.h"
#include "cli/load.h"
#include "cli/siblings.h"
#include "cli/text_out.h"
#include "format/gguf.h"
#include "format/json.h"
#include "wasmformer.h"

enum { PIECE = 1 << 16, ITEMS_SHOWN = 8 };

typedef struct inspection {
    const wf_cli *cli;
    const char *path, *name;
    const wf_file *file;
    uint64_t bytes; /* of all files */
    uint32_t parts;
    uint8_t *piece;
    wf_gguf_reader *reader;
    const wf_gguf *gguf;
    wf_model *model;  /* NULL when this version cannot run it */
    wf_error refusal; /* why */
    bool tensors;
    uint32_t part; /* that is being read */
    const char *part_name;
    wf_text integrity; /* one value, or one for each part; empty: the file is incomplete */
} inspection;

/* ---- reading ---- */

static wf_status read_header(inspection *x, wf_error *err) {
    WF_TRY(wf_gguf_reader_create(x->file->size, &x->reader, err));
    uint64_t at = 0;
    while (x->gguf == NULL && at < x->file->size) {
        size_t n = x->file->size - at < PIECE ? (size_t)(x->file->size - at) : PIECE, used;
        WF_TRY(x->file->read(x->file->user, at, x->piece, n, err));
        WF_TRY(wf_gguf_reader_feed(x->reader, x->piece, n, &used, &x->gguf, err));
        at += n;
    }
    return x->gguf != NULL ? WF_OK : wf_gguf_reader_finish(x->reader, err);
}

/* The header of one file. */
static wf_status feed_head(inspection *x, const wf_file *file, wf_error *err) {
    uint64_t end = x->parts == 1 ? x->gguf->data_start : file->size; /* never the data of a whole model */
    for (uint64_t at = 0; at < end && at < file->size && !wf_model_wants_next(x->model);) {
        uint64_t left = (end < file->size ? end : file->size) - at;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        WF_TRY(file->read(file->user, at, x->piece, n, err));
        WF_TRY(wf_model_feed(x->model, x->piece, n, err));
        at += n;
    }
    return WF_OK;
}

typedef wf_status (*part_work)(inspection *x, const wf_file *file, wf_error *err);

/* The same with each part behind the first. */
static wf_status other_parts(inspection *x, part_work work, wf_error *err) {
    for (uint32_t i = 1; i < x->parts; i++) {
        char path[2048];
        wf_input_file f;
        wf_file view;
        WF_TRY(wf_sibling_find(x->path, i, x->parts, path, sizeof path, err));
        WF_TRY(wf_input_open(&f, path, err));
        x->part = i;
        x->part_name = wf_path_base(path);
        wf_status status = wf_input_view(&f, &view, err);
        status = status == WF_OK ? work(x, &view, err) : status;
        wf_input_close(&f);
        WF_TRY(status);
    }
    return WF_OK;
}

static wf_status next_head(inspection *x, const wf_file *file, wf_error *err) {
    x->bytes += file->size;
    WF_TRY(wf_model_next(x->model, x->part, x->part_name, file->size, err));
    return feed_head(x, file, err);
}

static wf_status feed_model(inspection *x, wf_error *err) {
    wf_options options = wf_options_default();
    options.file_name = x->name;
    options.file_bytes = x->file->size;
    WF_TRY(wf_model_open(&options, &x->model, err));
    WF_TRY(feed_head(x, x->file, err));
    x->parts = wf_model_files(x->model);
    WF_TRY(other_parts(x, next_head, err));
    x->gguf = wf_model_metadata(x->model) != NULL ? wf_model_metadata(x->model) : x->gguf;
    return WF_OK;
}

static void try_model(inspection *x) {
    wf_error_clear(&x->refusal);
    const wf_gguf *first = x->gguf;
    if (feed_model(x, &x->refusal) != WF_OK || !wf_model_has_header(x->model)) {
        wf_model_free(x->model);
        x->model = NULL;
        x->gguf = first;
    }
}

static wf_status add_hash(inspection *x, const wf_file *file, wf_error *err) {
    wf_sha256 hash;
    uint8_t digest[WF_SHA256_BYTES];
    char text[WF_SHA256_TEXT];
    wf_sha256_init(&hash);
    for (uint64_t at = 0; at < file->size;) {
        size_t n = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
        WF_TRY(wf_check_interrupt(err));
        WF_TRY(file->read(file->user, at, x->piece, n, err));
        wf_sha256_add(&hash, x->piece, n);
        at += n;
    }
    wf_sha256_digest(&hash, digest);
    wf_sha256_text(digest, text);
    wf_text_add(&x->integrity, x->integrity.length != 0 ? " " : "");
    wf_text_add(&x->integrity, text);
    return WF_OK;
}

/* The value for --integrity: of the header where the model checks the rest by itself, else of every whole file. */
static wf_status find_integrity(inspection *x, wf_error *err) {
    bool by_header = x->model != NULL && wf_model_integrity(x->model) != NULL;
    if (by_header) {
        wf_text_add(&x->integrity, wf_model_integrity(x->model));
    }
    if (by_header || x->bytes < x->gguf->total_bytes || (x->model == NULL && x->parts > 1)) {
        return WF_OK;
    }
    WF_TRY(add_hash(x, x->file, err));
    return other_parts(x, add_hash, err);
}

/* ---- one value of the metadata as text ---- */

static void add_number(wf_text *t, double v) {
    bool whole = v > -1e15 && v < 1e15 && v == (double)(int64_t)v; /* the cast is defined only in range */
    wf_text_format(t, whole ? "%.0f" : "%.6g", v);
}

static void add_value(wf_text *t, const wf_gguf *g, const wf_gguf_kv *kv) {
    double number;
    bool flag;
    const char *text = wf_gguf_get_string(g, kv->key.text);
    if (text != NULL) {
        wf_text_format(t, "%.600s", text);
    } else if (kv->type == WF_GGUF_ARRAY) {
        for (uint64_t i = 0; i < kv->count && i < ITEMS_SHOWN; i++) {
            const char *item = wf_gguf_item_string(kv, i);
            wf_text_add(t, i != 0 ? ", " : "");
            if (item != NULL) {
                wf_text_format(t, "%.200s", item);
            } else if (wf_gguf_item_f64(kv, i, &number)) {
                add_number(t, number);
            }
        }
        if (kv->count > ITEMS_SHOWN) {
            wf_text_format(t, ", … (%llu)", (unsigned long long)kv->count);
        }
    } else if (kv->type == WF_GGUF_BOOL && wf_gguf_get_bool(g, kv->key.text, &flag)) {
        wf_text_add(t, flag ? "true" : "false");
    } else if (wf_gguf_get_f64(g, kv->key.text, &number)) {
        add_number(t, number);
    }
}

/* ---- text ---- */

static void print_list(const wf_gguf *g, const char *key, const char *label) {
    const wf_gguf_kv *kv = wf_gguf_find(g, key);
    for (uint64_t i = 0; kv != NULL && i < kv->count; i++) {
        const char *item = wf_gguf_item_string(kv, i);
        wf_out_row(i == 0 ? label : "", "%s", item != NULL ? item : "");
    }
}

static void print_model(const inspection *x) {
    wf_model_info info;
    wf_number a, b, c;
    wf_model_get_info(x->model, &info);
    wf_out_row("licence", "%s", info.license != NULL ? info.license : "not stated");
    wf_out_row("source", "%s", info.source != NULL ? info.source : "not stated");
    wf_out_row("file", "%s, matrices as %s", wf_out_bytes(a, x->bytes), info.file_type != NULL ? info.file_type : "stored");
    if (x->parts > 1) {
        wf_out_row("parts", "%u files, from %s on", x->parts, x->name);
    }
    wf_out_row("memory", "weights %s, activations %s for one input", wf_out_bytes(a, info.weight_bytes),
               wf_out_bytes(b, info.activation_bytes));
    wf_out_row("work", "%s multiply-adds for one input; %u steps, %u of them normalisation",
               wf_out_scaled(c, (double)info.cost), info.nodes, info.norm_nodes);
    if (info.vocabulary != 0) {
        wf_out_row("input", "token ids [n, up to %u], each below %u", info.context, info.vocabulary);
    } else {
        wf_out_row("input", "[n, %u, %u, %u] (recommended size)", info.channels, info.height, info.width);
    }
    const wf_image_params *p = wf_model_image(x->model);
    if (p != NULL) {
        static const char *const names[] = {"nearest", "bilinear", "bicubic"};
        wf_out_row("pictures", "%s, %s, mean %.4g %.4g %.4g, std %.4g %.4g %.4g", names[p->resample],
                   p->squash ? "resized without regard to shape" : "short side resized, centre cropped",
                   (double)p->mean[0], (double)p->mean[1], (double)p->mean[2], (double)p->std[0],
                   (double)p->std[1], (double)p->std[2]);
        if (!p->squash) {
            wf_out_row("", "crop %.4g of the short side%s", (double)p->crop_pct, p->round_long ? ", long side rounded" : "");
        }
    }
    wf_text list;
    memset(&list, 0, sizeof list);
    for (uint32_t i = 0; i < info.classes && i < ITEMS_SHOWN; i++) {
        wf_text_format(&list, "%s%.60s", i != 0 ? ", " : "", wf_model_label(x->model, i));
    }
    wf_out_row("labels", "%u%s%s%s", info.classes, info.classes != 0 ? ": " : "",
               list.data != NULL ? list.data : "", info.classes > ITEMS_SHOWN ? ", …" : "");
    wf_text_free(&list);
    memset(&list, 0, sizeof list);
    for (uint32_t i = 0; i < info.tap_count && i < ITEMS_SHOWN; i++) {
        wf_text_format(&list, "%s%.80s", i != 0 ? ", " : "", wf_model_tap(x->model, i));
    }
    wf_out_row("taps", "%u%s%s%s", info.tap_count, info.tap_count != 0 ? ": " : "",
               list.data != NULL ? list.data : "", info.tap_count > ITEMS_SHOWN ? ", …" : "");
    wf_text_free(&list);
    double loss;
    if (wf_gguf_get_f64(x->gguf, "wf.golden.loss", &loss)) {
        wf_out_row("self-test", "recorded; %.3g from the source model (`wasmformer verify` checks it)", loss);
    } else {
        wf_out_row("self-test", "none");
    }
    uint64_t chunks = wf_model_chunks(x->model);
    if (chunks != 0) {
        wf_out_row("hashes", "SHA-256 of %llu chunk%s of 1 MiB, checked whenever the model is loaded", (unsigned long long)chunks,
                   chunks != 1 ? "s" : "");
    } else {
        wf_out_row("hashes", "none: damage goes unnoticed unless the file is pinned by its integrity");
    }
    print_list(x->gguf, "wf.assumptions", "assumed");
    print_list(x->gguf, "wf.left_out", "left out");
}

static void print_metadata(const wf_gguf *g) {
    static const char *const shown[] = {"wf.labels",
                                        "wf.taps",
                                        "wf.assumptions",
                                        "wf.left_out",
                                        "wf.golden.output_source",
                                        "wf.golden.output_self",
                                        "wf.chunks",
                                        "wf.header",
                                        "wf.parts"};
    puts("metadata:");
    wf_table t;
    wf_table_init(&t, "ll");
    for (uint64_t i = 0; i < g->kv_count; i++) {
        bool skip = false;
        for (size_t j = 0; j < sizeof shown / sizeof shown[0]; j++) {
            skip = skip || strcmp(shown[j], g->kvs[i].key.text) == 0;
        }
        if (skip) {
            continue;
        }
        wf_text value;
        memset(&value, 0, sizeof value);
        add_value(&value, g, &g->kvs[i]);
        wf_table_row(&t, g->kvs[i].key.text, value.data != NULL ? value.data : "");
        wf_text_free(&value);
    }
    wf_table_print(&t, stdout);
}

static void print_tensors(const wf_gguf *g) {
    puts("tensors, in the order in which they arrive:");
    wf_table t;
    wf_table_init(&t, "lllr");
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *x = &g->tensors[g->by_offset[i]];
        uint64_t dims[4]; /* outermost first, as in PyTorch */
        for (uint32_t d = 0; d < x->n_dims; d++) {
            dims[d] = x->dims[x->n_dims - 1 - d];
        }
        wf_shape_text shape;
        wf_number bytes;
        wf_table_row(&t, x->name.text, wf_dtype_get(x->type)->name, wf_out_shape(shape, dims, x->n_dims),
                     wf_out_bytes(bytes, x->bytes));
    }
    wf_table_print(&t, stdout);
}

static void print_text(const inspection *x) {
    wf_number count;
    const char *name = wf_gguf_get_string(x->gguf, "general.name"),
               *arch = wf_gguf_get_string(x->gguf, "general.architecture");
    wf_out_text(stdout, name != NULL ? name : x->name);
    fputs(": ", stdout);
    wf_out_text(stdout, arch != NULL ? arch : "a GGUF file without an architecture");
    printf(", %s parameters in %llu tensors\n", wf_out_count(count, wf_gguf_parameters(x->gguf)),
           (unsigned long long)x->gguf->tensor_count);
    if (x->model != NULL) {
        print_model(x);
    } else {
        wf_out_row("runnable", "no: %s", x->refusal.text);
    }
    if (x->integrity.length != 0) {
        wf_out_row("integrity", "%s", x->integrity.data);
    }
    if (x->bytes < x->gguf->total_bytes) {
        wf_out_row("incomplete", "%llu of %llu bytes are here: download it again",
                   (unsigned long long)x->bytes, (unsigned long long)x->gguf->total_bytes);
    }
    print_metadata(x->gguf);
    if (x->tensors) {
        print_tensors(x->gguf);
    }
}

/* ---- JSON ---- */

static void print_foreign_json(const inspection *x) {
    const wf_gguf *g = x->gguf;
    const char *arch = wf_gguf_get_string(g, "general.architecture");
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "{\"architecture\":");
    wf_text_json_string(&t, arch != NULL ? arch : "");
    wf_text_add(&t, ",\"error\":");
    wf_json_error(&t, &x->refusal);
    wf_text_format(&t, ",\"parameters\":%llu,\"metadata\":{", (unsigned long long)wf_gguf_parameters(g));
    for (uint64_t i = 0; i < g->kv_count; i++) {
        wf_text value;
        memset(&value, 0, sizeof value);
        add_value(&value, g, &g->kvs[i]);
        wf_text_add(&t, i != 0 ? "," : "");
        wf_text_json_string(&t, g->kvs[i].key.text);
        wf_text_add(&t, ":");
        wf_text_json_string(&t, value.data != NULL ? value.data : "");
        wf_text_free(&value);
    }
    wf_text_add(&t, "},\"tensors\":[");
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *y = &g->tensors[i];
        wf_text_add(&t, i != 0 ? ",{\"name\":" : "{\"name\":");
        wf_text_json_string(&t, y->name.text);
        wf_text_format(&t, ",\"type\":\"%s\",\"dims\":[", wf_dtype_get(y->type)->name);
        for (uint32_t d = 0; d < y->n_dims; d++) {
            wf_text_format(&t, "%s%llu", d != 0 ? "," : "", (unsigned long long)y->dims[d]);
        }
        wf_text_format(&t, "],\"bytes\":%llu}", (unsigned long long)y->bytes);
    }
    wf_text_add(&t, "]");
    if (x->integrity.length != 0) {
        wf_text_format(&t, ",\"integrity\":\"%s\"", x->integrity.data);
    }
    wf_text_add(&t, "}");
    puts(t.failed ? "null" : t.data);
    wf_text_free(&t);
}

static void print_json(const inspection *x) {
    char *text = x->model != NULL ? wf_model_describe(x->model) : NULL;
    if (text != NULL) {
        if (wf_model_integrity(x->model) == NULL && x->integrity.length != 0) { /* the model cannot know what pins it whole */
            printf("%.*s,\"integrity\":\"%s\"}\n", (int)strlen(text) - 1, text, x->integrity.data);
        } else {
            puts(text);
        }
        wf_free(text);
    } else {
        print_foreign_json(x);
    }
}

wf_status wf_inspect_gguf(const wf_cli *cli, const char *path, const wf_file *file, bool tensors, wf_error *err) {
    inspection x;
    memset(&x, 0, sizeof x);
    x.cli = cli;
    x.path = path;
    x.name = wf_path_base(path);
    x.file = file;
    x.bytes = file->size;
    x.parts = 1;
    x.tensors = tensors;
    x.piece = wf_alloc(PIECE);
    wf_status status = x.piece != NULL ? read_header(&x, err)
                                       : wf_fail(err, WF_E_MEMORY, x.name, -1, "no memory to read %s", x.name);
    if (status == WF_OK) {
        try_model(&x);
        status = find_integrity(&x, err);
    }
    if (status == WF_OK && cli->json) {
        print_json(&x);
    } else if (status == WF_OK) {
        print_text(&x);
    }
    wf_text_free(&x.integrity);
    wf_model_free(x.model);
    wf_gguf_reader_free(x.reader);
    wf_free(x.piece);
    return status;
}
