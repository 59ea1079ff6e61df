/* convert: a checkpoint and its config → a GGUF file that is complete or not there at all. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/checkpoint.h"
#include "cli/files.h"
#include "cli/folder.h"
#include "cli/picture.h"
#include "cli/platform.h"
#include "cli/progress.h"
#include "cli/text_out.h"
#include "convert/convert.h"
#include "format/json.h"

enum { MAX_CONFIG_BYTES = 64 << 20 };

typedef struct job {
    wf_cli *cli;
    const char *source, *out, *config, *type, *calibrate, *keep;
    uint32_t pictures_wanted;
    wf_names pictures;
    wf_text layers; /* a JSON array's inside */
    bool force, fold, untie;
    int norm;
    double max_loss;
    wf_checkpoint checkpoint;
    char *config_text, *preprocessor_text;
    wf_bar bar;
    wf_text notes; /* a JSON array's inside */
    wf_convert_report report;
} job;

static void on_note(void *user, const char *text) {
    job *j = user;
    wf_text_add(&j->notes, j->notes.length != 0 ? "," : "");
    wf_text_json_string(&j->notes, text);
    if (!j->cli->json) {
        wf_bar_clear(&j->bar);
        printf("  ");
        wf_out_text(stdout, text);
        putchar('\n');
        fflush(stdout);
    }
}

static void on_progress(void *user, const char *phase, uint64_t done, uint64_t total) {
    wf_bar_update(&((job *)user)->bar, phase, done, total);
}

static void on_layer(void *user, const wf_convert_layer *l) {
    job *j = user;
    const char *type = wf_dtype_get(l->type)->name;
    wf_text_add(&j->layers, j->layers.length != 0 ? ",{\"name\":" : "{\"name\":");
    wf_text_json_string(&j->layers, l->name);
    wf_text_format(&j->layers, ",\"type\":\"%s\",\"loss\":", type);
    wf_text_json_number(&j->layers, l->loss);
    if (l->input != NULL) {
        wf_text_format(&j->layers, ",\"input\":\"%s\"", l->input);
    }
    if (l->static_loss > 0) {
        wf_text_add(&j->layers, ",\"staticLoss\":");
        wf_text_json_number(&j->layers, l->static_loss);
    }
    wf_text_add(&j->layers, "}");
    if (!j->cli->json) {
        wf_bar_clear(&j->bar);
        printf("  %-40s %-5s %-6s %.2g", l->name, type, l->input != NULL ? l->input : "", l->loss);
        if (l->static_loss > 0) {
            printf(" (one grid for all rows: %.2g)", l->static_loss);
        }
        putchar('\n');
    }
}

static wf_status on_picture(void *user, uint32_t index, const wf_image_params *image, float *dst, wf_error *err) {
    return wf_picture_read(((job *)user)->pictures.names[index], image, dst, err);
}

static bool on_poll(void *user) {
    (void)user;
    return wf_platform_interrupted();
}

/* ---- the command line's own checks ---- */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static wf_status check_names(const job *j, wf_error *err) {
    if (strcmp(j->source, j->out) == 0) {
        return wf_fail(err, WF_E_ARGUMENT, "out", -1,
                       "source and output are the same file: choose another name for -o");
    }
    if (!j->force && wf_path_exists(j->out)) {
        return wf_fail(err, WF_E_ARGUMENT, "out", -1,
                       "%s exists already: choose another name, or give --force to replace it", j->out);
    }
    return WF_OK;
}

/* ---- the config and, beside an HF config.json, preprocessor_config.json ---- */

static bool is_hf(const char *text, size_t n) {
    wf_arena arena;
    wf_json *root = NULL;
    wf_arena_init(&arena);
    bool hf = wf_json_parse(&arena, text, n, "config", &root, NULL) == WF_OK &&
              wf_json_get(root, "model_type") != NULL;
    wf_arena_free(&arena);
    return hf;
}

static wf_status read_config(job *j, wf_convert_options *o, wf_error *err) {
    if (j->config == NULL) {
        return WF_OK;
    }
    WF_TRY(wf_input_all(j->config, MAX_CONFIG_BYTES, &j->config_text, &o->config_bytes, err));
    o->config = j->config_text;
    o->config_name = wf_path_base(j->config);
    if (!is_hf(o->config, o->config_bytes)) {
        return WF_OK;
    }
    static const char name[] = "preprocessor_config.json";
    char path[2048];
    int folder = (int)(o->config_name - j->config);
    if (snprintf(path, sizeof path, "%.*s%s", folder, j->config, name) >= (int)sizeof path ||
        !wf_path_exists(path)) {
        return WF_OK;
    }
    WF_TRY(wf_input_all(path, MAX_CONFIG_BYTES, &j->preprocessor_text, &o->preprocessor_bytes, err));
    o->preprocessor = j->preprocessor_text;
    return WF_OK;
}

/* ---- the pictures of --calibrate ---- */

