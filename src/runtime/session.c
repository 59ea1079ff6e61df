/* A session: plans for the shape classes that it has seen, one block of memory for activations, one run at a time. */
#include <string.h>

#include "base/alloc.h"
#include "base/print.h"
#include "runtime/model.h"

enum { KEPT_PLANS = 4 };

typedef struct cached_plan {
    wf_input_class in;
    wf_plan plan;
    wf_arena arena; /* names and aliases of the plan's graph */
    uint64_t last_used;
    bool used;
} cached_plan;

struct wf_session {
    wf_model *model;
    wf_arena arena;
    const char **kept;
    uint32_t kept_count;
    const wf_tap **taps;
    cached_plan plans[KEPT_PLANS];
    cached_plan *current;
    uint64_t clock;
    void *memory;
    uint64_t memory_bytes;
    wf_exec exec;
    wf_observe observe;
    void *observer;
    bool running, done, checked; /* checked: the input of this run */
};

void wf_session_observe(wf_session *s, wf_observe observe, void *observer) {
    s->observe = observe;
    s->observer = observer;
}

static wf_status unknown_tap(const wf_model *m, const char *name, wf_error *err) {
    char list[400];
    size_t at = 0;
    list[0] = '\0';
    for (uint32_t i = 0; i < m->tap_count && at + 60 < sizeof list; i++) {
        at += (size_t)wf_print(list + at, sizeof list - at, "%s%.48s", i != 0 ? ", " : "", m->taps[i].source);
    }
    return wf_fail(err, WF_E_ARGUMENT, name, -1, "there is no tap \"%s\"; %s has %u: %s", name, m->file_name, m->tap_count, list);
}

static wf_status choose_taps(wf_session *s, const char *const *names, uint32_t count, wf_error *err) {
    wf_model *m = s->model;
    bool all = count == 1 && strcmp(names[0], "all") == 0;
    uint32_t wanted = all ? m->tap_count : count;
    s->taps = wf_arena_alloc(&s->arena, (wanted + 1) * sizeof *s->taps);
    s->kept = wf_arena_alloc(&s->arena, (wanted + 1) * sizeof *s->kept);
    if (s->taps == NULL || s->kept == NULL) {
        return wf_fail(err, WF_E_MEMORY, "taps", -1, "no memory for the taps");
    }
    for (uint32_t i = 0; i < wanted; i++) {
        const char *name = all ? m->taps[i].source : names[i];
        name += strncmp(name, "act/", 4) == 0 ? 4 : 0;
        for (uint32_t j = 0; j < m->tap_count && s->taps[i] == NULL; j++) {
            s->taps[i] = strcmp(m->taps[j].source, name) == 0 ? &m->taps[j] : NULL;
        }
        if (s->taps[i] == NULL) {
            return unknown_tap(m, name, err);
        }
        s->kept[i] = s->taps[i]->node;
    }
    s->kept_count = wanted;
    return WF_OK;
}

wf_status wf_session_create(wf_model *m, const char *const *taps, uint32_t tap_count, wf_session **out, wf_error *err) {
    *out = NULL;
    if (!wf_model_has_header(m)) {
        return wf_fail(err, WF_E_STATE, "session", -1, "a session needs a model whose header has arrived");
    }
    wf_session *s = wf_alloc_zero(sizeof *s);
    if (s == NULL) {
        return wf_fail(err, WF_E_MEMORY, "session", -1, "no memory for a session");
    }
    s->model = m;
    wf_arena_init(&s->arena);
    wf_status status = choose_taps(s, taps, tap_count, err);
    if (status != WF_OK) {
        wf_session_free(s);
        return status;
    }
    *out = s;
    return WF_OK;
}

static void drop_plan(cached_plan *c) {
    if (c->used) {
        wf_plan_free(&c->plan);
        wf_arena_free(&c->arena);
    }
    memset(c, 0, sizeof *c);
}

void wf_session_free(wf_session *s) {
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < KEPT_PLANS; i++) {
        drop_plan(&s->plans[i]);
    }
    wf_arena_free(&s->arena);
    wf_free(s->memory);
    wf_free(s);
}

static wf_status make_plan(wf_session *s, cached_plan *c, const wf_input_class *in, wf_error *err) {
    drop_plan(c);
    wf_arena_init(&c->arena);
    wf_status status = wf_model_plan(s->model, &c->arena, in, s->kept, s->kept_count, &c->plan, err);
    if (status != WF_OK) {
        wf_arena_free(&c->arena);
        return status;
    }
    c->in = *in;
    c->used = true;
    return WF_OK;
}

