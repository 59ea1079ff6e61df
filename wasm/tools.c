/* The exports of tools.h. Errors are kept where the engine keeps its own, so that JavaScript reads them in the same way. */
#include "tools.h"

#include <string.h>

#include "base/alloc.h"
#include "convert/convert.h"
#include "engine.h"
#include "format/json.h"
#include "format/source.h"
#include "media/image.h"

#define WF_IMPORT(name) __attribute__((import_module("wf"), import_name(#name)))

WF_IMPORT(size) extern double js_size(uint32_t file);
WF_IMPORT(name) extern uint32_t js_name(uint32_t file, char *dst, uint32_t n);
WF_IMPORT(find) extern int32_t js_find(const char *name);
WF_IMPORT(read) extern uint32_t js_read(uint32_t file, double offset, void *dst, uint32_t n);
WF_IMPORT(write) extern uint32_t js_write(const void *bytes, uint32_t n);
WF_IMPORT(layer) extern void js_layer(const char *name, const char *type, const char *input, double loss, double static_loss);
WF_IMPORT(note) extern void js_note(const char *text);
WF_IMPORT(progress) extern void js_progress(const char *phase, double done, double total);
WF_IMPORT(cancelled) extern uint32_t js_cancelled(void);

static wf_text report_text; /* JSON */
static wf_pixels pixels;
static uint32_t words[8];
static uint32_t first_picture; /* number of its file */

enum { MAX_INDEX_BYTES = 64 << 20, MAX_PICTURE_BYTES = 512 << 20 };

/* A file is known by its number, which is the only thing that `user` carries. */
static wf_status read_file(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    uint32_t file = (uint32_t)(uintptr_t)user;
    if (js_read(file, (double)offset, dst, (uint32_t)n) == 0) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_IO, "checkpoint", (int64_t)offset,
                   "%zu bytes at %llu of the checkpoint could not be read: it was changed or removed meanwhile; choose it again", n,
                   (unsigned long long)offset);
}

static wf_file file_of(uint32_t number) { return (wf_file){(void *)(uintptr_t)number, (uint64_t)js_size(number), read_file}; }

static wf_status write_result(void *user, const void *bytes, size_t n, wf_error *err) {
    (void)user;
    return js_write(bytes, (uint32_t)n) == 0 ? WF_OK
                                             : wf_fail(err, WF_E_IO, "result", -1, "the converted file could not be stored");
}

static wf_status picture(void *user, uint32_t index, const wf_image_params *image, float *dst, wf_error *err) {
    (void)user;
    const wf_file file = file_of(first_picture + index);
    char name[256];
    name[js_name(first_picture + index, name, sizeof name - 1)] = '\0';
    if (file.size > MAX_PICTURE_BYTES) {
        return wf_fail(err, WF_E_FORMAT, name, -1, "%s is larger than 512 MiB: it is no picture to calibrate with", name);
    }
    void *bytes;
    WF_TRY(wf_alloc_array(&bytes, file.size + 1, 1, name, err));
    wf_status status = file.read(file.user, 0, bytes, (size_t)file.size, err);
    status = status == WF_OK ? wf_image_decode(bytes, (size_t)file.size, name, &pixels, err) : status;
    wf_free(bytes);
    status = status == WF_OK ? wf_image_to_tensor(&pixels, image, dst, err) : status;
    wf_pixels_free(&pixels);
    return status;
}

static void layer(void *user, const wf_convert_layer *l) {
    (void)user;
    js_layer(l->name, wf_dtype_get(l->type)->name, l->input != NULL ? l->input : "", l->loss, l->static_loss);
}

static void note(void *user, const char *text) {
    (void)user;
    js_note(text);
}

static void progress(void *user, const char *phase, uint64_t done, uint64_t total) {
    (void)user;
    js_progress(phase, (double)done, (double)total);
}

static bool cancelled(void *user) {
    (void)user;
    return js_cancelled() != 0;
}

static void write_report(const wf_convert_report *r) {
    report_text.length = 0;
    wf_text_add(&report_text, "{\"architecture\":");
    wf_text_json_string(&report_text, r->architecture);
    wf_text_format(&report_text, ",\"sourceTensors\":%llu,\"writtenTensors\":%llu,\"leftOut\":%llu,\"bytes\":%llu,\"loss\":",
                   (unsigned long long)r->source_tensors, (unsigned long long)r->written_tensors, (unsigned long long)r->left_out,
                   (unsigned long long)r->bytes);
    wf_text_json_number(&report_text, r->loss);
    wf_text_add(&report_text, ",\"maxLoss\":");
    wf_text_json_number(&report_text, r->max_loss);
    if (r->pictures != 0) {
        wf_text_format(&report_text, ",\"pictures\":%u", (unsigned)r->pictures);
    }
    wf_text_add(&report_text, "}");
}

