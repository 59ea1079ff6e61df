/* Keeps a calibrated model within its loss. All matrices begin as wf_int8_choose_static left them; where the outputs on the pictures
   that were held back then differ by more than max_loss, the matrices that gain most from it on their samples take a step for each
   row, as few as are needed, and where all of them are not enough, those that lose most stay F16. How many are needed is found by
   halving: each probe writes the model, runs it and measures, so what is left has been measured and not predicted. */
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
    float *source; /* [count, outputs] */
    float *now;    /* [outputs] */
    uint64_t outputs;
    uint32_t *order; /* map rows, the one that changes first in front */
    uint32_t length;
    uint32_t probes;
} fit;

/* ---- measuring ---- */

static wf_status count_outputs(fit *f, wf_session *s) {
    wf_output_info info;
    f->outputs = 0;
    for (uint32_t i = 0; i < wf_session_output_count(s); i++) {
        WF_TRY(wf_session_output(s, i, &info, f->err));
        uint64_t n = 1;
        for (uint32_t d = 0; d < info.n_dims; d++) {
            n *= info.dims[d];
        }
        f->outputs += n;
    }
    return WF_OK;
}

static wf_status read_outputs(fit *f, wf_session *s, float *to) {
    wf_output_info info;
    for (uint32_t i = 0; i < wf_session_output_count(s); i++) {
        WF_TRY(wf_session_output(s, i, &info, f->err));
        WF_TRY(wf_session_read_f32(s, i, to, f->err));
        uint64_t n = 1;
        for (uint32_t d = 0; d < info.n_dims; d++) {
            n *= info.dims[d];
        }
        to += n;
    }
    return WF_OK;
}

static wf_status run_source(fit *f, wf_session *s) {
    for (uint32_t i = 0; i < f->count; i++) {
        WF_TRY(wf_calibrate_run(f->m, f->o, s, f->pictures[i], f->err));
        if (f->source == NULL) {
            void *memory;
            WF_TRY(count_outputs(f, s));
            WF_TRY(wf_alloc_array(&memory, (uint64_t)(f->count + 1) * f->outputs, sizeof(float), "the source's outputs", f->err));
            f->source = memory;
            f->now = f->source + f->count * f->outputs;
        }
        WF_TRY(read_outputs(f, s, f->source + i * f->outputs));
    }
    return WF_OK;
}

static wf_status compare(fit *f, wf_session *s, double *loss) {
    double difference = 0, size = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        const float *source = f->source + i * f->outputs;
        if (f->o->progress != NULL) {
            f->o->progress(f->o->user, f->probes == 0 ? "comparing" : "narrowing the loss", i, f->count);
        }
        WF_TRY(wf_calibrate_run(f->m, f->o, s, f->pictures[i], f->err));
        WF_TRY(read_outputs(f, s, f->now));
        for (uint64_t j = 0; j < f->outputs; j++) {
            double d = (double)f->now[j] - (double)source[j];
            difference += d * d;
            size += (double)source[j] * (double)source[j];
        }
    }
    *loss = __builtin_sqrt(difference / (size > 0 ? size : 1));
    return WF_OK;
}

static wf_status with_model(fit *f, wf_dtype type, double *loss /* NULL: of the source */) {
    wf_model *model = NULL;
    wf_session *s = NULL;
    wf_status status = wf_calibrate_open(f->m, f->o, type, &model, &s, f->err);
    if (status == WF_OK) {
        status = loss == NULL ? run_source(f, s) : compare(f, s, loss);
    }
    wf_session_free(s);
    wf_model_free(model);
    return status;
}

/* ---- changing ---- */

static bool is_static(const fit *f, uint32_t row) { return f->layers[row].channels != 0 && f->m->int8[row].is_static; }

/* What leaving it static, or leaving it int8, costs: squared relative errors add up. */
static double benefit(const fit *f, uint32_t row, bool wide) {
    const double *loss = f->layers[row].loss;
    return wide ? loss[1] * loss[1] : loss[0] * loss[0] - loss[1] * loss[1];
}

static void list_rows(fit *f, bool wide) {
    f->length = 0;
    for (uint32_t i = 0; i < f->m->row_count; i++) {
        if (f->layers[i].channels == 0 || (!wide && !is_static(f, i))) {
            continue;
        }
        uint32_t at = f->length++;
        for (; at > 0 && benefit(f, f->order[at - 1], wide) < benefit(f, i, wide); at--) {
            f->order[at] = f->order[at - 1];
        }
        f->order[at] = i;
    }
}