static wf_status hold_memory(wf_session *s, uint64_t bytes, wf_error *err) {
    if (bytes > s->memory_bytes) {
        wf_free(s->memory);
        s->memory_bytes = 0;
        WF_TRY(wf_alloc_array(&s->memory, bytes, 1, "activations", err));
        s->memory_bytes = bytes;
    }
    return WF_OK;
}

wf_status wf_session_prepare(wf_session *s, uint32_t n, uint32_t h, uint32_t w, wf_error *err) {
    wf_input_class in = {n, h, w};
    if (n == 0 || h == 0 || w == 0) {
        return wf_fail(err, WF_E_SHAPE, "input", -1, "an input of %u × %u × %u has no elements", n, h, w);
    }
    s->running = s->done = false;
    cached_plan *oldest = &s->plans[0], *found = NULL;
    for (int i = 0; i < KEPT_PLANS; i++) {
        cached_plan *c = &s->plans[i];
        if (c->used && memcmp(&c->in, &in, sizeof in) == 0) {
            found = c;
        }
        oldest = c->last_used < oldest->last_used ? c : oldest;
    }
    s->current = NULL;
    if (found == NULL) {
        WF_TRY(make_plan(s, oldest, &in, err));
        found = oldest;
    }
    WF_TRY(hold_memory(s, found->plan.total_bytes, err));
    found->last_used = ++s->clock;
    s->current = found;
    wf_plan_bind(&found->plan, s->memory);
    return WF_OK;
}

void *wf_session_input(wf_session *s) {
    return s->current != NULL ? s->current->plan.calls[0].out.data : NULL; /* node 0 is the input */
}

uint64_t wf_session_input_elements(const wf_session *s) {
    return s->current != NULL ? wf_shape_elements(&s->current->plan.graph.nodes[0].shape) : 0;
}

/* Token ids are whole numbers below the vocabulary's size; rows of 8 bits would pass over what is no number. */
static wf_status check_input(const wf_session *s, wf_error *err) {
    const wf_input_spec *input = &s->model->input;
    const void *data = wf_session_input((wf_session *)s);
    const bool wide = s->current->plan.backend == WF_BACKEND_F64, ids = input->vocabulary != 0;
    uint64_t count = ids || wf_model_int8_rows(s->model) ? wf_session_input_elements(s) : 0;
    for (uint64_t i = 0; i < count; i++) {
        const double x = wide ? ((const double *)data)[i] : (double)((const float *)data)[i];
        if (!ids && !(x - x == 0)) {
            return wf_fail(err, WF_E_ARGUMENT, input->name, -1, "number %llu of the input is %g, which layers of 8 bits cannot take",
                           (unsigned long long)i, x);
        }
        if (ids && (!(x >= 0 && x < input->vocabulary) || x != (double)(uint32_t)x)) {
            return wf_fail(err, WF_E_ARGUMENT, input->name, -1,
                           "token %llu of sequence %llu has the id %g, but %s knows ids from 0 to %u: take ids of its own tokenizer",
                           (unsigned long long)(i % s->current->in.h), (unsigned long long)(i / s->current->in.h), x,
                           s->model->file_name, input->vocabulary - 1);
        }
    }
    return WF_OK;
}

wf_status wf_session_start(wf_session *s, wf_error *err) {
    if (s->current == NULL) {
        return wf_fail(err, WF_E_STATE, "session", -1, "choose the input's shape (prepare) before a run");
    }
    if (s->model->reserved) {
        wf_plan_bind(&s->current->plan, s->memory); /* weights may have been reserved since prepare */
    }
    wf_exec_start(&s->exec, &s->current->plan, s->model->pool);
    s->exec.observe = s->observe;
    s->exec.observer = s->observer;
    s->running = true;
    s->checked = false;
    s->done = false;
    return WF_OK;
}

