/* The order of a conversion: read the config, recognise and map, account for every source tensor, measure, then write. */
#include "convert/convert.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "convert/mapping.h"
#include "convert/rewrite.h"

static const struct {
    const char *name;
    wf_dtype type;
    double max_loss;
} types[] = {{"f32", WF_F32, 5e-6}, {"f16", WF_F16, 2e-3}, {"q8_0", WF_Q8_0, 4e-2}, {"q4_0", WF_Q4_0, 2e-1},
             {"int8", WF_I8, 5e-2}};

bool wf_convert_type(const char *name, wf_dtype *out) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            *out = types[i].type;
            return true;
        }
    }
    return false;
}

static double default_max_loss(wf_dtype type) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].type == type) {
            return types[i].max_loss;
        }
    }
    return 0;
}

static const wf_map_function maps[] = {wf_map_gguf, wf_map_poolformer, wf_map_vit, wf_map_swin, wf_map_cswin, wf_map_pvt, wf_map_llama};

static wf_status recognise(wf_mapping *m) {
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        bool known;
        WF_TRY(maps[i](m, &known));
        if (known) {
            return WF_OK;
        }
    }
    const char *first = m->source->tensor_count > 0 ? m->source->tensors[0].name : "(none)";
    return wf_fail(m->err, WF_E_UNSUPPORTED, first, -1,
                   "no known architecture has these tensor names (the first of %llu is \"%s\"); this version converts PoolFormer, "
                   "MetaFormer, ViT, DeiT, Swin, CSwin, PVT and Llama checkpoints of sail-sg, SLAB, timm and Hugging Face", (unsigned long long)m->source->tensor_count, first);
}

/* Every source tensor is used, or named with the reason why it is not. */
static void account(wf_mapping *m) {
    for (uint64_t i = 0; i < m->source->tensor_count; i++) {
        const char *name = m->source->tensors[i].name;
        if (!m->used[i]) {
            const char *why = wf_map_left_over(m, name);
            wf_map_list_add(m, &m->left_out, wf_map_format(m, "%s: %s", name, why != NULL ? why : "no part of this model reads it"));
        }
    }
}

static void report_notes(const wf_mapping *m, const wf_convert_options *o) {
    char line[640];
    if (o->note == NULL) {
        return;
    }
    if (m->source->prefix_note != NULL) {
        snprintf(line, sizeof line, "state dict: %s", m->source->prefix_note);
        o->note(o->user, line);
    }
    for (uint32_t i = 0; i < m->assumptions.count; i++) {
        snprintf(line, sizeof line, "assumed: %s", m->assumptions.items[i]);
        o->note(o->user, line);
    }
    for (uint32_t i = 0; i < m->ignored.count; i++) {
        snprintf(line, sizeof line, "ignored: %s", m->ignored.items[i]);
        o->note(o->user, line);
    }
    for (uint32_t i = 0; i < m->notes.count; i++) {
        snprintf(line, sizeof line, "note: %s", m->notes.items[i]);
        o->note(o->user, line);
    }
    for (uint32_t i = 0; i < m->left_out.count; i++) {
        snprintf(line, sizeof line, "left out: %s", m->left_out.items[i]);
        o->note(o->user, line);
    }
}

/* Of calibrated matrices, the three whose products change most. */
static void worst_products(const wf_mapping *m, wf_layer_loss worst[WF_WORST_LAYERS]) {
    memset(worst, 0, WF_WORST_LAYERS * sizeof *worst);
    for (uint32_t i = 0; i < m->row_count; i++) {
        if (m->int8[i].channels != 0) {
            wf_layer_loss one = {m->rows[i].source->name, m->int8[i].loss};
            wf_emit_insert_worst(worst, one);
        }
    }
}

