/* run: tensors in, tensors out, both as safetensors, in the source framework's names, shapes and order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/load.h"
#include "cli/text_out.h"
#include "format/json.h"
#include "format/sniff.h"
#include "format/source.h"

typedef struct run {
    wf_cli *cli;
    const char *model, *in, *out, *taps;
    bool wide; /* double precision */
    wf_loaded loaded;
    wf_arena arena;
    wf_safetensors_entry *entries;
    void **values; /* [entries] */
    uint32_t count;
} run;

/* ---- the input ---- */

/* The input's key: `input`, `input/<arg>` or `<arg>`, where arg is what forward() of the source calls it. */
static const wf_source_tensor *find_input(const wf_source *s) {
    static const char *const names[] = {"input", "input/x", "input/pixel_values", "x", "pixel_values", "input_ids", "input/input_ids"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const wf_source_tensor *t = wf_source_find(s, names[i]);
        if (t != NULL) {
            return t;
        }
    }
    const wf_source_tensor *only = NULL;
    for (uint64_t i = 0; i < s->tensor_count; i++) { /* one input may have any argument's name */
        if (strncmp(s->tensors[i].name, "input/", 6) == 0) {
            if (only != NULL) {
                return NULL;
            }
            only = &s->tensors[i];
        }
    }
    return only;
}

/* What transformers' tokenizers give beside ids: taken where it says what is done anyway. */
static wf_status check_companions(const run *r, const wf_source *s, uint32_t tokens, wf_error *err) {
    static const char *const names[] = {"attention_mask", "input/attention_mask", "position_ids", "input/position_ids"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        const wf_source_tensor *t = wf_source_find(s, names[n]);
        for (uint64_t i = 0; t != NULL && i < t->elements; i++) {
            double value, wanted = n < 2 ? 1 : (double)(i % tokens);
            WF_TRY(wf_source_read_f64(s, t, i, 1, &value, err));
            if (value != wanted) {
                return wf_fail(err, WF_E_UNSUPPORTED, t->name, -1, "element %llu of \"%s\" in %s is %g: this version computes whole sequences, from "
                               "position 0 on; run sequences of different lengths one by one, without padding", (unsigned long long)i, t->name,
                               wf_path_base(r->in), value);
            }
        }
    }
    return WF_OK;
}

/* Token ids [n, t] or [t] → [n, 1, t, 1]. */
static wf_status check_ids(const run *r, const wf_source *s, const wf_source_tensor *t, uint32_t dims[4], wf_error *err) {
    uint64_t n = t->n_dims == 2 ? t->dims[0] : 1, tokens = t->n_dims != 0 ? t->dims[t->n_dims - 1] : 0;
    if (t->n_dims == 0 || t->n_dims > 2) {
        return wf_fail(err, WF_E_SHAPE, t->name, -1, "\"%s\" of %s has %u dimensions; token ids are [n, tokens]", t->name, wf_path_base(r->in), t->n_dims);
    }
    if (n == 0 || n > 1 << 20 || tokens == 0 || tokens > 1 << 20) {
        return wf_fail(err, WF_E_SHAPE, t->name, -1, "\"%s\" of %s holds %llu sequences of %llu tokens; from 1 to 2^20 of both are possible", t->name,
                       wf_path_base(r->in), (unsigned long long)n, (unsigned long long)tokens);
    }
    dims[0] = (uint32_t)n;
    dims[1] = dims[3] = 1;
    dims[2] = (uint32_t)tokens;
    if (t->n_dims == 1 && !r->cli->quiet) {
        fputs("note: the input has no batch axis; it is taken as one sequence\n", stderr);
    }
    return check_companions(r, s, dims[2], err);
}

