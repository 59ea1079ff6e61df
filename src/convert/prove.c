/* A file proves itself: seeded noise goes through the source model in double precision (output_source) and through the written
   file with the scalar kernels and float activations (output_self). The file is not stored for that: emit's bytes are fed straight
   into a model, which computes as they come and drops what it has used; so the memory is that of a layer or two, in doubles or not.

   Quantizing activations is chaotic: a difference of one float ulp flips a rounding, which flips more in the next layer, until two
   correct builds differ by about the quantization noise itself (measured: 1e-2 on the tiny goldens). So int8 rows cannot be held to a
   fixed small number against another build; their deviation from output_self is recorded at conversion, and verify demands that it
   is not exceeded threefold. */
#include "base/alloc.h"
#include "convert/mapping.h"
#include "wasmformer.h"

typedef struct proof {
    wf_model *model;
    wf_session *session;
    const wf_golden *golden;
    const wf_convert_options *options;
} proof;

/* Runs as far as the bytes go that the model has. */
static wf_status step(proof *p, wf_error *err) {
    const wf_convert_options *o = p->options;
    wf_progress progress;
    do {
        WF_TRY(wf_session_step(p->session, 50000000, &progress, err));
        if (progress == WF_YIELD && o->cancelled != NULL && o->cancelled(o->user)) {
            return wf_fail(err, WF_E_ABORTED, "convert", -1, "stopped; nothing was written");
        }
    } while (progress == WF_YIELD);
    return WF_OK;
}

static wf_status feed_proof(void *user, const void *bytes, size_t n, wf_error *err) {
    proof *p = user;
    WF_TRY(wf_model_feed(p->model, bytes, n, err));
    if (p->session == NULL && wf_model_has_header(p->model)) {
        WF_TRY(wf_golden_start(p->model, p->golden, &p->session, err));
    }
    return p->session != NULL ? step(p, err) : WF_OK;
}

/* *out = all outputs of the golden's input one after the other, in double. */
static wf_status run_emitted(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_backend backend, bool int8_rows,
                             const wf_golden *g, double **out, uint64_t *count, wf_error *err) {
    wf_options options = wf_options_default();
    proof p = {NULL, NULL, g, o};
    uint64_t bytes;
    options.backend = backend;
    options.int8_rows = int8_rows;
    options.one_run = true;
    options.file_name = o->source_name;
    WF_TRY(wf_model_open(&options, &p.model, err));
    wf_byte_sink sink = {&p, feed_proof};
    wf_status status = wf_emit(m, o, type, NULL, sink, &bytes, err);
    if (status == WF_OK) {
        status = wf_model_finish(p.model, err);
    }
    if (status == WF_OK) {
        status = step(&p, err); /* what waited for the end of the file */
    }
    if (status == WF_OK) {
        status = wf_golden_outputs(p.session, out, count, err);
    }
    wf_session_free(p.session);
    wf_model_free(p.model);
    return status;
}

wf_status wf_prove_source(const wf_mapping *m, const wf_convert_options *o, wf_golden *g, wf_error *err) {
    return run_emitted(m, o, WF_F64, WF_BACKEND_F64, false, g, &g->source, &g->count, err);
}

wf_status wf_prove_rewrite(const wf_mapping *m, const wf_convert_options *o, const wf_golden *g, wf_error *err) {
    static const double limit = 1e-9; /* double's own error is 1e-15 to 1e-13; any real mistake is far above */
    double *rewritten = NULL;
    uint64_t count;
    WF_TRY(run_emitted(m, o, WF_F64, WF_BACKEND_F64, false, g, &rewritten, &count, err));
    double error = count == g->count ? wf_relative_l2(rewritten, g->source, count) : 1;
    wf_free(rewritten);
    return error <= limit ? WF_OK
                          : wf_fail(err, WF_E_LOSS, "convert", -1, "the rewrite of norms changes the output by %.3g (relative, in double), more "
                                    "than %.0e: nothing was written; convert with --norm keep, and tell us of this checkpoint", error, limit);
}

wf_status wf_prove(const wf_mapping *m, const wf_convert_options *o, wf_golden *g, wf_error *err) {
    uint64_t count;
    double *int8 = NULL;
    if (g->source == NULL) {
        WF_TRY(wf_prove_source(m, o, g, err));
    }
    wf_free(g->self); /* of another trial */
    g->self = NULL;
    WF_TRY(run_emitted(m, o, o->type, WF_BACKEND_SCALAR, false, g, &g->self, &count, err));
    g->loss = wf_relative_l2(g->self, g->source, g->count);
    if (o->type == WF_Q8_0 || o->type == WF_I8) {
        WF_TRY(run_emitted(m, o, o->type, WF_BACKEND_SIMD, true, g, &int8, &count, err));
        g->loss = wf_relative_l2(int8, g->source, g->count);
        g->deviation = wf_relative_l2(int8, g->self, g->count);
        wf_free(int8);
    }
    return WF_OK;
}
