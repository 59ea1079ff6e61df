/* Static grids for the inputs of I8 matrices, from pictures. The source runs in float over the pictures and every matrix's
   input is looked at on the way: first its channels' ranges and some rows of it, then, with the gains chosen, its histogram and extremes.
   One picture in four is kept back. On those, grids are tried, and the written model is compared with the source (int8_fit.c). */
#include "convert/calibrate.h"

#include <string.h>

#include "base/rng.h"
#include "kernels/quantize.h"

enum { HELD_BACK = 4 };

typedef struct watch {
    wf_mapping *m;
    wf_layer_view *layers; /* [map rows]; channels == 0: not an I8 matrix, or not met yet */
    wf_rng rng;
    enum { RANGES, HISTOGRAMS, TRIALS } looking_for;
    uint32_t rows_a_picture;
    wf_status status;
    wf_error *err;
} watch;

bool wf_calibrate_is_held_back(const wf_convert_options *o, uint32_t picture) {
    return o->picture_count < HELD_BACK || picture % HELD_BACK == HELD_BACK - 1;
}

static bool is_looked_at(const wf_convert_options *o, uint32_t picture) {
    return o->picture_count < HELD_BACK || !wf_calibrate_is_held_back(o, picture);
}

/* ---- what a node's input holds ---- */

static const float *element(const wf_view *in, uint32_t n, uint32_t y, uint32_t x, uint32_t c) {
    const wf_shape *s = &in->shape;
    if (s->layout == WF_LAYOUT_NCHW) {
        return (const float *)in->data + (((size_t)n * s->c + c) * s->h + y) * s->w + x;
    }
    return (const float *)in->data + (((size_t)n * s->h + y) * s->w + x) * wf_shape_stride(s) + c;
}

static void see_ranges(wf_layer_view *v, const wf_view *in) {
    const wf_shape *s = &in->shape;
    for (uint32_t cell = 0; cell < wf_shape_rows(s); cell++) {
        uint32_t x = cell % s->w, y = cell / s->w % s->h, n = cell / s->w / s->h;
        for (uint32_t c = 0; c < s->c; c++) {
            float value = *element(in, n, y, x, c);
            v->low[c] = value < v->low[c] ? value : v->low[c];
            v->high[c] = value > v->high[c] ? value : v->high[c];
        }
    }
}

static void add_extreme(wf_extreme *e, float size) {
    e->sum += size;
    e->squares += (double)size * size;
    e->largest = size > e->largest ? size : e->largest;
}

static void see_histogram(wf_layer_view *v, const wf_view *in, const float *gain) {
    const wf_shape *s = &in->shape;
    float low = 0, high = 0;
    const float factor = (float)WF_HISTOGRAM / (v->hist_high - v->hist_low);
    for (uint32_t cell = 0; cell < wf_shape_rows(s); cell++) {
        uint32_t x = cell % s->w, y = cell / s->w % s->h, n = cell / s->w / s->h;
        for (uint32_t c = 0; c < s->c; c++) {
            float value = *element(in, n, y, x, c) * (gain != NULL ? gain[c] : 1), at = (value - v->hist_low) * factor;
            low = value < low ? value : low;
            high = value > high ? value : high;
            int bin = at > 0 ? at < WF_HISTOGRAM - 1 ? (int)at : WF_HISTOGRAM - 1 : 0;
            v->histogram[bin] += v->importance[c];
        }
    }
    add_extreme(&v->least, -low);
    add_extreme(&v->most, high);
    v->pictures++;
}

static void try_grids(wf_layer_view *v, const wf_op_call *call, const float *gain) {
    const wf_view *in = &call->in[0];
    const wf_shape *s = &in->shape;
    const uint32_t steps = call->p->stride_h * call->p->stride_w; /* conv2d: one input in so many is under a given cell of the kernel */
    double error[WF_GRIDS] = {0};
    for (uint32_t cell = 0; cell < wf_shape_rows(s); cell++) {
        uint32_t x = cell % s->w, y = cell / s->w % s->h, n = cell / s->w / s->h;
        for (uint32_t c = 0; c < s->c; c++) {
            float value = *element(in, n, y, x, c) * (gain != NULL ? gain[c] : 1);
            for (int g = 0; g < WF_GRIDS; g++) {
                const wf_int8_input *grid = &v->grids[g];
                float d = value - ((float)wf_quantize_u8(value, 1 / grid->scale, (int32_t)grid->zero) - grid->zero) * grid->scale;
                error[g] += v->importance[c] * (double)d * (double)d;
            }
        }
    }
    for (int g = 0; g < WF_GRIDS; g++) {
        v->error[g] += error[g] / (steps > 0 ? steps : 1);
    }
    v->held_rows += wf_shape_rows(&call->out.shape);
}

