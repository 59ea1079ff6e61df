/* The exports of engine.h: thin, each a call or two into wasmformer.h. One model per instance, so the state is static.
   Buffers that JavaScript fills or reads (staging, outputs) are kept and grown, so that a repeated run allocates nothing. */
#include "engine.h"

#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "format/gguf.h"
#include "kernels/codec.h"
#include "kernels/limits.h"
#include "runtime/model.h"
#include "runtime/self_test.h"
#include "wasmformer.h"

enum { THREAD_STACK_BYTES = 128 * 1024, MAX_TAPS = 4096 };

typedef struct buffer {
    void *data;
    uint64_t bytes;
} buffer;

typedef struct thread {
    uint8_t *stack, *tls;
} thread;

static struct {
    wf_model *model;
    wf_gguf_reader *scout; /* plan_only: finds where the header ends */
    wf_resizer *resizer;
    wf_self_test *self_test;
    wf_verify_report report; /* of the last self-test */
    wf_error error;
    char *description;
    char *pin; /* for the next wf_open */
    bool digests_outside;
    buffer staging, output, top;
    uint32_t words[8];
    thread threads[WF_POOL_MAX_THREADS];
} engine;

/* Grows a kept buffer; its old contents are lost. */
static void *hold(buffer *b, uint64_t bytes, const char *what) {
    if (bytes > b->bytes || b->data == NULL) {
        wf_free(b->data);
        b->bytes = 0;
        if (wf_alloc_array(&b->data, bytes + 1, 1, what, &engine.error) == WF_OK) {
            b->bytes = bytes;
        }
    }
    return b->data;
}

wf_error *engine_fresh_error(void) {
    wf_error_clear(&engine.error);
    return &engine.error;
}

static wf_error *fresh_error(void) { return engine_fresh_error(); }

/* ---- module ---- */

WF_EXPORT(wf_abi) uint32_t engine_abi(void) { return WF_ENGINE_ABI; }

WF_EXPORT(wf_staging) void *engine_staging(uint32_t bytes) {
    fresh_error();
    return hold(&engine.staging, bytes, "bytes on their way into the engine");
}

WF_EXPORT(wf_error_code) uint32_t engine_error_code(void) { return engine.error.code; }
WF_EXPORT(wf_error_offset) double engine_error_offset(void) { return (double)engine.error.offset; }
WF_EXPORT(wf_error_where) const char *engine_error_where(void) { return engine.error.where; }
WF_EXPORT(wf_error_text) const char *engine_error_text(void) { return engine.error.text; }

WF_EXPORT(wf_heap) double engine_heap(uint32_t what) {
    wf_alloc_stats s = wf_alloc_get_stats();
    uint64_t values[] = {s.live_bytes, s.peak_bytes, s.calls, s.live};
    return what < 4 ? (double)values[what] : 0;
}

WF_EXPORT(wf_dot) uint32_t engine_dot(void) { return wf_dot_current(); }

/* ---- model ---- */

WF_EXPORT(wf_integrity) uint32_t engine_integrity(const char *pin) {
    wf_error *err = fresh_error();
    wf_free(engine.pin);
    engine.pin = wf_alloc(strlen(pin) + 1);
    if (engine.pin == NULL) {
        return wf_fail(err, WF_E_MEMORY, "integrity", -1, "no memory for the integrity value");
    }
    strcpy(engine.pin, pin);
    return WF_OK;
}

WF_EXPORT(wf_digests_outside) void engine_digests_outside(void) { engine.digests_outside = true; }

WF_EXPORT(wf_open)
uint32_t engine_open(uint32_t backend, uint32_t threads, uint32_t int8_rows, const char *name, double file_bytes,
                     uint32_t plan_only) {
    wf_error *err = fresh_error();
    if (engine.model != NULL) {
        return wf_fail(err, WF_E_STATE, "open", -1, "this instance holds a model already");
    }
    wf_options o = wf_options_default();
    o.backend = (wf_backend)backend;
    o.threads = threads;
    o.int8_rows = int8_rows != 0;
    o.file_name = name;
    o.file_bytes = (uint64_t)file_bytes;
    o.integrity = engine.pin;
    o.digests_outside = engine.digests_outside;
    if (plan_only) {
        WF_TRY(wf_gguf_reader_create(o.file_bytes, &engine.scout, err));
    }
    return wf_model_open(&o, &engine.model, err);
}

