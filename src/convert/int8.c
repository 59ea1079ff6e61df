/* I8 matrices: integers of −127 … 127 with a step for each output channel, W[j, k] ≈ steps[j] · q[j, k], and the tensors beside them:
       X.weight.scale [out]   the steps
       X.in_scale, X.in_zero [1]   the grid of the input's bytes (absent: a step for each row at run time)
       X.in_gain [channels]   what the input is multiplied by before (absent: 1); the matrix has been divided by it
   A step is the one with the least squared error among a few that clip the largest weights, or leave room above them where neighbours
   are to fit together (wf_mapping.pairs). Also: which matrices stay F16. */
#include <string.h>

#include "base/alloc.h"
#include "convert/mapping.h"
#include "kernels/quantize.h"

static int8_t nearest(float x) {
    float v = x < 0 ? x - 0.5f : x + 0.5f;
    return (int8_t)(v >= 127.0f ? 127 : v > -127.0f ? (int)v : -127); /* NaN: −127 */
}

/* The integers of two neighbours. Parts of one sign that add up to more than `most` move to the nearest pair that fits. */
static bool encode_pair(float a, float b, float step, int32_t most, int8_t q[2]) {
    const int32_t x = nearest(a / step), y = nearest(b / step), size = (x < 0) == (y < 0) ? (x < 0 ? -x - y : x + y) : 0;
    const int32_t more = size > most ? size - most : 0, sign = x < 0 ? -1 : 1;
    q[0] = (int8_t)(x - sign * ((more + 1) / 2));
    q[1] = (int8_t)(y - sign * (more / 2));
    return more == 0;
}

/* Encodes a row; the squared error, and whether all pairs fitted. */
static double encode_row(const float *w, uint64_t k, float step, int32_t most, int8_t *q, bool *fits) {
    double sum = 0;
    *fits = true;
    for (uint64_t i = 0; i < k; i += 2) {
        int8_t pair[2];
        const bool whole = i + 1 < k;
        *fits &= encode_pair(w[i], whole ? w[i + 1] : 0, step, most, pair);
        for (uint64_t j = i; j < i + 1 + whole; j++) {
            double d = (double)w[j] - (double)step * pair[j - i];
            sum += d * d;
            q[j] = pair[j - i];
        }
    }
    return sum;
}

float wf_int8_encode(const float *w, uint64_t k, bool pairs, int8_t *q) {
    static const float parts[] = {0.8f, 0.85f, 0.9f, 0.925f, 0.95f, 0.975f, 1, 1.08f, 1.16f, 1.25f, 1.35f, 1.5f, 1.7f, 2};
    const int32_t most = pairs ? WF_PAIRS_MOST : 2 * 127;
    float largest = 0, step = 0;
    double best = 0;
    bool fits = false;
    for (uint64_t i = 0; i < k; i++) {
        float size = w[i] < 0 ? -w[i] : w[i];
        largest = size > largest && size <= 3e38f ? size : largest;
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && largest > 1e-36f && !(fits && parts[i] > 1); i++) {
        float candidate = largest * parts[i] / 127;
        double error = encode_row(w, k, candidate, most, q, &fits);
        if (i == 0 || error < best) {
            best = error;
            step = candidate;
        }
    }
    if (step > 0) {
        encode_row(w, k, step, most, q, &fits);
    } else {
        memset(q, 0, k);
    }
    return step;
}

wf_status wf_int8_matrix(const wf_mapping *m, uint32_t i, const wf_int8_input *in, int8_t *q, float *steps, wf_error *err) {
    const wf_map_row *r = &m->rows[i];
    const wf_map_stored s = wf_map_stored_of(m, r, WF_I8);
    void *memory;
    WF_TRY(wf_alloc_array(&memory, s.k, sizeof(float), r->name, err));
    float *line = memory;
    wf_map_reader reader;
    wf_status status = wf_map_reader_open(&reader, m, r, err);
    for (uint64_t row = 0; row < s.rows && status == WF_OK; row++) {
        status = wf_map_read_row(&reader, row, line, err);
        for (uint64_t k = 0; status == WF_OK && in != NULL && in->gain != NULL && k < s.k; k++) {
            line[k] /= in->gain[k % in->channels];
        }
        if (status == WF_OK) {
            steps[row] = wf_int8_encode(line, s.k, m->pairs, q + row * s.k);
        }
    }
    wf_map_reader_close(&reader);
    wf_free(memory);
    return status;
}

/* X.weight → X.suffix, a name that lives as long as the arena. */
static const char *beside(const wf_mapping *m, const char *weight, const char *suffix) {
    size_t n = strlen(weight), end = sizeof ".weight" - 1;
    n -= n > end && strcmp(weight + n - end, ".weight") == 0 ? end : 0;
    return wf_arena_format(m->arena, "%.*s.%s", (int)n, weight, suffix);
}