/* At most as many as asked for, spread evenly over the folder. */
static wf_status find_pictures(job *j, wf_convert_options *o, wf_error *err) {
    if (j->calibrate == NULL) {
        return WF_OK;
    }
    if (o->type != WF_I8) {
        return wf_fail(err, WF_E_ARGUMENT, "calibrate", -1, "--calibrate belongs to --type int8; %s needs no pictures", j->type);
    }
    WF_TRY(wf_find_pictures(j->calibrate, &j->pictures, err));
    size_t wanted = (size_t)j->pictures_wanted, found = j->pictures.count;
    for (size_t i = 0; i < wanted && wanted < found; i++) {
        j->pictures.names[i] = j->pictures.names[i * found / wanted];
    }
    o->picture_count = (uint32_t)(wanted < found ? wanted : found);
    o->picture = on_picture;
    return WF_OK;
}

/* ---- the work ---- */

static wf_status convert_source(job *j, const wf_source *source, wf_convert_options *o, wf_error *err) {
    wf_output_file out;
    wf_status status =
        wf_output_begin(&out, j->out, err); /* first: a folder that cannot be written shows now */
    if (status == WF_OK) {
        status = wf_convert(source, o, wf_output_sink(&out), &j->report, err);
    }
    if (status == WF_OK && wf_platform_interrupted()) {
        status =
            wf_fail(err, WF_E_ABORTED, "convert", -1, "stopped: Ctrl-C was pressed; nothing was written");
    }
    if (status == WF_OK) {
        status = wf_output_commit(&out, err);
    }
    wf_output_discard(&out);
    return status;
}

static wf_status convert_file(job *j, wf_convert_options *o, wf_error *err) {
    wf_input_file f;
    wf_file view;
    wf_source source;
    WF_TRY(wf_input_open(&f, j->source, err));
    wf_status status = wf_input_view(&f, &view, err);
    if (status == WF_OK) {
        status = wf_source_or_model_open(view, &source, err);
        if (status != WF_OK) {
            wf_cli_name_file(wf_path_base(j->source), err);
        } else {
            status = convert_source(j, &source, o, err);
        }
        wf_source_close(&source);
    }
    wf_input_close(&f);
    return status;
}

/* The files lie beside their index. They stay open together. */
static wf_status convert_shards(job *j, wf_convert_options *o, wf_error *err) {
    wf_shards shards;
    wf_source source;
    char *text, *paths = NULL;
    size_t n;
    WF_TRY(wf_input_all(j->source, MAX_CONFIG_BYTES, &text, &n, err));
    wf_status status = wf_shards_read(&shards, text, n, wf_path_base(j->source), err);
    wf_free(text);
    WF_TRY(status);
    size_t folder = (size_t)(wf_path_base(j->source) - j->source), room = folder + 256; /* of a path */
    wf_input_file *files = wf_alloc_zero(shards.count * sizeof *files);
    paths = wf_alloc(shards.count * room);
    if (files == NULL || paths == NULL) {
        status = wf_fail(err, WF_E_MEMORY, j->source, -1, "no memory for the list of files");
    }
    for (uint32_t i = 0; i < shards.count && status == WF_OK; i++) {
        char *path = paths + i * room;
        snprintf(path, room, "%.*s%s", (int)folder, j->source, shards.names[i]);
        status = wf_input_open(&files[i], path, err);
        status = status == WF_OK ? wf_input_view(&files[i], &shards.files[i], err) : status;
    }
    if (status == WF_OK) {
        status = wf_shards_open(&shards, &source, err);
        if (status == WF_OK) {
            status = convert_source(j, &source, o, err);
            wf_source_close(&source);
        }
    }
    for (uint32_t i = 0; i < shards.count && files != NULL; i++) {
        wf_input_close(&files[i]);
    }
    wf_free(files);
    wf_free(paths);
    wf_shards_free(&shards);
    return status;
}

static wf_status convert(job *j, wf_error *err) {
    wf_convert_options o;
    memset(&o, 0, sizeof o);
    WF_TRY(wf_checkpoint_find(j->source, &j->checkpoint, err));
    j->source = j->checkpoint.file;
    if (j->config == NULL && j->checkpoint.config != NULL) {
        j->config = j->checkpoint.config;
        on_note(j, "config: the folder's config.json");
    }
    WF_TRY(check_names(j, err));
    wf_convert_type(j->type, &o.type);
    o.source_name = wf_path_base(j->source);
    o.max_loss = j->max_loss;
    o.user = j;
    o.note = on_note;
    o.progress = on_progress;
    o.cancelled = on_poll;
    o.norm = (wf_convert_norm)j->norm;
    o.fold = j->fold;
    o.untie = j->untie;
    o.keep = j->keep;
    o.layer = on_layer;
    WF_TRY(read_config(j, &o, err));
    WF_TRY(find_pictures(j, &o, err));
    wf_status status =
        ends_with(j->source, ".index.json") ? convert_shards(j, &o, err) : convert_file(j, &o, err);
    wf_bar_clear(&j->bar);
    return status;
}