static wf_status check_input(const run *r, const wf_source *s, const wf_source_tensor *t, uint32_t dims[4], wf_error *err) {
    wf_model_info info;
    wf_model_get_info(r->loaded.model, &info);
    uint32_t n = t->n_dims;
    if (info.vocabulary != 0) {
        return check_ids(r, s, t, dims, err);
    }
    if (n != 3 && n != 4) {
        return wf_fail(err, WF_E_SHAPE, t->name, -1,
                       "\"%s\" of %s has %u dimensions; pictures are [n, channels, height, width]", t->name,
                       wf_path_base(r->in), n);
    }
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t d = n == 4 ? t->dims[i] : i == 0 ? 1 : t->dims[i - 1];
        if (d == 0 || d > 1 << 20) {
            return wf_fail(err, WF_E_SHAPE, t->name, -1,
                           "\"%s\" of %s has a dimension of %llu, which no picture has", t->name,
                           wf_path_base(r->in), (unsigned long long)d);
        }
        dims[i] = (uint32_t)d;
    }
    if (dims[1] != info.channels) {
        return wf_fail(
            err, WF_E_SHAPE, t->name, -1,
            "\"%s\" of %s has %u channels and %s takes %u: the order is [n, channels, height, width]",
            t->name, wf_path_base(r->in), dims[1], r->loaded.name, info.channels);
    }
    if (n == 3 && !r->cli->quiet) {
        fputs("note: the input has no batch axis; it is taken as one picture\n", stderr);
    }
    return WF_OK;
}

static wf_status fill_input(run *r, const wf_source *source, wf_error *err) {
    const wf_source_tensor *t = find_input(source);
    uint32_t dims[4];
    if (t == NULL) {
        return wf_fail(err, WF_E_MISSING, "input", -1,
                       "%s holds no tensor called \"input\" or \"input_ids\" (or \"input/<argument>\"); its first is \"%s\"",
                       wf_path_base(r->in), source->tensor_count != 0 ? source->tensors[0].name : "");
    }
    WF_TRY(check_input(r, source, t, dims, err));
    wf_session *s = r->loaded.session;
    WF_TRY(wf_session_prepare(s, dims[0], dims[2], dims[3], err));
    return r->wide ? wf_source_read_f64(source, t, 0, t->elements, wf_session_input(s), err)
                   : wf_source_read_f32(source, t, 0, t->elements, wf_session_input(s), err);
}

/* What people confuse with a file of tensors. */
static wf_status check_kind(const run *r, const wf_file *view, wf_error *err) {
    uint8_t head[32];
    const char *sentence;
    size_t n = view->size < sizeof head ? (size_t)view->size : sizeof head;
    WF_TRY(n != 0 ? view->read(view->user, 0, head, n, err) : WF_OK);
    return wf_sniff(head, n, &sentence) == WF_SNIFFED_GGUF
               ? wf_fail(err, WF_E_ARGUMENT, "--in", -1,
                         "%s is a GGUF model, no input: --in takes a safetensors file with a tensor \"input\" [n, channels, height, width]",
                         wf_path_base(r->in))
               : WF_OK;
}

static wf_status read_input(run *r, wf_error *err) {
    wf_input_file f;
    wf_file view;
    wf_source source;
    WF_TRY(wf_input_open(&f, r->in, err));
    wf_status status = wf_input_view(&f, &view, err);
    if (status == WF_OK) {
        status = check_kind(r, &view, err);
    }
    if (status == WF_OK) {
        status = wf_source_open(view, &source, err);
        if (status == WF_OK) {
            status = fill_input(r, &source, err);
        } else {
            wf_cli_name_file(wf_path_base(r->in), err);
        }
        wf_source_close(&source);
    }
    wf_input_close(&f);
    return status;
}

/* ---- taps: "a,b" or "all" ---- */

static wf_status make_session(run *r, wf_error *err) {
    uint32_t count = 0;
    const char **names = NULL;
    if (r->taps != NULL) {
        size_t n = strlen(r->taps);
        char *text = wf_arena_string(&r->arena, r->taps, n);
        names = wf_arena_alloc(&r->arena, (n + 1) * sizeof *names);
        if (text == NULL || names == NULL) {
            return wf_fail(err, WF_E_MEMORY, "taps", -1, "no memory for the taps");
        }
        for (char *p = text; p != NULL;) {
            char *comma = strchr(p, ',');
            if (comma != NULL) {
                *comma++ = '\0';
            }
            if (*p != '\0') {
                names[count++] = p;
            }
            p = comma;
        }
    }
    return wf_session_create(r->loaded.model, names, count, &r->loaded.session, err);
}