static const wf_int8_input *input_of(const wf_mapping *m, uint32_t i) {
    return m->int8 != NULL && m->int8[i].is_static ? &m->int8[i] : NULL;
}

wf_status wf_int8_declare(const wf_mapping *m, uint32_t i, wf_gguf_writer *w, wf_error *err) {
    const wf_map_row *r = &m->rows[i];
    const wf_map_stored s = wf_map_stored_of(m, r, WF_I8);
    const wf_int8_input *in = input_of(m, i);
    const uint64_t dims[2] = {s.k, s.rows}, one = 1;
    const char *const names[] = {wf_arena_format(m->arena, "%s.scale", r->name), beside(m, r->name, "in_scale"),
                                 beside(m, r->name, "in_zero"), beside(m, r->name, "in_gain")};
    for (int j = 0; j < 4; j++) {
        if (names[j] == NULL) {
            return wf_fail(err, WF_E_MEMORY, r->name, -1, "no memory for the names of tensors");
        }
    }
    WF_TRY(wf_gguf_add_tensor(w, names[0], WF_F32, 1, &dims[1], err));
    if (in != NULL) {
        const uint64_t channels = in->channels;
        WF_TRY(wf_gguf_add_tensor(w, names[1], WF_F32, 1, &one, err));
        WF_TRY(wf_gguf_add_tensor(w, names[2], WF_F32, 1, &one, err));
        if (in->gain != NULL) {
            WF_TRY(wf_gguf_add_tensor(w, names[3], WF_F32, 1, &channels, err));
        }
    }
    return wf_gguf_add_tensor(w, r->name, WF_I8, 2, dims, err);
}

wf_status wf_int8_write(const wf_mapping *m, uint32_t i, wf_gguf_writer *w, wf_error *err) {
    const wf_map_stored s = wf_map_stored_of(m, &m->rows[i], WF_I8);
    const wf_int8_input *in = input_of(m, i);
    void *memory;
    WF_TRY(wf_alloc_array(&memory, s.rows * (s.k + sizeof(float)), 1, m->rows[i].name, err));
    float *steps = memory;
    int8_t *q = (int8_t *)(steps + s.rows);
    wf_status status = wf_int8_matrix(m, i, in, q, steps, err);
    status = status == WF_OK ? wf_gguf_write_data(w, steps, s.rows * sizeof *steps, err) : status;
    if (in != NULL) {
        status = status == WF_OK ? wf_gguf_write_data(w, &in->scale, sizeof in->scale, err) : status;
        status = status == WF_OK ? wf_gguf_write_data(w, &in->zero, sizeof in->zero, err) : status;
        if (in->gain != NULL && status == WF_OK) {
            status = wf_gguf_write_data(w, in->gain, in->channels * sizeof *in->gain, err);
        }
    }
    status = status == WF_OK ? wf_gguf_write_data(w, q, s.rows * s.k, err) : status;
    wf_free(memory);
    return status;
}

/* ---- which matrices stay F16 ---- */

/* Whether text begins with the pattern, '*' standing for any text. */
static bool begins(const char *text, const char *pattern, size_t n) {
    if (n == 0) {
        return true;
    }
    if (*pattern == '*') {
        return begins(text, pattern + 1, n - 1) || (*text != '\0' && begins(text + 1, pattern, n));
    }
    return *text == *pattern && begins(text + 1, pattern + 1, n - 1);
}

static bool occurs(const char *text, const char *pattern, size_t n) {
    for (; *text != '\0'; text++) {
        if (begins(text, pattern, n)) {
            return true;
        }
    }
    return false;
}

/* The next pattern of a comma list; its length, 0 at the end. */
static size_t next_pattern(const char **list) {
    *list += strspn(*list, ",");
    return strcspn(*list, ",");
}

bool wf_map_is_kept(const wf_mapping *m, const wf_map_row *r) {
    const char *list = m->keep != NULL ? m->keep : "";
    for (size_t n; (n = next_pattern(&list)) > 0; list += n) {
        if (occurs(r->name, list, n) || occurs(r->source->name, list, n)) {
            return true;
        }
    }
    return false;
}

wf_status wf_map_check_keep(const wf_mapping *m, wf_error *err) {
    const char *list = m->keep != NULL ? m->keep : "";
    for (size_t n; (n = next_pattern(&list)) > 0; list += n) {
        bool found = false;
        for (uint32_t i = 0; i < m->row_count && !found && n <= 64; i++) {
            const wf_map_row *r = &m->rows[i];
            found = wf_map_is_encoded(r) && (occurs(r->name, list, n) || occurs(r->source->name, list, n));
        }
        if (!found) {
            return wf_fail(err, WF_E_ARGUMENT, "keep", -1, "--keep \"%.*s\": no matrix of this model has such a name",
                           (int)(n < 64 ? n : 64), list);
        }
    }
    return WF_OK;
}
