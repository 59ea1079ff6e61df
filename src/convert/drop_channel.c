/* Which channel of a residual stream is best left out. All choices are the same function; what differs is how well the weights of
   the readers, every column minus the dropped one, can be quantized. Dropping a small column changes the others least (measured on
   ViT-Ti/16 in the README of this folder), so the smallest ones and the last (the paper's choice) are tried on the weights. */
#include <string.h>

#include "base/alloc.h"
#include "convert/rewrite.h"

enum { CANDIDATES = 4 };

typedef struct trial {
    const wf_mapping *m;
    const uint32_t *readers; /* rows of the map */
    uint32_t count, channels;
    wf_dtype type;
    float *plain, *back; /* [k] */
    void *encoded;
} trial;

/* Squared length of each column. */
static wf_status measure_columns(const trial *t, const wf_map_reader *reader, double *size, wf_error *err) {
    for (uint64_t i = 0; i < reader->stored.rows; i++) {
        WF_TRY(wf_map_read_rewritten(reader, i, reader->exact, err));
        for (uint64_t c = 0; c < reader->stored.k; c++) {
            size[c % t->channels] += reader->exact[c] * reader->exact[c];
        }
    }
    return WF_OK;
}

/* The squared error that the type makes of W' = W[:, c] − W[:, drop], relative to W: W' may be far larger, but what is computed is as
   large as before. */
static wf_status measure_loss(const trial *t, const wf_map_reader *reader, uint32_t drop, double *loss, wf_error *err) {
    const wf_dtype_info *type = wf_dtype_get(t->type);
    const wf_map_stored s = wf_map_stored_of(t->m, reader->row, t->type);
    const double *line = reader->exact;
    double wrong = 0, all = 0;
    for (uint64_t i = 0; i < s.rows; i++) {
        WF_TRY(wf_map_read_rewritten(reader, i, reader->exact, err));
        memset(t->plain, 0, s.stored_k * sizeof *t->plain);
        for (uint64_t c = 0; c < s.k; c++) {
            t->plain[c] = (float)(line[c] - line[c - c % t->channels + drop]);
        }
        float step = 1;
        if (t->type == WF_I8) {
            step = wf_int8_encode(t->plain, s.k, t->m->pairs, t->encoded);
        } else {
            type->encode(t->plain, t->encoded, s.stored_k);
        }
        type->decode(t->encoded, t->back, s.stored_k);
        for (uint64_t c = 0; c < s.k; c++) {
            double d = (double)t->back[c] * step - (double)t->plain[c];
            wrong += d * d;
            all += line[c] * line[c];
        }
    }
    *loss += all > 0 ? wrong / all : 0;
    return WF_OK;
}

/* Over all readers: adds to size[channels], or, where size is NULL, the loss of dropping `drop` to *loss. */
static wf_status measure(const trial *t, double *size, uint32_t drop, double *loss, wf_error *err) {
    wf_status status = WF_OK;
    for (uint32_t r = 0; r < t->count && status == WF_OK; r++) {
        wf_map_reader reader;
        WF_TRY(wf_map_reader_open(&reader, t->m, &t->m->rows[t->readers[r]], err));
        status = size != NULL ? measure_columns(t, &reader, size, err) : measure_loss(t, &reader, drop, loss, err);
        wf_map_reader_close(&reader);
    }
    return status;
}

static wf_status choose(const trial *t, double *size, uint32_t *channel, wf_error *err) {
    uint32_t candidates[CANDIDATES] = {t->channels - 1};
    double best = -1;
    WF_TRY(measure(t, size, 0, NULL, err));
    for (uint32_t n = 1; n < CANDIDATES; n++) { /* the smallest ones, each once */
        candidates[n] = t->channels - 1;
        for (uint32_t c = 0; c < t->channels; c++) {
            bool taken = false;
            for (uint32_t k = 1; k < n; k++) {
                taken |= candidates[k] == c;
            }
            if (!taken && size[c] < size[candidates[n]]) {
                candidates[n] = c;
            }
        }
    }
    for (uint32_t n = 0; n < CANDIDATES; n++) {
        double loss = 0;
        WF_TRY(measure(t, NULL, candidates[n], &loss, err));
        if (best < 0 || loss < best) {
            best = loss;
            *channel = candidates[n];
        }
    }
    return WF_OK;
}

wf_status wf_choose_channel(const wf_mapping *m, const uint32_t *readers, uint32_t count, uint32_t channels, wf_dtype type,
                            uint32_t *channel, wf_error *err) {
    uint64_t k = channels;
    void *memory;
    *channel = channels - 1;
    if (type != WF_I8 && wf_dtype_get(type)->block == 1) {
        return WF_OK; /* floats lose nothing that depends on the choice */
    }
    for (uint32_t r = 0; r < count; r++) {
        const wf_map_stored s = wf_map_stored_of(m, &m->rows[readers[r]], type);
        k = s.stored_k > k ? s.stored_k : k;
    }
    WF_TRY(wf_alloc_array(&memory, channels + 2 * k, sizeof(double), "the choice of a channel", err)); /* encoded rows are shorter than doubles */
    trial t = {m, readers, count, channels, type, NULL, NULL, NULL};
    t.plain = (float *)((double *)memory + channels);
    t.back = t.plain + k;
    t.encoded = t.back + k;
    wf_status status = choose(&t, memory, channel, err);
    wf_free(memory);
    return status;
}
