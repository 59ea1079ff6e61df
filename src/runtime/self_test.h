/* A file proves itself: wf.golden.* holds the seed of an input, what the source model made of it in double precision (output_source),
   and what the file itself made of it with the scalar kernels and float activations (output_self). This is the run of that input by
   the kernels at hand, in steps, and the comparison. How the record is made: convert/prove.c. */
#ifndef WF_RUNTIME_SELF_TEST_H
#define WF_RUNTIME_SELF_TEST_H

#include "format/gguf.h"
#include "wasmformer.h"

typedef struct wf_golden {
    uint32_t seed, n, c, h, w;
    uint32_t vocabulary;   /* not 0: the input is token ids, uniform below it */
    bool octaves;          /* the input: noise of four scales, as uneven as a picture; false: white noise */
    double *source, *self; /* outputs one after the other, in the source's order */
    uint64_t count;
    double loss;      /* of the usual way of running (int8 rows where the type has them) against source */
    double deviation; /* of int8 rows against self; 0 where there are none */
} wf_golden;

/* What wf.golden.input says of the three. */
#define WF_GOLDEN_WHITE "xoshiro128** uniform, standard deviation 1"
#define WF_GOLDEN_OCTAVES "xoshiro128** octaves of 1, 4, 16 and 64, standard deviation 1"
#define WF_GOLDEN_IDS "xoshiro128** token ids"
const char *wf_golden_input(const wf_golden *g);

/* Relative L2 of a against b. */
double wf_relative_l2(const double *a, const double *b, uint64_t n);
/* A session with the golden's input in place; the caller steps and frees it. */
wf_status wf_golden_start(wf_model *model, const wf_golden *g, wf_session **out, wf_error *err);
/* All outputs of a session that is done, one after the other; the caller frees them. */
wf_status wf_golden_outputs(const wf_session *s, double **out, uint64_t *count, wf_error *err);
void wf_golden_free(wf_golden *g);

typedef struct wf_verify_report {
    bool present;        /* false: the file has no golden */
    double self_error;   /* relative L2 against output_self */
    double self_limit;   /* 1e-5; with int8 activations three times the deviation recorded at conversion (prove.c) */
    double source_error; /* against output_source */
    double recorded_loss;
} wf_verify_report;

typedef struct wf_self_test wf_self_test;
/* *out stays NULL where the file has no golden. The model must be complete. */
wf_status wf_self_test_begin(wf_model *model, wf_self_test **out, wf_error *err);
/* As wf_session_step; compares when the run is done. A model that fails (WF_E_LOSS) stays failed: it gives no more results. */
wf_status wf_self_test_step(wf_self_test *t, uint64_t budget, wf_progress *progress, wf_error *err);
const wf_verify_report *wf_self_test_report(const wf_self_test *t);
void wf_self_test_free(wf_self_test *t);

/* All of it at once. The sentence of a failed verification names both figures. */
wf_status wf_verify(wf_model *model, wf_verify_report *report, wf_error *err);

#endif