/* The refusal names the layers that suffer most: what the loss comes from, and what to keep wider. */
static wf_status refuse_loss(const wf_mapping *m, const wf_convert_options *o, const wf_convert_report *r, wf_error *err) {
    if (!(r->loss < 1e300)) {
        return wf_fail(err, WF_E_LOSS, "convert", -1,
                       "the model's output is no finite number, though all weights of %s are: its sums overflow; "
                       "take a checkpoint from before training went wrong", o->source_name);
    }
    wf_layer_loss worst[WF_WORST_LAYERS];
    char list[3 * 96] = "";
    const bool calibrated = m->int8 != NULL;
    if (calibrated) {
        worst_products(m, worst);
    } else {
        WF_TRY(wf_emit_worst(m, o->type, worst, err));
    }
    for (int i = 0; i < WF_WORST_LAYERS && worst[i].name != NULL; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%.64s (%.2g)", i == 0 ? "" : ", ", worst[i].name, worst[i].loss);
    }
    return wf_fail(err, WF_E_LOSS, "convert", -1,
                   "stored as %s the model's output differs from the source by %.3g (relative), more than --max-loss %.3g; the %s "
                   "that change most are %s: %schoose a wider type or allow the loss",
                   wf_dtype_get(o->type)->name, r->loss, r->max_loss, calibrated ? "products" : "weights", list[0] != '\0' ? list : "none",
                   calibrated ? "leave such matrices in f16 (--keep), convert without pictures, " : "");
}

/* What the self-test reads: a picture, or so many tokens that their logits stay small beside the weights. */
static wf_golden golden_of(const wf_mapping *m) {
    const wf_image_params *p = &m->image;
    uint32_t size = m->golden_size;
    if (m->vocabulary != 0) {
        uint32_t tokens = 65536 / m->vocabulary;
        tokens = tokens < 4 ? 4 : tokens > 32 ? 32 : tokens;
        return (wf_golden){.seed = 1, .n = 1, .c = 1, .h = tokens < m->context ? tokens : m->context, .w = 1, .vocabulary = m->vocabulary};
    }
    /* A norm over one or two numbers may be near zero by chance, and no error is small relative to that. */
    uint32_t n = m->classes == 1 || m->classes == 2 ? 4 : 1;
    return (wf_golden){.seed = 1, .n = n, .c = m->channels, .h = size != 0 ? size : p->height, .w = size != 0 ? size : p->width,
                       .octaves = m->golden_octaves};
}

/* ---- I8 weights for CPUs that add two products in 16 bits ---- */

/* Weights of a net from which on its speed is worth it. In nets below, which a CPU runs in a moment, single roundings weigh more: the
   losses of tests/golden's went up by a third, at most to 2.7 times what they were. */
enum { PAIRS_FROM = 1 << 20 };

static bool may_pair(const wf_mapping *m, const wf_convert_options *o) {
    uint64_t weights = 0;
    for (uint32_t i = 0; i < m->row_count; i++) {
        const wf_map_stored s = wf_map_stored_of(m, &m->rows[i], WF_I8);
        weights += s.type == WF_I8 ? s.rows * s.k : 0;
    }
    return o->type == WF_I8 && weights >= PAIRS_FROM;
}

/* Where the architecture is llama.cpp's, rows are not padded to whole blocks (wf_map_stored_of). */
static void note_halves(const wf_mapping *m, const wf_convert_options *o) {
    uint32_t halves = 0, all = 0;
    char line[160];
    for (uint32_t i = 0; i < m->row_count; i++) {
        const bool matrix = wf_map_is_encoded(&m->rows[i]);
        all += matrix;
        halves += matrix && m->unpadded && !wf_map_is_kept(m, &m->rows[i]) && wf_map_stored_of(m, &m->rows[i], o->type).type == WF_F16;
    }
    if (halves > 0 && o->type != WF_F16 && o->note != NULL) {
        snprintf(line, sizeof line, "note: %u of %u matrices are stored as F16: their rows are no multiple of %u, a block of %s", (unsigned)halves,
                 (unsigned)all, (unsigned)wf_dtype_get(o->type)->block, wf_dtype_get(o->type)->name);
        o->note(o->user, line);
    }
}

/* Chooses what the type leaves to choose, and measures what it costs. */
static wf_status measure(wf_mapping *m, const wf_convert_options *o, wf_golden *golden, wf_convert_report *report, wf_error *err) {
    const bool pictures = o->type == WF_I8 && o->picture_count > 0;
    if (pictures) {
        WF_TRY(wf_calibrate(m, o, report->max_loss, report, err));
    }
    WF_TRY(wf_prove(m, o, golden, err));
    report->loss = pictures ? report->loss : golden->loss;
    return WF_OK;
}