static wf_status convert_source(const wf_source *source, const wf_convert_options *o, wf_error *err) {
    wf_byte_sink out = {NULL, write_result};
    wf_convert_report report;
    WF_TRY(wf_convert(source, o, out, &report, err));
    write_report(&report);
    return WF_OK;
}

static wf_status convert_file(const wf_convert_options *o, wf_error *err) {
    wf_source source;
    WF_TRY(wf_source_or_model_open(file_of(0), &source, err));
    wf_status status = convert_source(&source, o, err);
    wf_source_close(&source);
    return status;
}

static wf_status find_shards(wf_shards *shards, wf_error *err) {
    for (uint32_t i = 0; i < shards->count; i++) {
        int32_t file = js_find(shards->names[i]);
        if (file < 0) {
            return wf_fail(err, WF_E_MISSING, shards->names[i], -1,
                           "%s is not among the files, but %s says that tensors are in it: give all %u shards together with the index",
                           shards->names[i], shards->index_name, shards->count);
        }
        shards->files[i] = file_of((uint32_t)file);
    }
    return WF_OK;
}

static wf_status convert_shards(const wf_convert_options *o, wf_error *err) {
    wf_file index = file_of(0);
    wf_shards shards;
    wf_source source;
    void *text;
    if (index.size > MAX_INDEX_BYTES) {
        return wf_fail(err, WF_E_FORMAT, o->source_name, -1, "%s is larger than 64 MiB: it is no index of a sharded checkpoint",
                       o->source_name);
    }
    WF_TRY(wf_alloc_array(&text, index.size + 1, 1, "the index", err));
    wf_status status = index.read(index.user, 0, text, (size_t)index.size, err);
    if (status == WF_OK) {
        status = wf_shards_read(&shards, text, (size_t)index.size, o->source_name, err);
    }
    wf_free(text);
    WF_TRY(status);
    status = find_shards(&shards, err);
    if (status == WF_OK) {
        status = wf_shards_open(&shards, &source, err);
        if (status == WF_OK) {
            status = convert_source(&source, o, err);
            wf_source_close(&source);
        }
    }
    wf_shards_free(&shards);
    return status;
}

static bool is_index(const char *name) {
    static const char end[] = ".index.json";
    size_t n = strlen(name), m = sizeof end - 1;
    return n >= m && strcmp(name + n - m, end) == 0;
}

WF_EXPORT(wf_convert)
uint32_t tools_convert(const char *source_name, const char *type, const char *config, uint32_t config_bytes,
                       const char *config_name, const char *preprocessor, uint32_t preprocessor_bytes, const char *keep,
                       double max_loss, uint32_t norm, uint32_t fold, uint32_t untie, uint32_t first, uint32_t pictures) {
    wf_error *err = engine_fresh_error();
    wf_convert_options o;
    memset(&o, 0, sizeof o);
    if (!wf_convert_type(type, &o.type)) {
        return wf_fail(err, WF_E_ARGUMENT, "type", -1, "there is no type \"%s\"; use f32, f16, q8_0, q4_0 or int8", type);
    }
    o.source_name = source_name;
    o.config = config_bytes != 0 ? config : NULL;
    o.config_bytes = config_bytes;
    o.config_name = config_name;
    o.preprocessor = preprocessor_bytes != 0 ? preprocessor : NULL;
    o.preprocessor_bytes = preprocessor_bytes;
    o.keep = keep[0] != '\0' ? keep : NULL;
    o.layer = layer;
    o.max_loss = max_loss;
    o.norm = (wf_convert_norm)norm;
    o.fold = fold != 0;
    o.untie = untie != 0;
    o.note = note;
    o.progress = progress;
    first_picture = first;
    o.picture_count = pictures;
    o.picture = picture;
    o.cancelled = cancelled;
    return is_index(source_name) ? convert_shards(&o, err) : convert_file(&o, err);
}

WF_EXPORT(wf_convert_report) const char *tools_convert_report(void) {
    return report_text.data != NULL ? report_text.data : "{}";
}

WF_EXPORT(wf_decode) const uint32_t *tools_decode(const void *bytes, uint32_t n, const char *name) {
    wf_pixels_free(&pixels);
    if (wf_image_decode(bytes, n, name, &pixels, engine_fresh_error()) != WF_OK) {
        return NULL;
    }
    words[0] = (uint32_t)(uintptr_t)pixels.data;
    words[1] = pixels.width;
    words[2] = pixels.height;
    words[3] = pixels.channels;
    return words;
}