static void change_first(fit *f, uint32_t count, bool wide) {
    for (uint32_t i = 0; i < f->length; i++) {
        if (wide) {
            f->m->rows[f->order[i]].wide = i < count;
        } else {
            f->m->int8[f->order[i]].is_static = i >= count;
        }
    }
}

static wf_status probe(fit *f, uint32_t count, bool wide, double *loss) {
    change_first(f, count, wide);
    f->probes++;
    return with_model(f, WF_I8, loss);
}

/* The least number of changes that is enough, as far as halving finds it; all of them when even those are not. */
static wf_status narrow(fit *f, bool wide, double max_loss, double *loss) {
    double trial;
    list_rows(f, wide);
    uint32_t low = 0, high = f->length;
    WF_TRY(probe(f, high, wide, loss));
    if (!(*loss <= max_loss)) {
        return WF_OK;
    }
    while (high - low > 1) { /* `high` is enough, `low` is not */
        uint32_t middle = low + (high - low) / 2;
        WF_TRY(probe(f, middle, wide, &trial));
        if (trial <= max_loss) {
            high = middle;
            *loss = trial;
        } else {
            low = middle;
        }
    }
    change_first(f, high, wide);
    return WF_OK;
}

/* ---- saying ---- */

static wf_status report_layers(const fit *f) {
    for (uint32_t i = 0; i < f->m->row_count && f->o->layer != NULL; i++) {
        const wf_map_row *r = &f->m->rows[i];
        const wf_layer_view *v = &f->layers[i];
        if (r->kind != WF_MAP_LINEAR && r->kind != WF_MAP_CONV) {
            continue;
        }
        bool fixed = is_static(f, i);
        wf_convert_layer l = {r->name, wf_map_stored_of(f->m, r, WF_I8).type, NULL, v->loss[!fixed], fixed ? 0 : v->loss[0]};
        if (l.type == WF_I8) {
            l.input = fixed ? "static" : "by row";
        }
        if (l.type != WF_I8 || v->channels == 0) {
            WF_TRY(wf_emit_layer_loss(f->m, r, WF_I8, &l.loss, f->err));
        }
        f->o->layer(f->o->user, &l);
    }
    return WF_OK;
}

static void note_changes(const fit *f, double before, double max_loss) {
    uint32_t all = 0, by_row = 0, wide = 0;
    char line[256];
    for (uint32_t i = 0; i < f->m->row_count; i++) {
        all += f->layers[i].channels != 0;
        wide += f->m->rows[i].wide;
        by_row += f->layers[i].channels != 0 && !f->m->rows[i].wide && !f->m->int8[i].is_static;
    }
    if (f->probes == 0 || f->o->note == NULL) {
        return;
    }
    int n = snprintf(line, sizeof line,
                     "int8: one grid for all rows would cost %.3g, more than the %.3g allowed; of %u matrices %u get a step for each row",
                     before, max_loss, all, by_row);
    if (wide != 0 && n > 0 && (size_t)n < sizeof line) {
        snprintf(line + n, sizeof line - (size_t)n, ", %u stay f16", wide);
    }
    f->o->note(f->o->user, line);
}

static wf_status run(fit *f, double max_loss, wf_convert_report *report) {
    double before;
    WF_TRY(with_model(f, WF_F32, NULL));
    WF_TRY(with_model(f, WF_I8, &before));
    report->loss = before;
    report->pictures = f->count;
    if (before < 1e300 && before > max_loss) {
        WF_TRY(narrow(f, false, max_loss, &report->loss));
        if (!(report->loss <= max_loss)) {
            WF_TRY(narrow(f, true, max_loss, &report->loss));
        }
    }
    note_changes(f, before, max_loss);
    return report_layers(f);
}

wf_status wf_int8_fit(wf_mapping *m, const wf_convert_options *o, const wf_layer_view *layers, double max_loss,
                      wf_convert_report *report, wf_error *err) {
    fit f = {.m = m, .o = o, .layers = layers, .err = err};
    for (uint32_t i = 0; i < o->picture_count && f.count < MOST_HELD_BACK; i++) {
        if (wf_calibrate_is_held_back(o, i)) {
            f.pictures[f.count++] = i;
        }
    }
    f.order = wf_arena_alloc(m->arena, (m->row_count + 1) * sizeof *f.order);
    if (f.order == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to weigh the matrices");
    }
    wf_status status = run(&f, max_loss, report);
    wf_free(f.source);
    return status;
}