/* ---- the outputs ---- */

static wf_status read_output(run *r, uint32_t index, wf_error *err) {
    wf_output_info info;
    WF_TRY(wf_session_output(r->loaded.session, index, &info, err));
    wf_safetensors_entry *e = &r->entries[index];
    uint64_t elements = 1;
    e->name = wf_arena_format(&r->arena, "%s%s", info.is_tap ? "act/" : "", info.name);
    e->type = r->wide ? WF_F64 : WF_F32;
    e->n_dims = info.n_dims;
    for (uint32_t d = 0; d < info.n_dims; d++) {
        e->dims[d] = info.dims[d];
        elements *= info.dims[d];
    }
    if (e->name == NULL) {
        return wf_fail(err, WF_E_MEMORY, "output", -1, "no memory for the outputs");
    }
    WF_TRY(
        wf_alloc_array(&r->values[index], elements, r->wide ? sizeof(double) : sizeof(float), e->name, err));
    e->data = r->values[index];
    return r->wide ? wf_session_read_f64(r->loaded.session, index, r->values[index], err)
                   : wf_session_read_f32(r->loaded.session, index, r->values[index], err);
}

static wf_status read_outputs(run *r, wf_error *err) {
    uint32_t count = wf_session_output_count(r->loaded.session);
    r->entries = wf_arena_alloc(&r->arena, count * sizeof *r->entries);
    r->values = wf_arena_alloc(&r->arena, count * sizeof *r->values);
    if (r->entries == NULL || r->values == NULL) {
        return wf_fail(err, WF_E_MEMORY, "output", -1, "no memory for the outputs");
    }
    r->count = count;
    for (uint32_t i = 0; i < count; i++) {
        WF_TRY(read_output(r, i, err));
    }
    return WF_OK;
}

static wf_status write_outputs(run *r, wf_error *err) {
    wf_output_file f;
    wf_status status = wf_output_begin(&f, r->out, err);
    if (status == WF_OK) {
        wf_byte_sink sink = wf_output_sink(&f);
        status = wf_safetensors_write(&sink, r->entries, r->count, err);
    }
    if (status == WF_OK) {
        status = wf_output_commit(&f, err);
    }
    wf_output_discard(&f);
    return status;
}

typedef struct range {
    double low, high, mean;
} range;

static range range_of(const run *r, const wf_safetensors_entry *e) {
    uint64_t n = 1;
    for (uint32_t d = 0; d < e->n_dims; d++) {
        n *= e->dims[d];
    }
    range x = {INFINITY, -INFINITY, 0};
    for (uint64_t i = 0; i < n; i++) {
        double v = r->wide ? ((const double *)e->data)[i] : (double)((const float *)e->data)[i];
        x.low = v < x.low || v != v ? v : x.low;
        x.high = v > x.high || v != v ? v : x.high;
        x.mean += v / (double)n;
    }
    return x;
}

static void print_text(const run *r) {
    wf_table t;
    wf_table_init(&t, "llrrr");
    wf_table_row(&t, "tensor", "shape", "least", "mean", "greatest");
    for (uint32_t i = 0; i < r->count; i++) {
        wf_shape_text shape;
        char low[24], mean[24], high[24];
        range x = range_of(r, &r->entries[i]);
        wf_out_shape(shape, r->entries[i].dims, r->entries[i].n_dims);
        snprintf(low, sizeof low, "%.5g", x.low);
        snprintf(mean, sizeof mean, "%.5g", x.mean);
        snprintf(high, sizeof high, "%.5g", x.high);
        wf_table_row(&t, r->entries[i].name, shape, low, mean, high);
    }
    wf_table_print(&t, stdout);
}