/* One row of the product: the patch of output cell `row`, or a row of the input. */
static void take_sample(wf_layer_view *v, const wf_op_call *call, wf_op op, uint32_t row) {
    const wf_shape *s = &call->in[0].shape, *out = &call->out.shape;
    const wf_op_params *p = call->p;
    float *to = v->samples + (size_t)v->sample_count++ * v->k;
    uint32_t x = row % out->w, y = row / out->w % out->h, n = row / out->w / out->h;
    if (op == WF_OP_LINEAR) {
        memcpy(to, (const float *)call->in[0].data + (size_t)row * wf_shape_stride(s), v->k * sizeof *to);
        return;
    }
    for (uint32_t cell = 0; cell < p->kernel_h * p->kernel_w; cell++) {
        int64_t iy = (int64_t)y * p->stride_h + cell / p->kernel_w - p->pad_h;
        int64_t ix = (int64_t)x * p->stride_w + cell % p->kernel_w - p->pad_w;
        for (uint32_t c = 0; c < s->c; c++) {
            bool inside = iy >= 0 && ix >= 0 && iy < s->h && ix < s->w;
            *to++ = inside ? *element(&call->in[0], n, (uint32_t)iy, (uint32_t)ix, c) : 0;
        }
    }
}

static wf_status meet(watch *w, wf_layer_view *v, uint32_t row, const wf_op_call *call) {
    const uint32_t channels = call->in[0].shape.c, k = call->w[0].k;
    wf_arena *a = w->m->arena;
    v->row = row;
    v->low = wf_arena_alloc(a, channels * sizeof(float));
    v->high = wf_arena_alloc(a, channels * sizeof(float));
    v->importance = wf_arena_alloc(a, channels * sizeof(double));
    v->histogram = wf_arena_alloc(a, WF_HISTOGRAM * sizeof(double));
    v->samples = wf_arena_alloc(a, (size_t)WF_SAMPLE_ROWS * k * sizeof(float));
    if (v->low == NULL || v->high == NULL || v->importance == NULL || v->histogram == NULL || v->samples == NULL) {
        return wf_fail(w->err, WF_E_MEMORY, w->m->rows[row].name, -1, "no memory to calibrate \"%s\"", w->m->rows[row].name);
    }
    v->k = k;
    v->channels = channels;
    return WF_OK;
}

static uint32_t row_of(const wf_mapping *m, const char *name) {
    for (uint32_t i = 0; i < m->row_count; i++) {
        if (strcmp(m->rows[i].name, name) == 0) {
            return i;
        }
    }
    return m->row_count;
}

static void on_node(void *user, const wf_plan *plan, uint32_t node) {
    watch *w = user;
    const wf_node *n = &plan->graph.nodes[node];
    const wf_op_call *call = &plan->calls[node];
    if ((n->op != WF_OP_LINEAR && n->op != WF_OP_CONV2D) || w->status != WF_OK) {
        return;
    }
    uint32_t row = row_of(w->m, plan->graph.weights->entries[n->w[0]].name);
    if (row == w->m->row_count || wf_map_stored_of(w->m, &w->m->rows[row], WF_I8).type != WF_I8) {
        return;
    }
    wf_layer_view *v = &w->layers[row];
    if (v->channels == 0) {
        w->status = meet(w, v, row, call);
    }
    if (w->status != WF_OK) {
        return;
    }
    if (w->looking_for == TRIALS) {
        try_grids(v, call, w->m->int8[row].gain);
        return;
    }
    if (w->looking_for == HISTOGRAMS) {
        see_histogram(v, &call->in[0], w->m->int8[row].gain);
        return;
    }
    see_ranges(v, &call->in[0]);
    for (uint32_t i = 0; i < w->rows_a_picture && v->sample_count < WF_SAMPLE_ROWS; i++) {
        take_sample(v, call, n->op, wf_rng_u32(&w->rng) % wf_shape_rows(&call->out.shape));
    }
}

/* ---- running pictures ---- */

wf_status wf_calibrate_run(const wf_mapping *m, const wf_convert_options *o, wf_session *s, uint32_t picture, wf_error *err) {
    wf_progress progress = WF_YIELD;
    WF_TRY(o->picture(o->user, picture, &m->image, wf_session_input(s), err));
    WF_TRY(wf_session_start(s, err));
    while (progress == WF_YIELD) {
        WF_TRY(wf_session_step(s, 50000000, &progress, err));
        if (o->cancelled != NULL && o->cancelled(o->user)) {
            return wf_fail(err, WF_E_ABORTED, "convert", -1, "stopped; nothing was written");
        }
    }
    return WF_OK;
}