WF_EXPORT(wf_feed) uint32_t engine_feed(const void *bytes, uint32_t n) {
    wf_error *err = fresh_error();
    size_t used = n;
    if (engine.scout != NULL && wf_model_files(engine.model) == 1) { /* exactly the header, so that no weights are allocated */
        const wf_gguf *header = NULL;
        if (wf_model_has_header(engine.model)) {
            return WF_OK;
        }
        wf_error sooner; /* the model names the file, so its own sentence is preferred */
        wf_error_clear(&sooner);
        if (wf_gguf_reader_feed(engine.scout, bytes, n, &used, &header, &sooner) != WF_OK) {
            used = n;
        }
    }
    return wf_model_feed(engine.model, bytes, used, err);
}

WF_EXPORT(wf_digest) uint32_t engine_digest(const uint8_t *sha256) {
    return wf_model_digest(engine.model, sha256, fresh_error());
}

WF_EXPORT(wf_chunks_at) double engine_chunks_at(void) { return (double)wf_model_chunks_at(engine.model); }

WF_EXPORT(wf_finish) uint32_t engine_finish(void) { return wf_model_finish(engine.model, fresh_error()); }
WF_EXPORT(wf_files) uint32_t engine_files(void) { return wf_model_files(engine.model); }
WF_EXPORT(wf_wants_next) uint32_t engine_wants_next(void) { return wf_model_wants_next(engine.model); }
WF_EXPORT(wf_next) uint32_t engine_next(uint32_t index, const char *name, double file_bytes) {
    return wf_model_next(engine.model, index, name, (uint64_t)file_bytes, fresh_error());
}
WF_EXPORT(wf_has_header) uint32_t engine_has_header(void) { return wf_model_has_header(engine.model); }
WF_EXPORT(wf_position) double engine_position(void) { return (double)wf_model_position(engine.model); }
WF_EXPORT(wf_total_bytes) double engine_total_bytes(void) { return (double)wf_model_total_bytes(engine.model); }

WF_EXPORT(wf_planned_bytes) double engine_planned_bytes(void) {
    wf_model_info info;
    if (wf_model_get_info(engine.model, &info) != WF_OK) {
        return 0;
    }
    return (double)info.weight_bytes + (double)info.activation_bytes + (double)engine.model->loader.staging_bytes;
}

WF_EXPORT(wf_describe) const char *engine_describe(void) {
    wf_free(engine.description);
    engine.description = wf_model_describe(engine.model);
    return engine.description;
}

WF_EXPORT(wf_self_test) uint32_t engine_self_test(void) {
    wf_error *err = fresh_error();
    wf_self_test_free(engine.self_test);
    wf_self_test_begin(engine.model, &engine.self_test, err);
    return engine.self_test != NULL;
}

WF_EXPORT(wf_self_test_step) int32_t engine_self_test_step(double budget) {
    wf_progress progress = WF_YIELD;
    if (engine.self_test == NULL) {
        return -(int32_t)wf_fail(fresh_error(), WF_E_STATE, "verify", -1, "no self-test was begun");
    }
    wf_status status = wf_self_test_step(engine.self_test, (uint64_t)budget, &progress, fresh_error());
    if (status != WF_OK || progress == WF_DONE) {
        engine.report = *wf_self_test_report(engine.self_test);
        wf_self_test_free(engine.self_test);
        engine.self_test = NULL;
    }
    return status == WF_OK ? (int32_t)progress : -(int32_t)status;
}

