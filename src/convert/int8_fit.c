/* Keeps a calibrated model within its loss. All matrices begin as wf_int8_choose_static left them. Where the outputs on the pictures that
   were held back then differ by more than max_loss, those matrices whose products gain most from it get a step for each row, as few of
   them as are needed. How many that is, halving finds: each trial writes the model, runs it and measures, so that what is left has been
   measured and not predicted. What even steps for each row do not mend is left to whoever converts (--keep, --max-loss). */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "convert/calibrate.h"

enum { MOST_HELD_BACK = 64 };

typedef struct fit {
    wf_mapping *m;
    const wf_convert_options *o;
    const wf_layer_view *layers;
    wf_error *err;
    uint32_t pictures[MOST_HELD_BACK], count;
    uint64_t outputs; /* numbers that one picture gives */
    float *source;    /* [count, outputs] */
    float *now;       /* [outputs] */
    uint32_t *order;  /* map rows with static grids, the one that changes first in front */
    uint32_t length;
    wf_int8_input *grids; /* [length] of them */
} fit;

/* ---- measuring ---- */

/* Copies the outputs of the last run to `to`, or only counts them where that is NULL. */
static wf_status read_outputs(fit *f, wf_session *s, float *to, uint64_t *count) {
    wf_output_info info;
    *count = 0;
    for (uint32_t i = 0; i < wf_session_output_count(s); i++) {
        WF_TRY(wf_session_output(s, i, &info, f->err));
        if (to != NULL) {
            WF_TRY(wf_session_read_f32(s, i, to + *count, f->err));
        }
        uint64_t n = 1;
        for (uint32_t d = 0; d < info.n_dims; d++) {
            n *= info.dims[d];
        }
        *count += n;
    }
    return WF_OK;
}

static wf_status run_source(fit *f, wf_session *s) {
    for (uint32_t i = 0; i < f->count; i++) {
        uint64_t count;
        WF_TRY(wf_calibrate_run(f->m, f->o, s, f->pictures[i], f->err));
        if (f->source == NULL) {
            WF_TRY(read_outputs(f, s, NULL, &f->outputs));
            WF_TRY(wf_alloc_array((void **)&f->source, (f->count + 1) * f->outputs, sizeof(float), "the source's outputs", f->err));
            f->now = f->source + f->count * f->outputs;
        }
        WF_TRY(read_outputs(f, s, f->source + i * f->outputs, &count));
    }
    return WF_OK;
}

static wf_status compare(fit *f, wf_session *s, const char *phase, double *loss) {
    double difference = 0, size = 0;
    uint64_t count;
    for (uint32_t i = 0; i < f->count; i++) {
        const float *source = f->source + i * f->outputs;
        if (f->o->progress != NULL) {
            f->o->progress(f->o->user, phase, i, f->count);
        }
        WF_TRY(wf_calibrate_run(f->m, f->o, s, f->pictures[i], f->err));
        WF_TRY(read_outputs(f, s, f->now, &count));
        for (uint64_t j = 0; j < f->outputs; j++) {
            double d = (double)f->now[j] - (double)source[j];
            difference += d * d;
            size += (double)source[j] * (double)source[j];
        }
    }
    *loss = __builtin_sqrt(difference / (size > 0 ? size : 1));
    return WF_OK;
}

/* Runs the held back pictures through the source (loss NULL), or through what is written now, and compares. */
static wf_status run_model(fit *f, wf_dtype type, const char *phase, double *loss) {
    wf_model *model = NULL;
    wf_session *s = NULL;
    wf_status status = wf_calibrate_open(f->m, f->o, type, &model, &s, f->err);
    if (status == WF_OK) {
        status = loss == NULL ? run_source(f, s) : compare(f, s, phase, loss);
    }
    wf_session_free(s);
    wf_model_free(model);
    return status;
}

/* ---- changing ---- */

/* Squared relative errors of a chain add up: what is left of this matrix's when its input leaves the static grid. */
static double benefit(const fit *f, uint32_t row) {
    const double *loss = f->layers[row].loss;
    return loss[0] * loss[0] - loss[1] * loss[1];
}

static bool is_static(const fit *f, uint32_t row) { return f->layers[row].channels != 0 && f->m->int8[row].is_static; }

static void list_static(fit *f) {
    for (uint32_t i = 0; i < f->m->row_count; i++) {
        if (!is_static(f, i) || !(benefit(f, i) > 0)) {
            continue;
        }
        uint32_t at = f->length++;
        for (; at > 0 && benefit(f, f->order[at - 1]) < benefit(f, i); at--) {
            f->order[at] = f->order[at - 1];
        }
        f->order[at] = i;
    }
    for (uint32_t i = 0; i < f->length; i++) {
        f->grids[i] = f->m->int8[f->order[i]];
    }
}