static void print_json(const run *r) {
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "{\"out\":");
    wf_text_json_string(&t, r->out);
    wf_text_add(&t, ",\"tensors\":[");
    for (uint32_t i = 0; i < r->count; i++) {
        wf_shape_text shape;
        range x = range_of(r, &r->entries[i]);
        wf_out_shape(shape, r->entries[i].dims, r->entries[i].n_dims);
        wf_text_add(&t, i != 0 ? ",{\"name\":" : "{\"name\":");
        wf_text_json_string(&t, r->entries[i].name);
        wf_text_format(&t, ",\"dtype\":\"%s\",\"shape\":%s,\"least\":", r->wide ? "F64" : "F32", shape);
        wf_text_json_number(&t, x.low);
        wf_text_add(&t, ",\"mean\":");
        wf_text_json_number(&t, x.mean);
        wf_text_add(&t, ",\"greatest\":");
        wf_text_json_number(&t, x.high);
        wf_text_add(&t, "}");
    }
    wf_text_add(&t, "]}\n");
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

static wf_status run_all(run *r, bool int8_rows, wf_error *err) {
    WF_TRY(wf_load_model(r->cli, r->model, int8_rows, &r->loaded, err));
    WF_TRY(make_session(r, err));
    WF_TRY(read_input(r, err));
    WF_TRY(wf_run_session(r->cli, r->loaded.session, "running", err));
    WF_TRY(read_outputs(r, err));
    return write_outputs(r, err);
}

int wf_cmd_run(wf_cli *cli, int argc, char **argv) {
    run r;
    memset(&r, 0, sizeof r);
    r.cli = cli;
    int precision = 0, activations = 0, n;
    const wf_opt options[] = {
        {"in", 'i', WF_OPT_TEXT, "FILE", &r.in, 0, 0,
         "safetensors with `input` [n, c, h, w] or `input_ids` [n, tokens]"},
        {"out", 'o', WF_OPT_TEXT, "FILE", &r.out, 0, 0,
         "safetensors to write: `output` (output0, …) and act/NAME"},
        {"taps", 't', WF_OPT_TEXT, "A,B|all", &r.taps, 0, 0,
         "layers to write too, by their names in the source"},
        {"precision", 0, WF_OPT_CHOICE, "f32|f64", &precision, 0, 0,
         "f64 computes and writes in double precision"},
        {"activations", 0, WF_OPT_CHOICE, "int8|float", &activations, 0, 0,
         "what Q8_0 and int8 weights multiply (default int8)"},
        {"backend", 0, WF_OPT_CHOICE, "simd|scalar", &cli->backend, 0, 0,
         "kernels: the fast or the readable ones"},
        WF_OPT_THREADS(cli),
        WF_OPT_INTEGRITY(cli),
    };
    const wf_usage usage = {"run",
                            "MODEL --in FILE --out FILE",
                            "Runs a model on a tensor and writes its outputs, and any layer, as safetensors.",
                            "poolformer.gguf --in x.safetensors --out y.safetensors --taps all",
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
    if (r.in == NULL || r.out == NULL) {
        wf_fail(&err, WF_E_ARGUMENT, "run", -1, "run needs --in FILE and --out FILE");
        return wf_cli_usage_error(cli, &err);
    }
    r.model = argv[0];
    if (wf_path_same(r.out, r.in) || wf_path_same(r.out, r.model)) {
        wf_fail(&err, WF_E_ARGUMENT, "out", -1, "--out %s would replace the %s: choose another name", r.out,
                wf_path_same(r.out, r.in) ? "input" : "model");
        return wf_cli_usage_error(cli, &err);
    }
    r.wide = precision == 1;
    cli->backend = r.wide ? WF_BACKEND_F64 : cli->backend;
    int code = WF_EXIT_OK;
    wf_arena_init(&r.arena);
    if (run_all(&r, activations == 0, &err) != WF_OK) {
        code = wf_cli_fail(cli, &err);
    } else if (cli->json) {
        print_json(&r);
    } else {
        print_text(&r);
    }
    for (uint32_t i = 0; i < r.count; i++) {
        wf_free(r.values[i]);
    }
    wf_loaded_free(&r.loaded);
    wf_arena_free(&r.arena);
    return code;
}
