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
    *out = (wf_map_reader){m, row, wf_map_stored_of(m, row, WF_F32), NULL, NULL, NULL};
    bool made = row->rewrite != NULL && row->rewrite->made;
    bool turned = !made && (row->kind == WF_MAP_INPUT_FIRST || row->kind == WF_MAP_DECONV);
    uint64_t whole = turned ? out->stored.rows * out->stored.k : 0;
    WF_TRY(wf_alloc_array(&memory, 2 * out->stored.k + whole, sizeof(double), row->source->name, err));
    out->exact = memory;
    out->source = out->exact + out->stored.k;
    if (!turned) {
        return WF_OK;
    }
    out->whole = out->source + out->stored.k;
    wf_status status = read_stacked(m, row, 0, whole, out->whole, err);
    if (status != WF_OK) {
        wf_free(memory);
    }
    return status;
}

/* Row i of a matrix whose source has the inputs as rows. */
static void read_column(const wf_map_reader *reader, uint64_t i, double *line) {
    const uint64_t k = reader->stored.k, *d = reader->row->source->dims;
    uint64_t at = i / k * k * k + i % k, step = k; /* INPUT_FIRST: squares, one below the other */
    if (reader->row->kind == WF_MAP_DECONV) {      /* row (cell, channel) of [in, channel, cell] */
        uint64_t cells = d[2] * d[3];
        at = i % d[1] * cells + i / d[1];
        step = d[1] * cells;
    }
    for (uint64_t c = 0; c < k; c++) {
        line[c] = reader->whole[at + c * step];
    }
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
            WF_TRY(read_stacked(m, r, c * s.rows + i, 1, line + c, err));
        }
        return WF_OK;
    }
    if (reader->whole != NULL) {
        read_column(reader, i, line);
        return WF_OK;
    }
    if (r->kind == WF_MAP_TILED) {
        WF_TRY(wf_source_read_f64(m->source, r->source, 0, d[0], reader->source, err));
        for (uint64_t c = 0; c < s.k; c++) {
            line[c] = reader->source[c % d[0]];
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

static double sum_of(const double *line, uint64_t k) {
    double sum = 0;
    for (uint64_t c = 0; c < k; c++) {
        sum += line[c];
    }
    return sum;
}

static void swap(double *a, double *b) {
    double was = *a;
    *a = *b;
    *b = was;
}

static void apply_columns(const struct wf_rewrite *w, uint64_t k, double *line) {
    for (uint64_t c = 0; c < k && w->gain != NULL; c++) {
        line[c] *= w->gain[c % w->channels];
    }
    for (uint64_t cell = 0; cell < k && w->drop_column != WF_NO_CHANNEL; cell += w->channels) {
        double dropped = line[cell + w->drop_column], sum = sum_of(line + cell, w->channels);
        for (uint64_t c = cell; c < cell + w->channels; c++) {
            line[c] -= dropped; /* the dropped column itself becomes zero */
        }
        line[cell + w->drop_column] = w->carry_column ? sum : 0;
        if (w->swap_column) {
            swap(line + cell + w->drop_column, line + cell + w->channels - 1);
        }
    }
}

/* A matrix's row i of k elements, or a whole bias or row of a table. */
static void apply_mean(const struct wf_rewrite *w, bool matrix, uint64_t i, uint64_t k, double *line) {
    double mean = w->centre ? sum_of(line, k) / (double)k : 0;
    bool dropped = w->drop_row != WF_NO_CHANNEL;
    if (matrix && dropped && i == w->drop_row) {
        for (uint64_t c = 0; c < k; c++) {
            line[c] = w->carry_row ? w->mean[c] : 0;
        }
        return;
    }
    for (uint64_t c = 0; c < k; c++) {
        line[c] -= w->mean != NULL ? w->mean[c] : mean;
    }
    if (!matrix && dropped) {
        line[w->drop_row] = w->carry_row ? mean : 0;
        if (w->carry_row) {
            swap(line + w->drop_row, line + k - 1);
        }
    }
}

/* The row of the source that becomes row i of a matrix. */
static uint64_t row_before(const struct wf_rewrite *w, bool matrix, uint64_t i, uint64_t rows) {
    if (w == NULL || !matrix || !w->carry_row) {
        return i;
    }
    return i == rows - 1 ? w->drop_row : i == w->drop_row ? rows - 1 : i;
}

/* A proof finds what is no number only where its own input leads there. */
static wf_status check_finite(const wf_map_reader *reader, const double *line, wf_error *err) {
    const char *name = reader->row->source->name;
    for (uint64_t c = 0; c < reader->stored.k; c++) {
        if (!(line[c] - line[c] == 0)) {
            return wf_fail(err, WF_E_FORMAT, name, -1, "tensor \"%s\" holds a number that is NaN or infinite: take a checkpoint from before "
                           "training went wrong", name);
        }
    }
    return WF_OK;
}

wf_status wf_map_read_rewritten(const wf_map_reader *reader, uint64_t i, double *line, wf_error *err) {
    const wf_map_row *r = reader->row;
    const struct wf_rewrite *w = r->rewrite;
    const wf_map_stored s = reader->stored;
    const bool matrix = wf_map_is_matrix(r), vector = wf_map_is_vector(r);
    i = row_before(w, matrix, i, s.rows);
    WF_TRY(wf_map_read_source(reader, i, line, err));
    WF_TRY(check_finite(reader, line, err));
    if (w == NULL) {
        return WF_OK;
    }
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
    apply_mean(w, matrix, i, s.k, line);
    return WF_OK;
}

wf_status wf_map_read_row(const wf_map_reader *r, uint64_t i, float *line, wf_error *err) {
    WF_TRY(wf_map_read_rewritten(r, i, r->exact, err));
    for (uint64_t c = 0; c < r->stored.k; c++) {
        line[c] = (float)r->exact[c];
    }
    return WF_OK;
}