/* The first `count` of the list get a step for each row, the others their grids. */
static void change_first(fit *f, uint32_t count) {
    for (uint32_t i = 0; i < f->length; i++) {
        wf_int8_input *in = &f->m->int8[f->order[i]];
        *in = f->grids[i];
        if (i < count) {
            *in = (wf_int8_input){.channels = in->channels};
        }
    }
}

static wf_status try_first(fit *f, uint32_t count, double *loss) {
    change_first(f, count);
    return run_model(f, WF_I8, "trying steps for each row", loss);
}

/* Changes as few as halving finds to be enough. Rounding is noise, so more steps by row may also lose more: where all of them are not
   enough, half of them may be. Where none of this is, all stay as they were. */
static wf_status narrow(fit *f, double max_loss, double *loss) {
    double trial = 0;
    list_static(f);
    uint32_t few = 0, enough = f->length;
    for (; enough > 0; enough /= 2) {
        WF_TRY(try_first(f, enough, &trial));
        if (trial <= max_loss) {
            *loss = trial;
            break;
        }
    }
    while (enough - few > 1 && enough > 0) {
        uint32_t middle = few + (enough - few) / 2;
        WF_TRY(try_first(f, middle, &trial));
        if (trial <= max_loss) {
            enough = middle;
            *loss = trial;
        } else {
            few = middle;
        }
    }
    change_first(f, enough);
    return WF_OK;
}

/* ---- saying ---- */

static wf_status report_layers(const fit *f) {
    for (uint32_t i = 0; i < f->m->row_count; i++) {
        f->m->int8[i].loss = f->layers[i].channels != 0 ? f->layers[i].loss[is_static(f, i) ? 0 : 1] : 0;
    }
    for (uint32_t i = 0; i < f->m->row_count && f->o->layer != NULL; i++) {
        const wf_map_row *r = &f->m->rows[i];
        const wf_layer_view *v = &f->layers[i];
        if (!wf_map_is_encoded(r)) {
            continue;
        }
        wf_convert_layer l = {r->name, wf_map_stored_of(f->m, r, WF_I8).type, NULL, 0, 0};
        if (l.type == WF_I8 && v->channels != 0) {
            bool fixed = is_static(f, i);
            l.input = fixed ? "static" : "by row";
            l.loss = f->m->int8[i].loss;
            l.static_loss = fixed ? 0 : v->loss[0];
        } else {
            WF_TRY(wf_emit_layer_loss(f->m, r, WF_I8, &l.loss, f->err));
        }
        f->o->layer(f->o->user, &l);
    }
    return WF_OK;
}

static void note_change(const fit *f, double before, double max_loss) {
    uint32_t all = 0, by_row = 0;
    char line[256];
    for (uint32_t i = 0; i < f->m->row_count; i++) {
        all += f->layers[i].channels != 0;
    }
    for (uint32_t i = 0; i < f->length; i++) {
        by_row += !f->m->int8[f->order[i]].is_static;
    }
    snprintf(line, sizeof line, "int8: with a static grid wherever one suits, the output would differ by %.2g, more than the %.2g allowed; the inputs of "
             "%u more of %u matrices get a step for each row", before, max_loss, (unsigned)by_row, (unsigned)all);
    if (f->o->note != NULL) {
        f->o->note(f->o->user, line);
    }
}

static wf_status run(fit *f, double max_loss, wf_convert_report *report) {
    WF_TRY(run_model(f, WF_F32, NULL, NULL));
    WF_TRY(run_model(f, WF_I8, "comparing", &report->loss));
    report->pictures = f->count;
    double before = report->loss;
    if (before < 1e300 && before > max_loss) {
        WF_TRY(narrow(f, max_loss, &report->loss));
        if (report->loss <= max_loss) {
            note_change(f, before, max_loss);
        }
    }
    return report->loss <= max_loss || !f->m->pairs ? report_layers(f) : WF_OK; /* or there will be another trial */
}

wf_status wf_int8_fit(wf_mapping *m, const wf_convert_options *o, const wf_layer_view *layers, double max_loss,
                      wf_convert_report *report, wf_error *err) {
    fit f = {.m = m, .o = o, .layers = layers, .err = err};
    uint32_t held = 0;
    for (uint32_t i = 0; i < o->picture_count; i++) {
        held += wf_calibrate_is_held_back(o, i);
    }
    const uint32_t wanted = held < MOST_HELD_BACK ? held : MOST_HELD_BACK; /* spread evenly over them: a folder may be in the order of classes */
    for (uint32_t i = 0, at = 0; i < o->picture_count; i++) {
        if (wf_calibrate_is_held_back(o, i) && (uint64_t)at++ * wanted / held >= f.count && f.count < wanted) {
            f.pictures[f.count++] = i;
        }
    }
    f.order = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *f.order);
    f.grids = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *f.grids);
    if (f.order == NULL || f.grids == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to weigh the matrices");
    }
    wf_status status = run(&f, max_loss, report);
    wf_free(f.source);
    return status;
}