WF_EXPORT(wf_self_test_figure) double engine_self_test_figure(uint32_t what) {
    const wf_verify_report *r = &engine.report;
    const double values[] = {r->self_error, r->self_limit, r->source_error, r->recorded_loss};
    return what < 4 ? values[what] : 0;
}

WF_EXPORT(wf_close) void engine_close(void) {
    wf_self_test_free(engine.self_test);
    wf_model_free(engine.model);
    wf_gguf_reader_free(engine.scout);
    wf_resizer_free(engine.resizer);
    wf_free(engine.description);
    wf_free(engine.pin);
    wf_free(engine.staging.data);
    wf_free(engine.output.data);
    wf_free(engine.top.data);
    for (uint32_t i = 0; i < WF_POOL_MAX_THREADS; i++) {
        wf_free(engine.threads[i].stack);
        wf_free(engine.threads[i].tls);
    }
    memset(&engine, 0, sizeof engine);
}

/* ---- session ---- */

/* Splits "a\nb\n" in place; returns how many names. */
static uint32_t split_lines(char *text, const char **names) {
    uint32_t count = 0;
    while (*text != '\0' && count < MAX_TAPS) {
        names[count++] = text;
        char *end = strchr(text, '\n');
        if (end == NULL) {
            break;
        }
        *end = '\0';
        text = end + 1;
    }
    return count;
}

WF_EXPORT(wf_session) void *engine_session(const char *taps) {
    wf_error *err = fresh_error();
    wf_session *session = NULL;
    char *text = wf_alloc(strlen(taps) + 1);
    const char **names = wf_alloc(MAX_TAPS * sizeof *names);
    if (text == NULL || names == NULL) {
        wf_fail(err, WF_E_MEMORY, "taps", -1, "no memory for the list of taps");
    } else {
        strcpy(text, taps);
        wf_session_create(engine.model, names, split_lines(text, names), &session, err);
    }
    wf_free(names);
    wf_free(text);
    return session;
}

WF_EXPORT(wf_session_free) void engine_session_free(void *session) { wf_session_free(session); }

WF_EXPORT(wf_prepare) uint32_t engine_prepare(void *session, uint32_t n, uint32_t h, uint32_t w) {
    return wf_session_prepare(session, n, h, w, fresh_error());
}

WF_EXPORT(wf_input) float *engine_input(void *session) { return wf_session_input(session); }

WF_EXPORT(wf_input_elements) double engine_input_elements(void *session) {
    return (double)wf_session_input_elements(session);
}

WF_EXPORT(wf_start) uint32_t engine_start(void *session) { return wf_session_start(session, fresh_error()); }

WF_EXPORT(wf_step) int32_t engine_step(void *session, double budget) {
    wf_progress progress = WF_YIELD;
    wf_status status = wf_session_step(session, (uint64_t)budget, &progress, fresh_error());
    return status == WF_OK ? (int32_t)progress : -(int32_t)status;
}

WF_EXPORT(wf_fraction) double engine_fraction(void *session) { return wf_session_fraction(session); }
WF_EXPORT(wf_session_bytes) double engine_session_bytes(void *session) { return (double)wf_session_bytes(session); }
WF_EXPORT(wf_outputs) uint32_t engine_outputs(void *session) { return wf_session_output_count(session); }

WF_EXPORT(wf_output) const uint32_t *engine_output(void *session, uint32_t index) {
    wf_output_info info;
    memset(&info, 0, sizeof info);
    if (wf_session_output(session, index, &info, fresh_error()) != WF_OK) {
        return NULL;
    }
    uint32_t words[8] = {(uint32_t)(uintptr_t)info.name, info.is_tap,  info.n_dims,  info.dims[0],
                         info.dims[1],                   info.dims[2], info.dims[3], 0};
    memcpy(engine.words, words, sizeof words);
    return engine.words;
}

