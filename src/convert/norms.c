/* Layer norms as RMS and CRMS norms: which may be replaced, and what that changes in the writers and readers of their streams. */
#include "base/alloc.h"
#include "convert/rewriter.h"

bool wf_norms_replaced(const wf_rewriter *p) { return p->o->norm != WF_CONVERT_NORM_KEEP; }

bool wf_norms_change(const wf_rewriter *p, uint32_t stream) { return wf_norms_replaced(p) && stream != WF_NONE && !p->keeps[stream]; }

static const char *option(const wf_rewriter *p) {
    static const char *const names[] = {"keep", "rms", "crms", "carry"};
    return names[p->o->norm];
}

/* WF_OK when this norm may be replaced, else an error that says why not. */
static wf_status check_norm(const wf_rewriter *p, const wf_stream_norm *norm, wf_error *err) {
    const char *kind = option(p);
    const wf_node *node = &p->streams.graph->nodes[norm->node];
    const wf_stream_info *stream = &p->streams.list[norm->stream];
    bool carry = p->o->norm == WF_CONVERT_NORM_CARRY;
    const char *why = carry ? stream->uncarried : stream->refusal;
    if (why != NULL) {
        bool mends = !carry && stream->uncarried == NULL && norm->unfoldable == NULL;
        return wf_fail(err, WF_E_UNSUPPORTED, node->name, -1, "--norm %s would not be exact for the norm \"%s\": %s; convert with --norm keep%s",
                       kind, node->name, why, mends ? " or --norm carry" : "");
    }
    if (p->o->norm != WF_CONVERT_NORM_RMS && norm->unfoldable != NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, node->name, -1, "--norm %s needs the norm \"%s\" folded into what reads it, but %s; use --norm %s",
                       kind, node->name, norm->unfoldable, stream->refusal == NULL ? "rms" : "keep");
    }
    if (node->p.norm_by != WF_BY_DEVIATION) {
        return wf_fail(err, WF_E_UNSUPPORTED, node->name, -1, "the norm \"%s\" takes no mean away already; there is nothing for --norm %s "
                       "to do", node->name, kind);
    }
    return WF_OK;
}

/* All are replaced or none; by stream where the architecture's metadata can say so. */
wf_status wf_norms_check(wf_rewriter *p, wf_error *err) {
    uint32_t layer_norms = 0, refused = 0;
    wf_error shown, why;
    wf_error_clear(&shown);
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        wf_error_clear(&why);
        layer_norms += p->streams.graph->nodes[norm->node].op == WF_OP_LAYER_NORM;
        if (check_norm(p, norm, &why) != WF_OK && !p->keeps[norm->stream]) {
            shown = refused++ == 0 || p->m->norms_by_stage ? why : shown; /* of a pyramid, the last stage's reason decides */
            p->keeps[norm->stream] = true;
            wf_map_note(p->m, "a stream keeps its norms: %s", why.text);
        }
    }
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        if (wf_norms_change(p, p->streams.norms[i].stream)) {
            wf_map_list_add(p->m, &p->m->change.replaced, p->streams.graph->nodes[p->streams.norms[i].node].name);
        }
    }
    if (refused != 0 && (!p->m->norms_by_stage || p->m->change.replaced.count == 0)) {
        *err = shown;
        return err->code;
    }
    if (layer_norms == 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, "convert", -1, "the model has no layer norm that --norm %s could replace", option(p));
    }
    return p->m->status;
}

static wf_status centre_product(wf_rewriter *p, uint32_t row, wf_error *err) {
    const wf_map_row *r = &p->m->rows[row];
    struct wf_rewrite *w = wf_rewriter_recipe(p, row);
    wf_map_reader reader;
    WF_TRY(p->m->status);
    WF_TRY(wf_map_reader_open(&reader, p->m, r, err));
    const wf_map_stored s = reader.stored;
    double *mean = wf_arena_alloc(p->m->arena, (size_t)s.k * sizeof *mean);
    wf_status status = mean != NULL ? WF_OK : wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to centre \"%s\"", r->name);
    for (uint64_t i = 0; i < s.rows && status == WF_OK; i++) {
        status = wf_map_read_rewritten(&reader, i, reader.exact, err);
        for (uint64_t c = 0; c < s.k; c++) {
            mean[c] += reader.exact[c] / (double)s.rows;
        }
    }
    wf_map_reader_close(&reader);
    w->mean = mean;
    return status;
}

