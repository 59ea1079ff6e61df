/* The file's own golden: reading it, running it, comparing (self_test.h). */
#include "runtime/self_test.h"

#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "runtime/model.h"

struct wf_self_test {
    wf_model *model;
    wf_golden golden;
    wf_session *session;
    wf_verify_report report;
};

double wf_relative_l2(const double *a, const double *b, uint64_t n) {
    double difference = 0, size = 0;
    for (uint64_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size > 0 ? __builtin_sqrt(difference / size) : __builtin_sqrt(difference);
}

void wf_golden_free(wf_golden *g) {
    wf_free(g->source);
    wf_free(g->self);
    g->source = g->self = NULL;
}

/* Blocks of 64, 16, 4 and 1 cells, twice as strong with each step: the spectrum of photos, roughly. White noise has nothing in common
   with them, and a ViT that averages patches loses half again as much on it. Values are multiples of 3/2048, so that sums are exact in
   float and double alike. */
static void fill_octaves(const wf_golden *g, void *input, bool is_double) {
    wf_rng rng;
    wf_rng_seed(&rng, g->seed);
    memset(input, 0, (size_t)g->n * g->c * g->h * g->w * (is_double ? sizeof(double) : sizeof(float)));
    for (uint32_t plane = 0; plane < g->n * g->c; plane++) {
        size_t first = (size_t)plane * g->h * g->w;
        float strength = 1.5f;
        for (uint32_t size = 64; size != 0; size /= 4, strength /= 2) {
            uint32_t across = (g->w + size - 1) / size;
            for (uint32_t block = 0; block < across * ((g->h + size - 1) / size); block++) {
                int32_t step = (int32_t)(wf_rng_signed(&rng) * 128);
                float v = (float)step / 128 * strength;
                uint32_t top = block / across * size, left = block % across * size;
                for (uint32_t y = top; y < top + size && y < g->h; y++) {
                    for (uint32_t x = left; x < left + size && x < g->w; x++) {
                        size_t at = first + (size_t)y * g->w + x;
                        if (is_double) {
                            ((double *)input)[at] += v;
                        } else {
                            ((float *)input)[at] += v;
                        }
                    }
                }
            }
        }
    }
}

static void fill_ids(const wf_golden *g, void *input, bool is_double) {
    wf_rng rng;
    wf_rng_seed(&rng, g->seed);
    for (uint64_t i = 0; i < (uint64_t)g->n * g->c * g->h * g->w; i++) {
        uint32_t id = wf_rng_u32(&rng) % g->vocabulary;
        if (is_double) {
            ((double *)input)[i] = id;
        } else {
            ((float *)input)[i] = (float)id;
        }
    }
}

const char *wf_golden_input(const wf_golden *g) {
    return g->vocabulary != 0 ? WF_GOLDEN_IDS : g->octaves ? WF_GOLDEN_OCTAVES : WF_GOLDEN_WHITE;
}

static void fill(const wf_golden *g, void *input, bool is_double) {
    if (g->vocabulary != 0) {
        fill_ids(g, input, is_double);
        return;
    }
    if (g->octaves) {
        fill_octaves(g, input, is_double);
        return;
    }
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

wf_status wf_golden_start(wf_model *model, const wf_golden *g, wf_session **out, wf_error *err) {
    wf_session *s;
    *out = NULL;
    WF_TRY(wf_session_create(model, NULL, 0, &s, err));
    wf_status status = wf_session_prepare(s, g->n, g->h, g->w, err);
    if (status == WF_OK && wf_session_input_elements(s) != (uint64_t)g->n * g->c * g->h * g->w) {
        status = wf_fail(err, WF_E_SHAPE, "wf.golden", -1, "the self-test's input has %u channels, which the model does not read", g->c);
    }
    if (status != WF_OK) {
        wf_session_free(s);
        return status;
    }
    fill(g, wf_session_input(s), wf_model_backend(model) == WF_BACKEND_F64);
    *out = s;
    return WF_OK;
}

static uint64_t elements_of(const wf_output_info *o) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < o->n_dims; i++) {
        n *= o->dims[i];
    }
    return n;
}

wf_status wf_golden_outputs(const wf_session *s, double **out, uint64_t *count, wf_error *err) {
    uint64_t total = 0, at = 0;
    wf_output_info info;
    void *memory;
    *out = NULL;
    for (uint32_t i = 0; i < wf_session_output_count(s); i++) {
        WF_TRY(wf_session_output(s, i, &info, err));
        total += elements_of(&info);
    }
    WF_TRY(wf_alloc_array(&memory, total, sizeof(double), "the outputs of the self-test", err));
    for (uint32_t i = 0; i < wf_session_output_count(s); i++) {
        wf_status status = wf_session_output(s, i, &info, err);
        if (status == WF_OK) {
            status = wf_session_read_f64(s, i, (double *)memory + at, err);
        }
        if (status != WF_OK) {
            wf_free(memory);
            return status;
        }
        at += elements_of(&info);
    }
    *out = memory;
    *count = total;
    return WF_OK;
}

