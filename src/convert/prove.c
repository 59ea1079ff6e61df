/* A file proves itself: seeded noise goes through the source model in double precision (output_source) and through the written
   file with the scalar kernels and float activations (output_self). The file is not stored for that: emit's bytes are fed straight
   into a model.

   Quantizing activations is chaotic: a difference of one float ulp flips a rounding, which flips more in the next layer, until two
   correct builds differ by about the quantization noise itself (measured: 1e-2 on the tiny goldens). So int8 rows cannot be held to a
   fixed small number against another build; their deviation from output_self is recorded at conversion, and verify demands that it
   is not exceeded threefold. */
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "convert/mapping.h"
#include "wasmformer.h"

double wf_relative_l2(const double *a, const double *b, uint64_t n) {
    double difference = 0, size = 0;
    for (uint64_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size > 0 ? __builtin_sqrt(difference / size) : __builtin_sqrt(difference);
}

void wf_golden_fill(const wf_golden *g, void *input, bool is_double) {
    const float width = 1.7320508f; /* uniform in ±√3 has standard deviation 1 */
    uint64_t count = (uint64_t)g->n * g->c * g->h * g->w;
    wf_rng rng;
    wf_rng_seed(&rng, g->seed);
    for (uint64_t i = 0; i < count; i++) {
        float v = wf_rng_signed(&rng) * width;
        if (is_double) {
            ((double *)input)[i] = v;
        } else {
            ((float *)input)[i] = v;
        }
    }
}

void wf_golden_free(wf_golden *g) {
    wf_free(g->source);
    wf_free(g->self);
    g->source = g->self = NULL;
}

static uint64_t elements_of(const wf_output_info *o) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < o->n_dims; i++) {
        n *= o->dims[i];
    }
    return n;
}

/* Runs the golden's input; *out = all outputs one after the other, in double. o: for progress and stops, or NULL. */
static wf_status run_golden(wf_model *model, const wf_golden *g, bool is_double, const wf_convert_options *o, double **out,
                            uint64_t *count, wf_error *err) {
    wf_session *s;
    *out = NULL;
    WF_TRY(wf_session_create(model, NULL, 0, &s, err));
    wf_status status = wf_session_prepare(s, g->n, g->h, g->w, err);
    wf_progress progress = WF_YIELD;
    if (status == WF_OK) {
        wf_golden_fill(g, wf_session_input(s), is_double);
    }
    while (status == WF_OK && progress == WF_YIELD) {
        status = wf_session_step(s, 50000000, &progress, err);
        if (o != NULL && o->progress != NULL) {
            o->progress(o->user, "running", (uint64_t)(1000 * wf_session_fraction(s)), 1000);
        }
        if (status == WF_OK && o != NULL && o->cancelled != NULL && o->cancelled(o->user)) {
            status = wf_fail(err, WF_E_ABORTED, "convert", -1, "stopped; nothing was written");
        }
    }
    uint64_t total = 0, at = 0;
    wf_output_info info;
    for (uint32_t i = 0; status == WF_OK && i < wf_session_output_count(s); i++) {
        status = wf_session_output(s, i, &info, err);
        total += elements_of(&info);
    }
    if (status == WF_OK) {
        status = wf_alloc_array((void **)out, total, sizeof(double), "the outputs of the self-test", err);
    }
    for (uint32_t i = 0; status == WF_OK && i < wf_session_output_count(s); i++) {
        status = wf_session_output(s, i, &info, err);
        if (status == WF_OK) {
            status = wf_session_read_f64(s, i, *out + at, err);
        }
        at += elements_of(&info);
    }
    if (status != WF_OK) {
        wf_free(*out);
        *out = NULL;
    }
    *count = total;
    wf_session_free(s);
    return status;
}

static wf_status feed_model(void *user, const void *bytes, size_t n, wf_error *err) { return wf_model_feed(user, bytes, n, err); }

static wf_status run_emitted(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_backend backend, bool int8_rows,
                             const wf_golden *g, double **out, uint64_t *count, wf_error *err) {
    wf_options options = wf_options_default();
    wf_model *model;
    uint64_t bytes;
    options.backend = backend;
    options.int8_rows = int8_rows;
    options.file_name = o->source_name;
    WF_TRY(wf_model_open(&options, &model, err));
    wf_byte_sink sink = {model, feed_model};
    wf_status status = wf_emit(m, o, type, NULL, sink, &bytes, err);
    if (status == WF_OK) {
        status = wf_model_finish(model, err);
    }
    if (status == WF_OK) {
        status = run_golden(model, g, backend == WF_BACKEND_F64, o, out, count, err);
    }
    wf_model_free(model);
    return status;
}