static wf_status feed_model(void *user, const void *bytes, size_t n, wf_error *err) { return wf_model_feed(user, bytes, n, err); }

/* The file that wf_emit would write, as a model. */
static wf_status open_model(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_model **out, wf_error *err) {
    wf_options options = wf_options_default();
    uint64_t bytes;
    options.file_name = o->source_name;
    WF_TRY(wf_model_open(&options, out, err));
    wf_byte_sink sink = {*out, feed_model};
    WF_TRY(wf_emit(m, o, type, NULL, sink, &bytes, err));
    return wf_model_finish(*out, err);
}

wf_status wf_calibrate_open(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_model **model, wf_session **s,
                            wf_error *err) {
    *s = NULL;
    WF_TRY(open_model(m, o, type, model, err));
    WF_TRY(wf_session_create(*model, NULL, 0, s, err));
    return wf_session_prepare(*s, 1, m->image.height, m->image.width, err);
}

static wf_status look(watch *w, const wf_convert_options *o, wf_session *s, int looking_for) {
    static const char *const phases[] = {[RANGES] = "looking at pictures", [HISTOGRAMS] = "measuring pictures", [TRIALS] = "trying grids"};
    w->looking_for = looking_for;
    wf_session_observe(s, on_node, w);
    for (uint32_t i = 0; i < o->picture_count; i++) {
        if (o->progress != NULL) {
            o->progress(o->user, phases[looking_for], i, o->picture_count);
        }
        if (looking_for == TRIALS ? wf_calibrate_is_held_back(o, i) : is_looked_at(o, i)) {
            WF_TRY(wf_calibrate_run(w->m, o, s, i, w->err));
            WF_TRY(w->status);
        }
    }
    return WF_OK;
}

/* ---- deciding ---- */

static wf_status choose_gains(watch *w, const wf_convert_options *o) {
    for (uint32_t i = 0; i < w->m->row_count; i++) {
        if (o->progress != NULL) {
            o->progress(o->user, "choosing gains", i, w->m->row_count);
        }
        if (w->layers[i].channels != 0) {
            WF_TRY(wf_int8_choose_gain(w->m, &w->layers[i], &w->m->int8[i], w->err));
        }
    }
    return WF_OK;
}

static wf_status choose_grids(watch *w, const wf_convert_options *o) {
    for (uint32_t i = 0; i < w->m->row_count; i++) {
        if (o->progress != NULL) {
            o->progress(o->user, "choosing grids", i, w->m->row_count);
        }
        if (w->layers[i].channels != 0) {
            WF_TRY(wf_int8_choose_static(w->m, &w->layers[i], &w->m->int8[i], w->err));
        }
    }
    return WF_OK;
}

wf_status wf_calibrate(wf_mapping *m, const wf_convert_options *o, double max_loss, wf_convert_report *report, wf_error *err) {
    watch w;
    wf_model *model = NULL;
    wf_session *session = NULL;
    memset(&w, 0, sizeof w);
    w.m = m;
    w.err = err;
    wf_rng_seed(&w.rng, 1);
    w.layers = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *w.layers);
    m->int8 = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *m->int8);
    if (w.layers == NULL || m->int8 == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to calibrate");
    }
    uint32_t pictures = o->picture_count - (o->picture_count < HELD_BACK ? 0 : o->picture_count / HELD_BACK);
    w.rows_a_picture = (WF_SAMPLE_ROWS + pictures - 1) / pictures;
    wf_status status = wf_calibrate_open(m, o, WF_F32, &model, &session, err);
    status = status == WF_OK ? look(&w, o, session, RANGES) : status;
    status = status == WF_OK ? choose_gains(&w, o) : status;
    status = status == WF_OK ? look(&w, o, session, HISTOGRAMS) : status;
    for (uint32_t i = 0; i < m->row_count && status == WF_OK; i++) {
        if (w.layers[i].channels != 0) {
            wf_int8_find_grids(&w.layers[i], m->int8[i].gain);
        }
    }
    status = status == WF_OK ? look(&w, o, session, TRIALS) : status;
    status = status == WF_OK ? choose_grids(&w, o) : status;
    wf_session_free(session);
    wf_model_free(model);
    return status == WF_OK ? wf_int8_fit(m, o, w.layers, max_loss, report, err) : status;
}
