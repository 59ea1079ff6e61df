/* A file proves itself: seeded noise goes through the source model in double precision (output_source) and through the written
   file with the scalar kernels and float activations (output_self). The file is not stored for that: emit's bytes are fed straight
   into a model.

   Quantizing activations is chaotic: a difference of one float ulp flips a rounding, which flips more in the next layer, until two
   correct builds differ by about the quantization noise itself (measured: 1e-2 on the tiny goldens). So int8 rows cannot be held to a
   fixed small number against another build; their deviation from output_self is recorded at conversion, and verify demands that it
   is not exceeded threefold. */
#include "base/alloc.h"
#include "convert/mapping.h"
#include "wasmformer.h"

/* Runs the golden's input; *out = all outputs one after the other, in double. */
static wf_status run_golden(wf_model *model, const wf_golden *g, const wf_convert_options *o, double **out, uint64_t *count,
                            wf_error *err) {
    wf_session *s;
    wf_progress progress = WF_YIELD;
    wf_status status = WF_OK;
    WF_TRY(wf_golden_start(model, g, &s, err));
    while (status == WF_OK && progress == WF_YIELD) {
        status = wf_session_step(s, 50000000, &progress, err);
        if (o->progress != NULL) {
            o->progress(o->user, "running", (uint64_t)(1000 * wf_session_fraction(s)), 1000);
        }
        if (status == WF_OK && o->cancelled != NULL && o->cancelled(o->user)) {
            status = wf_fail(err, WF_E_ABORTED, "convert", -1, "stopped; nothing was written");
        }
    }
    if (status == WF_OK) {
        status = wf_golden_outputs(s, out, count, err);
    }
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
        status = run_golden(model, g, o, out, count, err);
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