WF_EXPORT(wf_output_read) const float *engine_output_read(void *session, uint32_t index) {
    wf_error *err = fresh_error();
    wf_output_info info;
    if (wf_session_output(session, index, &info, err) != WF_OK) {
        return NULL;
    }
    uint64_t elements = 1;
    for (uint32_t d = 0; d < info.n_dims; d++) {
        elements *= info.dims[d];
    }
    float *data = hold(&engine.output, elements * sizeof *data, "an output");
    return data != NULL && wf_session_read_f32(session, index, data, err) == WF_OK ? data : NULL;
}

/* ---- profile ---- */

WF_EXPORT(wf_nodes) const char *engine_nodes(void *session) {
    wf_free(engine.description);
    engine.description = wf_session_describe_nodes(session);
    if (engine.description == NULL) {
        wf_fail(fresh_error(), WF_E_MEMORY, "profile", -1, "no memory to describe the run");
    }
    return engine.description;
}

WF_EXPORT(wf_nodes_done) uint32_t engine_nodes_done(void *session) { return wf_session_nodes_done(session); }

WF_EXPORT(wf_limit_arithmetic) double engine_limit_arithmetic(uint32_t int8, uint32_t rounds, void *memory) {
    return (double)wf_limit_arithmetic(int8 != 0, rounds, memory);
}

WF_EXPORT(wf_limit_copy) double engine_limit_copy(void *memory, uint32_t bytes, uint32_t rounds) {
    return (double)wf_limit_copy(memory, bytes, rounds);
}

/* ---- pictures and classes ---- */

static wf_status image_place(wf_session *session, uint32_t index, float **out, wf_error *err) {
    const wf_image_params *p = wf_model_image(engine.model);
    if (p == NULL) {
        return wf_fail(err, WF_E_MISSING, "wf.image", -1,
                       "the model file does not say how pictures become its input (wf.image.*); give the input as numbers "
                       "with run, or convert the checkpoint again with its preprocessing");
    }
    uint64_t plane = 3 * (uint64_t)p->width * p->height;
    if ((index + 1) * plane > wf_session_input_elements(session)) {
        return wf_fail(err, WF_E_STATE, "image", -1, "picture %u is outside the batch that was prepared", index);
    }
    *out = (float *)wf_session_input(session) + index * plane;
    return WF_OK;
}

WF_EXPORT(wf_image_begin) uint32_t engine_image_begin(void *session, uint32_t index, uint32_t w, uint32_t h) {
    wf_error *err = fresh_error();
    float *place;
    WF_TRY(image_place(session, index, &place, err));
    if (engine.resizer == NULL) {
        WF_TRY(wf_resizer_create(&engine.resizer, err));
    }
    return wf_resizer_begin(engine.resizer, wf_model_image(engine.model), w, h, err);
}

WF_EXPORT(wf_image_rows)
uint32_t engine_image_rows(const uint8_t *pixels, uint32_t channels, uint32_t stride, uint32_t rows) {
    return wf_resizer_rows(engine.resizer, pixels, channels, stride, rows, fresh_error());
}

WF_EXPORT(wf_image_end) uint32_t engine_image_end(void *session, uint32_t index) {
    wf_error *err = fresh_error();
    float *place;
    WF_TRY(image_place(session, index, &place, err));
    return wf_resizer_finish(engine.resizer, place, err);
}

WF_EXPORT(wf_top) const uint32_t *engine_top(const float *logits, uint32_t n, uint32_t k, uint32_t raw) {
    wf_scores scores = raw != 0 ? WF_SCORES_RAW : wf_model_scores(engine.model);
    if (wf_classify_check(logits, n, fresh_error()) != WF_OK) {
        return NULL;
    }
    k = k < n ? k : n;
    uint32_t *words = hold(&engine.top, sizeof(uint32_t) + k * sizeof(wf_class_score), "a list of classes");
    if (words != NULL) {
        words[0] = wf_classify_top(logits, n, k, scores, (wf_class_score *)(words + 1));
    }
    return words;
}

/* ---- other tasks ---- */

