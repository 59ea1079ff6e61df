/* The recipes of rewrite.h, applied row by row. */
#include <string.h>

#include "base/alloc.h"
#include "convert/rewrite.h"

/* Elements first … first + count − 1 of the sources, one after the other. */
static wf_status read_stacked(const wf_mapping *m, const wf_map_row *r, uint64_t first, uint64_t count, double *line, wf_error *err) {
    const wf_source_tensor *t = r->source;
    for (uint32_t i = 0; count != 0; t = r->more[i++]) {
        uint64_t here = first < t->elements ? t->elements - first : 0;
        here = here < count ? here : count;
        if (here != 0) {
            WF_TRY(wf_source_read_f64(m->source, t, first, here, line, err));
            line += here;
            count -= here;
        }
        first = first > t->elements ? first - t->elements : 0;
    }
    return WF_OK;
}

/* Where stored row or element i comes from (wf_map_row.paired). */
static uint64_t unpaired(const wf_map_row *r, uint64_t i) {
    uint64_t n = r->paired;
    return n == 0 ? i : i / n * n + i % n % 2 * (n / 2) + i % n / 2;
}

static wf_status read_paired_vector(const wf_mapping *m, const wf_map_row *r, uint64_t k, double *line, wf_error *err) {
    for (uint64_t c = 0; c < k; c++) {
        WF_TRY(wf_source_read_f64(m->source, r->source, unpaired(r, c), 1, line + c, err));
    }
    return WF_OK;
}

wf_status wf_map_reader_open(wf_map_reader *out, const wf_mapping *m, const wf_map_row *row, wf_error *err) {
    void *memory;
    *out = (wf_map_reader){m, row, wf_map_stored_of(m, row, WF_F32), NULL, NULL};
    WF_TRY(wf_alloc_array(&memory, 2 * out->stored.k, sizeof(double), row->source->name, err));
    out->exact = memory;
    out->source = out->exact + out->stored.k;
    return WF_OK;
}

void wf_map_reader_close(wf_map_reader *r) { wf_free(r->exact); }

wf_status wf_map_read_source(const wf_map_reader *reader, uint64_t i, double *line, wf_error *err) {
    const wf_mapping *m = reader->m;
    const wf_map_row *r = reader->row;
    const wf_map_stored s = reader->stored;
    const uint64_t *d = r->source->dims;
    if (r->rewrite != NULL && r->rewrite->made) {
        memset(line, 0, s.k * sizeof *line);
        return WF_OK;
    }
    if (r->kind == WF_MAP_TABLE_CHW || r->kind == WF_MAP_DEPTHWISE) {
        for (uint64_t c = 0; c < s.k; c++) {
            WF_TRY(wf_source_read_f64(m->source, r->source, c * s.rows + i, 1, line + c, err));
        }
        return WF_OK;
    }
    if (r->kind == WF_MAP_VECTOR && r->paired != 0) {
        return read_paired_vector(m, r, s.k, line, err);
    }
    if (r->kind != WF_MAP_CONV) {
        return read_stacked(m, r, unpaired(r, i) * s.k, s.k, line, err);
    }
    WF_TRY(wf_source_read_f64(m->source, r->source, i * s.k, s.k, reader->source, err)); /* [in, kh, kw] */
    uint64_t cells = d[2] * d[3];
    for (uint64_t c = 0; c < d[1]; c++) {
        for (uint64_t cell = 0; cell < cells; cell++) {
            line[cell * d[1] + c] = reader->source[c * cells + cell];
        }
    }
    return WF_OK;
}

/* b + W · shift, W as in the source. */
static wf_status add_product(const wf_mapping *m, const struct wf_rewrite *w, double *line, wf_error *err) {
    wf_map_reader matrix;
    WF_TRY(wf_map_reader_open(&matrix, m, w->matrix, err));
    wf_status status = WF_OK;
    for (uint64_t o = 0; o < matrix.stored.rows && status == WF_OK; o++) {
        status = wf_map_read_source(&matrix, o, matrix.exact, err);
        for (uint64_t c = 0; c < matrix.stored.k; c++) {
            line[o] += matrix.exact[c] * w->shift[c % w->channels];
        }
    }
    wf_map_reader_close(&matrix);
    return status;
}

static void apply_columns(const struct wf_rewrite *w, uint64_t k, double *line) {
    for (uint64_t c = 0; c < k && w->gain != NULL; c++) {
        line[c] *= w->gain[c % w->channels];
    }
    for (uint64_t cell = 0; cell < k && w->drop_column != WF_NO_CHANNEL; cell += w->channels) {
        double dropped = line[cell + w->drop_column];
        for (uint64_t c = cell; c < cell + w->channels; c++) {
            line[c] -= dropped; /* the dropped column itself becomes zero */
        }
    }
}

static void centre(double *line, uint64_t k) {
    double sum = 0;
    for (uint64_t c = 0; c < k; c++) {
        sum += line[c];
    }
    for (uint64_t c = 0; c < k; c++) {
        line[c] -= sum / (double)k;
    }
}

wf_status wf_map_read_rewritten(const wf_map_reader *reader, uint64_t i, double *line, wf_error *err) {
    const wf_map_row *r = reader->row;
    const struct wf_rewrite *w = r->rewrite;
    const wf_map_stored s = reader->stored;
    WF_TRY(wf_map_read_source(reader, i, line, err));
    if (w == NULL) {
        return WF_OK;
    }
    bool matrix = r->kind == WF_MAP_LINEAR || r->kind == WF_MAP_CONV, vector = r->kind == WF_MAP_VECTOR;
    if (w->shift != NULL) {
        WF_TRY(add_product(reader->m, w, line, err));
    }
    if (matrix) {
        apply_columns(w, s.k, line);
    }
    for (uint64_t c = 0; c < s.k && w->scale != NULL; c++) {
        line[c] *= w->scale[vector ? c : i];
    }
    for (uint64_t c = 0; c < s.k && w->offset != NULL; c++) {
        line[c] += w->offset[c];
    }
    for (uint64_t c = 0; c < s.k && w->mean != NULL; c++) {
        line[c] -= w->mean[c];
    }
    if (w->centre) {
        centre(line, s.k);
    }
    if (w->drop_row != WF_NO_CHANNEL && matrix && i == w->drop_row) {
        memset(line, 0, s.k * sizeof *line);
    } else if (w->drop_row != WF_NO_CHANNEL && !matrix) {
        line[w->drop_row] = 0;
    }
    return WF_OK;
}

wf_status wf_map_read_row(const wf_map_reader *r, uint64_t i, float *line, wf_error *err) {
    WF_TRY(wf_map_read_rewritten(r, i, r->exact, err));
    for (uint64_t c = 0; c < r->stored.k; c++) {
        line[c] = (float)r->exact[c];
    }
    return WF_OK;
}