static wf_status centre_writer(wf_rewriter *p, const wf_stream_writer *w, wf_error *err) {
    uint32_t row = wf_rewriter_matrix(p, w->node), drop = p->drop[w->stream];
    bool carry = p->o->norm == WF_CONVERT_NORM_CARRY;
    if (w->table) {
        struct wf_rewrite *table = wf_rewriter_recipe(p, row);
        WF_TRY(p->m->status);
        table->centre = true;
        table->drop_row = drop;
        table->carry_row = carry;
        return WF_OK;
    }
    WF_TRY(centre_product(p, row, err));
    p->recipe[row]->drop_row = drop;
    p->recipe[row]->carry_row = carry;
    if (w->bias != WF_NONE || p->made[row].name != NULL) { /* a fold may have made the bias */
        struct wf_rewrite *bias = w->bias != WF_NONE ? wf_rewriter_recipe(p, wf_rewriter_row(p, wf_rewriter_weight(p, w->bias))) : p->made_recipe[row];
        WF_TRY(p->m->status);
        bias->centre = true;
        bias->drop_row = drop;
        bias->carry_row = carry;
    }
    return WF_OK;
}

/* Readers of a stream without channel `drop`: the norm's value there is minus the sum of the others; of a raw reader's input the mean
   is there, which all channels had. */
static wf_status drop_from_reader(wf_rewriter *p, wf_id reader, uint32_t stream, bool raw) {
    struct wf_rewrite *w = wf_rewriter_recipe(p, wf_rewriter_matrix(p, reader));
    WF_TRY(p->m->status);
    w->channels = p->streams.list[stream].channels;
    w->drop_column = p->drop[stream];
    w->carry_column = raw;
    w->swap_column = p->o->norm == WF_CONVERT_NORM_CARRY;
    return WF_OK;
}

static wf_status drop_from_readers(wf_rewriter *p) {
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        for (uint32_t r = 0; r < norm->reader_count && wf_norms_change(p, norm->stream); r++) {
            WF_TRY(drop_from_reader(p, norm->readers[r], norm->stream, false));
        }
    }
    for (uint32_t i = 0; i < p->streams.raw_count; i++) {
        const wf_stream_raw *raw = &p->streams.raw[i];
        WF_TRY(wf_norms_change(p, raw->stream) ? drop_from_reader(p, raw->node, raw->stream, true) : WF_OK);
    }
    return WF_OK;
}

static wf_status choose_channel(wf_rewriter *p, uint32_t stream, wf_error *err) {
    uint32_t count = 0, *readers = wf_arena_alloc(p->m->arena, (p->m->row_count + 1) * sizeof *readers);
    if (readers == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory to rewrite norms");
    }
    for (uint32_t i = 0; i < p->streams.norm_count; i++) {
        const wf_stream_norm *norm = &p->streams.norms[i];
        for (uint32_t r = 0; r < norm->reader_count && norm->stream == stream; r++) {
            readers[count++] = wf_rewriter_matrix(p, norm->readers[r]);
        }
    }
    for (uint32_t i = 0; i < p->streams.raw_count; i++) {
        if (p->streams.raw[i].stream == stream) {
            readers[count++] = wf_rewriter_matrix(p, p->streams.raw[i].node);
        }
    }
    uint32_t channels = p->streams.list[stream].channels;
    WF_TRY(wf_choose_channel(p->m, readers, count, channels, p->o->type, &p->drop[stream], err));
    wf_map_note(p->m, p->o->norm == WF_CONVERT_NORM_CARRY ? "a mean is carried instead of channel %u of %u" : "channel %u of %u is not stored",
                p->drop[stream], channels);
    return WF_OK;
}

wf_status wf_norms_replace(wf_rewriter *p, wf_error *err) {
    static const char *const kinds[] = {NULL, "rms_norm", "crms_norm", "carried_norm"};
    for (uint32_t i = 0; i < p->streams.count; i++) {
        p->drop[i] = WF_NO_CHANNEL;
        if (p->o->norm != WF_CONVERT_NORM_RMS && wf_norms_change(p, i)) {
            WF_TRY(choose_channel(p, i, err));
        }
    }
    if (p->o->norm != WF_CONVERT_NORM_RMS) {
        WF_TRY(drop_from_readers(p));
    }
    for (uint32_t i = 0; i < p->streams.writer_count; i++) {
        WF_TRY(wf_norms_change(p, p->streams.writers[i].stream) ? centre_writer(p, &p->streams.writers[i], err) : WF_OK);
    }
    p->m->change.norm = kinds[p->o->norm];
    return p->m->status;
}