/* With pairs where the loss stays within what is allowed. */
static wf_status measure_types(wf_mapping *m, const wf_convert_options *o, wf_golden *golden, wf_convert_report *report, wf_error *err) {
    m->pairs = may_pair(m, o);
    WF_TRY(measure(m, o, golden, report, err));
    if (m->pairs && !(report->loss <= report->max_loss)) {
        char line[256];
        snprintf(line, sizeof line, "int8: weights for CPUs that add products in 16 bits would lose more than the %.2g allowed; they have all 8 bits "
                 "instead, and such CPUs take a third longer", report->max_loss);
        m->pairs = false;
        WF_TRY(measure(m, o, golden, report, err));
        if (o->note != NULL && report->loss <= report->max_loss) {
            o->note(o->user, line);
        }
    }
    return m->int8 == NULL && o->type != WF_F32 ? wf_emit_layers(m, o, err) : WF_OK;
}

static wf_status convert(wf_mapping *m, const wf_convert_options *o, wf_byte_sink out, wf_golden *golden,
                         wf_convert_report *report, wf_error *err) {
    if (m->source->gguf != NULL && o->norm == WF_CONVERT_NORM_KEEP && !o->fold && o->type == WF_F32) {
        return wf_fail(err, WF_E_ARGUMENT, "convert", -1, "%s is a GGUF file, which needs no conversion: run it as it is, or say what to "
                       "change (--type, --norm, --fold)", o->source_name);
    }
    WF_TRY(wf_map_read_config(m, o));
    m->used = wf_arena_alloc(m->arena, (size_t)m->source->tensor_count + 1);
    if (m->used == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory for the map of the checkpoint");
    }
    WF_TRY(recognise(m));
    if (m->source->gguf == NULL) {
        wf_map_labels(m);
    }
    wf_map_name_ignored(m);
    account(m);
    WF_TRY(m->status);
    report->used_tensors = m->source->tensor_count - m->left_out.count;
    m->keep = o->keep;
    WF_TRY(wf_map_check_keep(m, err));
    *golden = golden_of(m);
    if (o->norm != WF_CONVERT_NORM_KEEP || o->fold) {
        WF_TRY(wf_prove_source(m, o, golden, err));
        WF_TRY(wf_rewrite(m, o, err));
        WF_TRY(wf_prove_rewrite(m, o, golden, err));
    }
    report_notes(m, o);
    note_halves(m, o);
    report->max_loss = o->max_loss >= 0 ? o->max_loss : default_max_loss(o->type);
    bool pictures = o->type == WF_I8 && o->picture_count > 0;
    if (pictures && m->vocabulary != 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, "convert", -1, "--calibrate looks at pictures, but this model reads tokens: convert without it");
    }
    if (pictures && m->channels != 3) {
        return wf_fail(err, WF_E_UNSUPPORTED, "convert", -1, "--calibrate looks at colour pictures, but the input of this model has %u "
                       "channels: convert without it", m->channels);
    }
    WF_TRY(measure_types(m, o, golden, report, err));
    snprintf(report->architecture, sizeof report->architecture, "%s", m->architecture);
    report->source_tensors = m->source->tensor_count;
    report->written_tensors = m->row_count;
    report->left_out = m->left_out.count;
    if (!(report->loss <= report->max_loss)) {
        return refuse_loss(m, o, report, err);
    }
    return wf_emit(m, o, o->type, golden, out, &report->bytes, err);
}

wf_status wf_convert(const wf_source *source, const wf_convert_options *o, wf_byte_sink out, wf_convert_report *report, wf_error *err) {
    wf_arena arena;
    wf_mapping m;
    wf_golden golden;
    wf_arena_init(&arena);
    memset(&m, 0, sizeof m);
    memset(&golden, 0, sizeof golden);
    memset(report, 0, sizeof *report);
    m.arena = &arena;
    m.source = source;
    m.err = err;
    wf_status status = convert(&m, o, out, &golden, report, err);
    wf_golden_free(&golden);
    wf_arena_free(&arena);
    return status;
}