static wf_status read_golden(const wf_model *model, wf_golden *g, wf_error *err) {
    const wf_gguf *gguf = wf_model_metadata(model);
    const wf_gguf_kv *shape = wf_gguf_find(gguf, "wf.golden.shape"), *source = wf_gguf_find(gguf, "wf.golden.output_source");
    const wf_gguf_kv *self = wf_gguf_find(gguf, "wf.golden.output_self");
    uint64_t seed, dims[4];
    bool ok = shape != NULL && source != NULL && self != NULL && source->count == self->count && shape->count == 4 &&
              wf_gguf_get_u64(gguf, "wf.golden.seed", &seed);
    for (uint64_t i = 0; ok && i < 4; i++) {
        ok = wf_gguf_item_u64(shape, i, &dims[i]) && dims[i] > 0 && dims[i] <= 4096;
    }
    const char *input = wf_gguf_get_string(gguf, "wf.golden.input");
    bool octaves = input != NULL && strcmp(input, WF_GOLDEN_OCTAVES) == 0;
    uint32_t vocabulary = model->input.vocabulary;
    ok = ok && input != NULL && (vocabulary != 0 ? strcmp(input, WF_GOLDEN_IDS) == 0 : octaves || strcmp(input, WF_GOLDEN_WHITE) == 0);
    if (!ok) {
        return wf_fail(err, WF_E_FORMAT, "wf.golden", -1, "the file's self-test (wf.golden.*) is incomplete; convert the checkpoint again");
    }
    *g = (wf_golden){.seed = (uint32_t)seed, .n = (uint32_t)dims[0], .c = (uint32_t)dims[1], .h = (uint32_t)dims[2], .w = (uint32_t)dims[3],
                     .vocabulary = vocabulary, .octaves = octaves, .count = source->count};
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

wf_status wf_self_test_begin(wf_model *model, wf_self_test **out, wf_error *err) {
    *out = NULL;
    if (!wf_model_is_complete(model)) {
        return wf_fail(err, WF_E_STATE, "verify", -1, "verify needs a completely loaded model");
    }
    if (wf_gguf_find(wf_model_metadata(model), "wf.golden.shape") == NULL) {
        return WF_OK;
    }
    wf_self_test *t = wf_alloc_zero(sizeof *t);
    if (t == NULL) {
        return wf_fail(err, WF_E_MEMORY, "verify", -1, "no memory for the self-test");
    }
    t->model = model;
    t->report.present = true;
    wf_status status = read_golden(model, &t->golden, err);
    if (status == WF_OK) {
        status = wf_golden_start(model, &t->golden, &t->session, err);
    }
    if (status != WF_OK) {
        wf_self_test_free(t);
        return status;
    }
    *out = t;
    return WF_OK;
}

static wf_status compare(wf_self_test *t, wf_error *err) {
    const wf_golden *g = &t->golden;
    wf_verify_report *r = &t->report;
    double *out;
    uint64_t count;
    WF_TRY(wf_golden_outputs(t->session, &out, &count, err));
    if (count != g->count) {
        wf_free(out);
        return wf_fail(err, WF_E_SHAPE, "wf.golden", -1, "the self-test recorded %llu values, but the model gives %llu",
                       (unsigned long long)g->count, (unsigned long long)count);
    }
    r->self_limit = wf_model_int8_rows(t->model) ? 1e-5 + 3 * g->deviation : 1e-5;
    r->self_error = wf_relative_l2(out, g->self, count);
    r->source_error = wf_relative_l2(out, g->source, count);
    r->recorded_loss = g->loss;
    wf_free(out);
    if (r->self_error <= r->self_limit) {
        return WF_OK;
    }
    wf_fail(&t->model->error, WF_E_LOSS, "verify", -1,
            "this build computes something else than the file recorded: relative error %.3g, allowed %.3g (against the "
            "source model %.3g, recorded %.3g); the file is damaged or this device computes wrongly",
            r->self_error, r->self_limit, r->source_error, r->recorded_loss);
    return wf_fail(err, WF_E_LOSS, "verify", -1, "%s", t->model->error.text);
}

wf_status wf_self_test_step(wf_self_test *t, uint64_t budget, wf_progress *progress, wf_error *err) {
    WF_TRY(wf_session_step(t->session, budget, progress, err));
    return *progress == WF_DONE ? compare(t, err) : WF_OK;
}

const wf_verify_report *wf_self_test_report(const wf_self_test *t) { return &t->report; }

void wf_self_test_free(wf_self_test *t) {
    if (t != NULL) {
        wf_session_free(t->session);
        wf_golden_free(&t->golden);
        wf_free(t);
    }
}

wf_status wf_verify(wf_model *model, wf_verify_report *report, wf_error *err) {
    wf_self_test *t;
    wf_progress progress = WF_YIELD;
    memset(report, 0, sizeof *report);
    WF_TRY(wf_self_test_begin(model, &t, err));
    if (t == NULL) {
        return WF_OK;
    }
    wf_status status = WF_OK;
    while (status == WF_OK && progress == WF_YIELD) {
        status = wf_self_test_step(t, 0, &progress, err);
    }
    *report = t->report;
    wf_self_test_free(t);
    return status;
}