wf_status wf_prove(const wf_mapping *m, const wf_convert_options *o, wf_golden *g, wf_error *err) {
    uint64_t count;
    double *int8 = NULL;
    WF_TRY(run_emitted(m, o, WF_F32, WF_BACKEND_F64, false, g, &g->source, &g->count, err));
    WF_TRY(run_emitted(m, o, o->type, WF_BACKEND_SCALAR, false, g, &g->self, &count, err));
    g->loss = wf_relative_l2(g->self, g->source, g->count);
    if (o->type == WF_Q8_0) {
        WF_TRY(run_emitted(m, o, o->type, WF_BACKEND_SIMD, true, g, &int8, &count, err));
        g->loss = wf_relative_l2(int8, g->source, g->count);
        g->deviation = wf_relative_l2(int8, g->self, g->count);
        wf_free(int8);
    }
    return WF_OK;
}

static wf_status read_golden(const wf_gguf *gguf, wf_golden *g, wf_error *err) {
    const wf_gguf_kv *shape = wf_gguf_find(gguf, "wf.golden.shape"), *source = wf_gguf_find(gguf, "wf.golden.output_source");
    const wf_gguf_kv *self = wf_gguf_find(gguf, "wf.golden.output_self");
    uint64_t seed, dims[4];
    bool ok = shape != NULL && source != NULL && self != NULL && source->count == self->count && shape->count == 4 &&
              wf_gguf_get_u64(gguf, "wf.golden.seed", &seed);
    for (uint64_t i = 0; ok && i < 4; i++) {
        ok = wf_gguf_item_u64(shape, i, &dims[i]) && dims[i] > 0 && dims[i] <= 4096;
    }
    if (!ok) {
        return wf_fail(err, WF_E_FORMAT, "wf.golden", -1, "the file's self-test (wf.golden.*) is incomplete; convert the checkpoint again");
    }
    *g = (wf_golden){(uint32_t)seed, (uint32_t)dims[0], (uint32_t)dims[1], (uint32_t)dims[2], (uint32_t)dims[3], NULL, NULL,
                     source->count, 0, 0};
    WF_TRY(wf_alloc_array((void **)&g->source, g->count, sizeof(double), "the self-test", err));
    WF_TRY(wf_alloc_array((void **)&g->self, g->count, sizeof(double), "the self-test", err));
    for (uint64_t i = 0; i < g->count; i++) {
        wf_gguf_item_f64(source, i, &g->source[i]);
        wf_gguf_item_f64(self, i, &g->self[i]);
    }
    wf_gguf_get_f64(gguf, "wf.golden.loss", &g->loss);
    wf_gguf_get_f64(gguf, "wf.golden.int8_deviation", &g->deviation);
    return WF_OK;
}

wf_status wf_verify(wf_model *model, wf_verify_report *report, wf_error *err) {
    const wf_gguf *gguf = wf_model_metadata(model);
    wf_golden g;
    double *out = NULL;
    uint64_t count = 0;
    memset(report, 0, sizeof *report);
    memset(&g, 0, sizeof g);
    if (gguf == NULL || !wf_model_is_complete(model)) {
        return wf_fail(err, WF_E_STATE, "verify", -1, "verify needs a completely loaded model");
    }
    if (wf_gguf_find(gguf, "wf.golden.shape") == NULL) {
        return WF_OK;
    }
    report->present = true;
    wf_status status = read_golden(gguf, &g, err);
    if (status == WF_OK) {
        status = run_golden(model, &g, wf_model_backend(model) == WF_BACKEND_F64, NULL, &out, &count, err);
    }
    if (status == WF_OK && count != g.count) {
        status = wf_fail(err, WF_E_SHAPE, "wf.golden", -1, "the self-test recorded %llu values, but the model gives %llu",
                         (unsigned long long)g.count, (unsigned long long)count);
    }
    if (status == WF_OK) {
        report->self_limit = wf_model_int8_rows(model) ? 1e-5 + 3 * g.deviation : 1e-5;
        report->self_error = wf_relative_l2(out, g.self, count);
        report->source_error = wf_relative_l2(out, g.source, count);
        report->recorded_loss = g.loss;
        if (!(report->self_error <= report->self_limit)) {
            status = wf_fail(err, WF_E_LOSS, "verify", -1,
                             "this build computes something else than the file recorded: relative error %.3g, allowed %.3g (against the "
                             "source model %.3g, recorded %.3g); the file is damaged or this device computes wrongly",
                             report->self_error, report->self_limit, report->source_error, report->recorded_loss);
        }
    }
    wf_free(out);
    wf_golden_free(&g);
    return status;
}