wf_status wf_session_step(wf_session *s, uint64_t budget, wf_progress *progress, wf_error *err) {
    wf_model *m = s->model;
    if (m->error.code != WF_OK) {
        return wf_fail(err, m->error.code, m->error.where, m->error.offset, "%s", m->error.text);
    }
    if (s->done) {
        *progress = WF_DONE; /* a new run wants a new input, so it has to be asked for */
        return WF_OK;
    }
    if (!s->running) {
        WF_TRY(wf_session_start(s, err));
    }
    if (!m->reserved) {
        *progress = WF_NEED_BYTES;
        return WF_OK;
    }
    if (s->exec.cursor == 0) {
        WF_TRY(s->checked ? WF_OK : check_input(s, err)); /* once, however long weights are waited for */
        s->checked = true;
        wf_plan_bind(&s->current->plan, s->memory);
    }
    *progress = wf_exec_step(&s->exec, budget);
    if (*progress == WF_NEED_BYTES && m->complete) {
        return wf_fail(err, WF_E_TRUNCATED, m->file_name, -1, "%s has ended, but weights are missing", m->file_name);
    }
    if (*progress == WF_DONE && !wf_weights_are_trusted(&m->weights)) {
        *progress = WF_NEED_BYTES; /* computed, but no result leaves before the bytes that it used are verified */
    }
    s->done = *progress == WF_DONE;
    s->running = !s->done;
    return WF_OK;
}

double wf_session_fraction(const wf_session *s) {
    if (s->current == NULL || s->current->plan.graph.count == 0) {
        return 0;
    }
    return s->done ? 1.0 : s->running ? (double)s->exec.cursor / s->current->plan.graph.count : 0.0;
}

uint64_t wf_session_bytes(const wf_session *s) { return s->memory_bytes; }

const wf_plan *wf_session_plan(const wf_session *s) { return s->current != NULL ? &s->current->plan : NULL; }

uint32_t wf_session_cursor(const wf_session *s) {
    return s->current == NULL ? 0 : s->done ? s->current->plan.graph.count : s->running ? s->exec.cursor : 0;
}

uint32_t wf_session_output_count(const wf_session *s) {
    return s->current != NULL ? s->current->plan.graph.output_count + s->kept_count : 0;
}

/* The attention inside the mixer that a tap shows, "MIXER.heads". */
static const wf_op_params *window_of(const wf_graph *g, const char *mixer) {
    size_t n = strlen(mixer);
    for (uint32_t i = 0; i < g->count; i++) {
        if (strncmp(g->nodes[i].name, mixer, n) == 0 && strcmp(g->nodes[i].name + n, ".heads") == 0) {
            return &g->nodes[i].p;
        }
    }
    return NULL;
}

static wf_status find_reading(const wf_session *s, uint32_t index, wf_edge *edge, wf_id *node, wf_error *err) {
    if (index >= wf_session_output_count(s)) {
        return wf_fail(err, WF_E_ARGUMENT, "output", -1, "there is no output %u", index);
    }
    const wf_graph *g = &s->current->plan.graph;
    if (index < g->output_count) {
        *node = g->outputs[index].node;
        edge->order = g->outputs[index].order;
        edge->window = NULL;
    } else {
        const wf_tap *tap = s->taps[index - g->output_count];
        *node = wf_graph_find(g, tap->node);
        edge->order = tap->order;
        edge->window = strcmp(tap->order, "window") == 0 ? window_of(g, tap->node) : NULL;
    }
    edge->shape = &g->nodes[*node].shape;
    return WF_OK;
}

wf_status wf_session_output(const wf_session *s, uint32_t index, wf_output_info *out, wf_error *err) {
    wf_edge edge;
    wf_id node;
    WF_TRY(find_reading(s, index, &edge, &node, err));
    uint32_t own = s->current->plan.graph.output_count;
    out->is_tap = index >= own;
    out->name = index < own ? s->current->plan.graph.outputs[index].name : s->taps[index - own]->source;
    if (wf_edge_dims(&edge, &out->n_dims, out->dims) != WF_OK) {
        return wf_fail(err, WF_E_FORMAT, out->name, -1, "\"%s\" cannot be given in the order \"%s\" at this size", out->name, edge.order);
    }
    return WF_OK;
}

static wf_status read_output(const wf_session *s, uint32_t index, void *dst, bool dst_double, wf_error *err) {
    wf_edge edge;
    wf_id node;
    WF_TRY(find_reading(s, index, &edge, &node, err));
    if (!s->done) {
        return wf_fail(err, WF_E_STATE, "output", -1, "outputs can be read when the run is done");
    }
    const wf_plan *plan = &s->current->plan;
    wf_edge_read(plan->calls[node].out.data, plan->backend == WF_BACKEND_F64, &edge, dst, dst_double);
    return WF_OK;
}

wf_status wf_session_read_f32(const wf_session *s, uint32_t index, float *dst, wf_error *err) {
    return read_output(s, index, dst, false, err);
}

wf_status wf_session_read_f64(const wf_session *s, uint32_t index, double *dst, wf_error *err) {
    return read_output(s, index, dst, true, err);
}