/* {rows, columns, right places, right guesses, order[n], places[n], guesses[n]} */
static uint32_t *jigsaw(uint32_t *n) {
    uint32_t grid[2];
    *n = wf_jigsaw_tiles(engine.model, grid);
    uint32_t *words = hold(&engine.top, (4 + 3 * (uint64_t)*n) * sizeof *words, "the tiles");
    if (words != NULL) {
        memcpy(words, grid, sizeof grid);
    }
    return words;
}

WF_EXPORT(wf_jigsaw_cut) uint32_t engine_jigsaw_cut(void *session, uint32_t seed) {
    wf_error *err = fresh_error();
    uint32_t n, *words = jigsaw(&n);
    return words == NULL ? err->code : wf_jigsaw_cut(engine.model, session, seed, words + 4, err);
}

WF_EXPORT(wf_jigsaw_place) const uint32_t *engine_jigsaw_place(void *session) {
    wf_error *err = fresh_error();
    uint32_t n, *words = jigsaw(&n), *order = words + 4; /* as wf_jigsaw_cut left it */
    if (words == NULL || wf_jigsaw_place(engine.model, session, order + n, order + 2 * n, err) != WF_OK) {
        return NULL;
    }
    words[2] = words[3] = 0;
    for (uint32_t i = 0; i < 2 * n; i++) {
        words[2 + i / n] += order[n + i] == order[i % n];
    }
    return words;
}

WF_EXPORT(wf_reconstruct) const uint8_t *engine_reconstruct(void *session) {
    wf_error *err = fresh_error();
    uint32_t size[2];
    if (wf_reconstruct_size(engine.model, session, &size[0], &size[1], err) != WF_OK) {
        return NULL;
    }
    uint8_t *bytes = hold(&engine.output, sizeof size + 4 * (uint64_t)size[0] * size[1], "a picture");
    if (bytes == NULL || wf_reconstruct_read(engine.model, session, bytes + sizeof size, err) != WF_OK) {
        return NULL;
    }
    memcpy(bytes, size, sizeof size);
    return bytes;
}

/* ---- threads ---- */

#if defined(WF_THREADS) && WF_THREADS

WF_EXPORT(wf_thread_prepare) uint32_t engine_thread_prepare(uint32_t index) {
    thread *t = &engine.threads[index % WF_POOL_MAX_THREADS];
    if (t->stack == NULL) {
        t->stack = wf_alloc(THREAD_STACK_BYTES);
        t->tls = wf_alloc(__builtin_wasm_tls_size() + 64);
    }
    return t->stack != NULL && t->tls != NULL ? (uint32_t)(uintptr_t)(t->stack + THREAD_STACK_BYTES) : 0;
}

WF_EXPORT(wf_thread_tls) uint32_t engine_thread_tls(uint32_t index) {
    return (uint32_t)(uintptr_t)engine.threads[index % WF_POOL_MAX_THREADS].tls;
}

WF_EXPORT(wf_thread_main) void engine_thread_main(uint32_t index) { wf_pool_help(engine.model->pool, index); }
WF_EXPORT(wf_threads_ready) uint32_t engine_threads_ready(void) { return wf_pool_ready(engine.model->pool); }
WF_EXPORT(wf_threads_leave) void engine_threads_leave(void) {
    wf_pool_dismiss(engine.model != NULL ? engine.model->pool : NULL);
}

#else

WF_EXPORT(wf_thread_prepare) uint32_t engine_thread_prepare(uint32_t index) { return index & 0; }
WF_EXPORT(wf_thread_tls) uint32_t engine_thread_tls(uint32_t index) { return index & 0; }
WF_EXPORT(wf_thread_main) void engine_thread_main(uint32_t index) { (void)index; }
WF_EXPORT(wf_threads_ready) uint32_t engine_threads_ready(void) { return 0; }
WF_EXPORT(wf_threads_leave) void engine_threads_leave(void) {}

#endif

WF_EXPORT(wf_thread_stack_bytes) uint32_t engine_thread_stack_bytes(void) { return THREAD_STACK_BYTES; }