static void print_text(const job *j) {
    const wf_convert_report *r = &j->report;
    wf_number bytes;
    wf_out_row("written", "%s (%s, %s)", j->out, wf_out_bytes(bytes, r->bytes), j->type);
    wf_out_row("architecture", "%s", r->architecture);
    wf_out_row("tensors", "%llu written from %llu of %llu in the source, %llu left out", (unsigned long long)r->written_tensors,
               (unsigned long long)r->used_tensors, (unsigned long long)r->source_tensors, (unsigned long long)r->left_out);
    if (r->pictures != 0) {
        wf_out_row("loss", "%.3g relative to the source on %u picture%s (allowed %.2g)", r->loss, r->pictures, r->pictures == 1 ? "" : "s", r->max_loss);
    } else {
        wf_out_row("loss", "%.3g relative to the source (allowed %.2g)", r->loss, r->max_loss);
    }
}

static void print_json(const job *j) {
    const wf_convert_report *r = &j->report;
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "{\"out\":");
    wf_text_json_string(&t, j->out);
    wf_text_add(&t, ",\"architecture\":");
    wf_text_json_string(&t, r->architecture);
    wf_text_format(
        &t, ",\"type\":\"%s\",\"bytes\":%llu,\"sourceTensors\":%llu,\"writtenTensors\":%llu,\"leftOut\":%llu",
        j->type, (unsigned long long)r->bytes, (unsigned long long)r->source_tensors,
        (unsigned long long)r->written_tensors, (unsigned long long)r->left_out);
    wf_text_add(&t, ",\"loss\":");
    wf_text_json_number(&t, r->loss);
    wf_text_add(&t, ",\"maxLoss\":");
    wf_text_json_number(&t, r->max_loss);
    wf_text_format(&t, ",\"pictures\":%u,\"layers\":[", r->pictures);
    wf_text_add(&t, j->layers.data != NULL ? j->layers.data : "");
    wf_text_add(&t, "],\"notes\":[");
    wf_text_add(&t, j->notes.data != NULL ? j->notes.data : "");
    wf_text_add(&t, "]}\n");
    fputs(t.failed || j->notes.failed || j->layers.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

int wf_cmd_convert(wf_cli *cli, int argc, char **argv) {
    static const char *const types[] = {"f32", "f16", "q8_0", "q4_0", "int8"};
    job j;
    memset(&j, 0, sizeof j);
    j.cli = cli;
    j.max_loss = -1;
    j.pictures_wanted = 64;
    int type = 0, n;
    const wf_opt options[] = {
        {"out", 'o', WF_OPT_TEXT, "FILE", &j.out, 0, 0, "the GGUF file to write"},
        {"type", 't', WF_OPT_CHOICE, "f32|f16|q8_0|q4_0|int8", &type, 0, 0, "how matrices are stored (default f32)"},
        {"config", 'c', WF_OPT_TEXT, "FILE", &j.config, 0, 0,
         "constructor arguments as JSON, or an HF config.json"},
        {"calibrate", 0, WF_OPT_TEXT, "DIR", &j.calibrate, 0, 0,
         "int8: pictures that choose the ranges (default: by row, at run time)"},
        {"pictures", 0, WF_OPT_COUNT, "N", &j.pictures_wanted, 1, 4096, "how many of them (default 64)"},
        {"keep", 0, WF_OPT_TEXT, "NAMES", &j.keep, 0, 0, "matrices that stay f16: parts of names, '*' = any text, commas between"},
        {"norm", 0, WF_OPT_CHOICE, "keep|rms|crms|carry", &j.norm, 0, 0,
         "cheaper norms for layer norms, without loss (default keep)"},
        {"untie", 0, WF_OPT_FLAG, NULL, &j.untie, 0, 0, "double what layers share where --norm or --fold changes it (else refused)"},
        {"fold", 0, WF_OPT_FLAG, NULL, &j.fold, 0, 0, "put scales and shifts of norms into the weights next to them"},
        {"max-loss", 0, WF_OPT_REAL, "X", &j.max_loss, 0, 0,
         "greatest relative error of the output (default by type)"},
        {"force", 'f', WF_OPT_FLAG, NULL, &j.force, 0, 0, "replace the output file if it exists"},
    };
    const wf_usage usage = {
        "convert",
        "SOURCE -o FILE",
        "Turns a PyTorch checkpoint (safetensors, also sharded, .pth/.bin of torch.save, a Hugging Face folder;\n"
        "nothing in it is executed) or a GGUF model of floats into a GGUF model, unless both differ too much.",
        "poolformer_s12.pth.tar -o s12.gguf --type q8_0",
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
    if (j.out == NULL) {
        wf_fail(&err, WF_E_ARGUMENT, "out", -1, "convert needs -o FILE");
        return wf_cli_usage_error(cli, &err);
    }
    j.source = argv[0];
    j.type = types[type];
    wf_bar_init(&j.bar, cli, false);
    int code = WF_EXIT_OK;
    if (convert(&j, &err) != WF_OK) {
        code = wf_cli_fail(cli, &err);
    } else if (cli->json) {
        print_json(&j);
    } else {
        print_text(&j);
    }
    wf_free(j.config_text);
    wf_free(j.preprocessor_text);
    wf_text_free(&j.notes);
    wf_text_free(&j.layers);
    wf_names_free(&j.pictures);
    return code;
}
