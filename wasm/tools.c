/* The exports of tools.h. Errors are kept where the engine keeps its own, so that JavaScript reads them in the same way. */
#include "tools.h"

#include <string.h>

#include "convert/convert.h"
#include "engine.h"
#include "format/json.h"
#include "format/source.h"
#include "media/image.h"

#define WF_IMPORT(name) __attribute__((import_module("wf"), import_name(#name)))

WF_IMPORT(read) extern uint32_t js_read(double offset, void *dst, uint32_t n);
WF_IMPORT(write) extern uint32_t js_write(const void *bytes, uint32_t n);
WF_IMPORT(note) extern void js_note(const char *text);
WF_IMPORT(progress) extern void js_progress(const char *phase, double done, double total);
WF_IMPORT(cancelled) extern uint32_t js_cancelled(void);

static wf_text report_text;
static wf_pixels pixels;
static uint32_t words[8];

static wf_status read_source(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    (void)user;
    if (js_read((double)offset, dst, (uint32_t)n) == 0) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_IO, "checkpoint", (int64_t)offset, "%zu bytes at %llu of the checkpoint could not be read", n,
                   (unsigned long long)offset);
}

static wf_status write_result(void *user, const void *bytes, size_t n, wf_error *err) {
    (void)user;
    return js_write(bytes, (uint32_t)n) == 0 ? WF_OK
                                             : wf_fail(err, WF_E_IO, "result", -1, "the converted file could not be stored");
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
    wf_text_add(&report_text, "}");
}

WF_EXPORT(wf_convert)
uint32_t tools_convert(double source_bytes, const char *source_name, const char *type, const char *config, uint32_t config_bytes,
                       const char *config_name, const char *preprocessor, uint32_t preprocessor_bytes, double max_loss) {
    wf_error *err = engine_fresh_error();
    wf_file file = {NULL, (uint64_t)source_bytes, read_source};
    wf_byte_sink out = {NULL, write_result};
    wf_convert_options o;
    wf_convert_report report;
    wf_source source;
    memset(&o, 0, sizeof o);
    if (!wf_convert_type(type, &o.type)) {
        return wf_fail(err, WF_E_ARGUMENT, "type", -1, "there is no type \"%s\"; use f32, f16, q8_0 or q4_0", type);
    }
    o.source_name = source_name;
    o.config = config_bytes != 0 ? config : NULL;
    o.config_bytes = config_bytes;
    o.config_name = config_name;
    o.preprocessor = preprocessor_bytes != 0 ? preprocessor : NULL;
    o.preprocessor_bytes = preprocessor_bytes;
    o.max_loss = max_loss;
    o.note = note;
    o.progress = progress;
    o.cancelled = cancelled;
    WF_TRY(wf_source_open(file, &source, err));
    wf_status status = wf_convert(&source, &o, out, &report, err);
    wf_source_close(&source);
    if (status == WF_OK) {
        write_report(&report);
    }
    return status;
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
