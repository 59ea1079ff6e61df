/* Weight table: checks on use, one memory block a weight, packing of rows as they arrive. */
#include "graph/weights.h"

#include <string.h>

#include "base/alloc.h"

void wf_weights_init(wf_weights *t, wf_arena *arena, wf_backend backend) {
    memset(t, 0, sizeof *t);
    t->arena = arena;
    t->backend = backend;
    t->file = "model";
}

void wf_weights_free(wf_weights *t) {
    for (uint32_t i = 0; i < t->count; i++) {
        wf_free(t->entries[i].memory);
    }
    wf_free(t->entries);
    t->entries = NULL;
    t->count = t->capacity = 0;
}

static size_t real_bytes(const wf_weights *t) {
    return t->backend == WF_BACKEND_F64 ? sizeof(double) : sizeof(float);
}

static const wf_codec *codec_of(const wf_weights *t, const wf_weight_entry *e) {
    return wf_codec_get(e->view.type, t->int8_rows && (e->view.type == WF_Q8_0 || e->view.type == WF_I8));
}

static wf_status check_shape(const wf_weight_entry *e, uint32_t n, uint32_t k, wf_error *err) {
    const wf_stored *s = &e->stored;
    uint64_t rows = s->dims[1] * s->dims[2] * s->dims[3];
    uint32_t block = wf_dtype_get(s->type)->block;
    bool padded = s->dims[0] == wf_round_up(k, block);
    if (rows == n && (s->dims[0] == k || padded)) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_SHAPE, e->name, -1,
                   "tensor \"%s\" has %llu × %llu elements (rows × row length), but the model needs %u × %u; the file's "
                   "metadata and tensors do not belong together: convert the checkpoint again",
                   e->name, (unsigned long long)rows, (unsigned long long)s->dims[0], n, k);
}

static wf_status choose_layout(wf_weights *t, wf_weight_entry *e, wf_error *err) {
    wf_weight *v = &e->view;
    const wf_dtype_info *info = wf_dtype_get(e->stored.type);
    if (info->decode == NULL || (e->stored.type == WF_I8 && e->role != WF_ROLE_MATRIX)) {
        return wf_fail(err, WF_E_UNSUPPORTED, e->name, -1,
                       "tensor \"%s\" has type %s, which holds no weights; convert it to F32, F16 or Q8_0", e->name,
                       info->name);
    }
    uint64_t padded_k = wf_round_up(v->k, WF_LANES);
    if (e->role == WF_ROLE_LOOKUP) {
        v->pack = WF_PACK_STORED;
        v->type = e->stored.type;
        e->bytes = v->n * wf_dtype_row_bytes(v->type, wf_round_up(v->k, info->block));
        return WF_OK;
    }
    v->type = t->backend == WF_BACKEND_F64 ? WF_F64 : WF_F32;
    if (e->role != WF_ROLE_MATRIX) {
        v->pack = e->role == WF_ROLE_VECTOR ? WF_PACK_VECTOR : WF_PACK_TABLE;
        e->bytes = v->n * padded_k * real_bytes(t);
        return WF_OK;
    }
    if (t->backend != WF_BACKEND_SIMD) {
        v->pack = WF_PACK_DENSE;
        e->bytes = (uint64_t)v->n * v->k * real_bytes(t);
        return WF_OK;
    }
    v->pack = WF_PACK_PANELS;
    v->type = e->stored.type == WF_I8 && !t->int8_rows ? WF_F32 : e->stored.type;
    const wf_codec *codec = codec_of(t, e);
    if (codec == NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, e->name, -1,
                       "tensor \"%s\" has type %s, for which this build has no kernel; convert it to F32, F16 or Q8_0",
                       e->name, info->name);
    }
    e->bytes = codec->packed_bytes(v->n, v->k);
    return WF_OK;
}

static wf_status add_entry(wf_weights *t, const char *name, wf_weight_entry **out, wf_error *err) {
    if (t->count == t->capacity) {
        uint32_t capacity = t->capacity == 0 ? 64 : t->capacity * 2;
        wf_weight_entry *grown = wf_realloc(t->entries, capacity * sizeof *grown);
        if (grown == NULL) {
            return wf_fail(err, WF_E_MEMORY, name, -1, "no memory for the table of weights");
        }
        t->entries = grown;
        t->capacity = capacity;
    }
    wf_weight_entry *e = &t->entries[t->count];
    memset(e, 0, sizeof *e);
    e->name = wf_arena_string(t->arena, name, strlen(name));
    if (e->name == NULL) {
        return wf_fail(err, WF_E_MEMORY, name, -1, "no memory for the table of weights");
    }
    if (!t->find(t->find_user, name, &e->stored)) {
        return wf_fail(err, WF_E_MISSING, name, -1, "tensor \"%s\" is not in %s; convert the checkpoint again", name,
                       t->file);
    }
    *out = e;
    return WF_OK;
}

wf_status wf_weights_use(wf_weights *t, const char *name, wf_role role, uint32_t n, uint32_t k, uint32_t *id,
                         wf_error *err) {
    for (uint32_t i = 0; i < t->count; i++) {
        wf_weight_entry *e = &t->entries[i];
        if (strcmp(e->name, name) != 0) {
            continue;
        }
        if (e->role != role || e->view.n != n || e->view.k != k) {
            return check_shape(e, n, k, err) != WF_OK
                       ? WF_E_SHAPE
                       : wf_fail(err, WF_E_SHAPE, name, -1, "tensor \"%s\" is read in two different ways", name);
        }
        e->uses++;
        *id = i;
        return WF_OK;
    }
    wf_weight_entry *e;
    WF_TRY(add_entry(t, name, &e, err));
    e->role = role;
    e->view.n = n;
    e->view.k = k;
    WF_TRY(check_shape(e, n, k, err));
    e->steps = e->gains = WF_NONE;
    WF_TRY(choose_layout(t, e, err));
    e->stored_k = (uint32_t)e->stored.dims[0];
    e->uses = 1;
    *id = t->count++;
    return WF_OK;
}

bool wf_weights_has(const wf_weights *t, const char *name) {
    wf_stored s;
    return t->find(t->find_user, name, &s);
}

uint64_t wf_weights_bytes(const wf_weights *t) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        sum += (t->entries[i].bytes + 63) & ~(uint64_t)63;
    }
    return sum;
}

static wf_status hold(wf_weight_entry *e, wf_error *err) {
    WF_TRY(wf_alloc_array(&e->memory, e->bytes, 1, e->name, err));
    e->view.data = e->memory;
    return WF_OK;
}

wf_status wf_weights_reserve(wf_weights *t, wf_error *err) {
    for (uint32_t i = 0; i < t->count && !t->passing; i++) {
        if (t->entries[i].memory == NULL) {
            WF_TRY(hold(&t->entries[i], err));
        }
    }
    return WF_OK;
}

void wf_weights_drop(wf_weights *t, uint32_t id) {
    wf_weight_entry *e = &t->entries[id];
    wf_free(e->memory);
    e->view.data = e->memory = NULL;
    e->resident = false;
}

/* Stored row → real[k], zero lanes are there already (the memory starts zeroed). */
static void decode_row(const wf_weights *t, const wf_weight_entry *e, const uint8_t *src, uint64_t row, uint64_t stride,
                       float *line) {
    uint32_t k = e->view.k;
    if (t->backend == WF_BACKEND_F64) {
        double *dst = (double *)e->memory + row * stride;
        if (e->stored.type == WF_F64) {
            memcpy(dst, src, k * sizeof *dst);
            return;
        }
        wf_dtype_get(e->stored.type)->decode(src, line, e->stored_k);
        for (uint32_t i = 0; i < k; i++) {
            dst[i] = line[i];
        }
        return;
    }
    float *dst = (float *)e->memory + row * stride;
    wf_dtype_get(e->stored.type)->decode(src, line, e->stored_k);
    memcpy(dst, line, k * sizeof *dst);
}

/* Stored rows → panels; float panels of an I8 matrix take its integers as floats. */
static wf_status pack_rows(wf_weights *t, wf_weight_entry *e, uint64_t first, const uint8_t *src, uint64_t rows, wf_error *err) {
    const wf_weight *v = &e->view;
    const wf_codec *codec = codec_of(t, e);
    uint64_t row_bytes = wf_dtype_row_bytes(e->stored.type, e->stored_k);
    bool decoded = v->type != e->stored.type;
    float *lines = decoded ? wf_alloc((uint64_t)WF_PANEL * v->k * sizeof *lines) : NULL;
    if (decoded && lines == NULL) {
        return wf_fail(err, WF_E_MEMORY, e->name, -1, "no memory to decode tensor \"%s\"", e->name);
    }
    for (uint64_t r = 0; r < rows; r += WF_PANEL) {
        uint32_t some = rows - r < WF_PANEL ? (uint32_t)(rows - r) : WF_PANEL;
        const uint8_t *from = src + r * row_bytes;
        for (uint32_t i = 0; i < some && decoded; i++) {
            wf_dtype_get(e->stored.type)->decode(from + i * row_bytes, lines + (size_t)i * v->k, v->k);
        }
        codec->pack(e->memory, v->n, v->k, (uint32_t)((first + r) / WF_PANEL), decoded ? (const void *)lines : from, some,
                    decoded ? v->k : e->stored_k);
    }
    wf_free(lines);
    return WF_OK;
}

static double element(const wf_weights *t, const wf_weight_entry *vector, uint32_t i) {
    return t->backend == WF_BACKEND_F64 ? ((const double *)vector->memory)[i] : (double)((const float *)vector->memory)[i];
}

/* W[row, k] ← W · steps[row] · gains[k], once; dense, or in float panels of 8 rows. */
static void scale_matrix(wf_weights *t, wf_weight_entry *e) {
    const wf_weight *v = &e->view;
    const wf_weight_entry *steps = &t->entries[e->steps], *gains = e->gains != WF_NONE ? &t->entries[e->gains] : NULL;
    for (uint32_t row = 0; row < v->n; row++) {
        for (uint32_t k = 0; k < v->k; k++) {
            size_t at = (size_t)row * v->k + k;
            if (v->pack == WF_PACK_PANELS) {
                at = ((size_t)(row / WF_PANEL) * v->k + k) * WF_PANEL + row % WF_PANEL;
            }
            double factor = element(t, steps, row) * (gains != NULL ? element(t, gains, k % gains->view.k) : 1);
            if (t->backend == WF_BACKEND_F64) {
                ((double *)e->memory)[at] *= factor;
            } else {
                ((float *)e->memory)[at] *= (float)factor;
            }
        }
    }
    e->scaled = true;
}

static bool all_rows(const wf_weights *t, uint32_t id) {
    return id == WF_NONE || t->entries[id].rows_done == t->entries[id].view.n;
}

/* Rows of `e` have arrived: what can be computed with now? */
static void update_residency(wf_weights *t, wf_weight_entry *arrived) {
    bool waits = arrived->steps != WF_NONE && !arrived->scaled;
    arrived->resident = arrived->rows_done == arrived->view.n && !waits;
    for (uint32_t i = 0; i < t->count && !t->int8_rows; i++) {
        wf_weight_entry *e = &t->entries[i];
        if (e->steps != WF_NONE && !e->scaled && all_rows(t, i) && all_rows(t, e->steps) && all_rows(t, e->gains)) {
            scale_matrix(t, e);
            e->resident = true;
        }
    }
}

void wf_weights_scale(wf_weights *t, uint32_t id, uint32_t steps, uint32_t gains) {
    t->entries[id].steps = steps;
    t->entries[id].gains = gains;
}

wf_status wf_weights_rows(wf_weights *t, uint32_t id, uint64_t first, const void *stored, uint64_t rows, wf_error *err) {
    wf_weight_entry *e = &t->entries[id];
    wf_weight *v = &e->view;
    uint64_t row_bytes = wf_dtype_row_bytes(e->stored.type, e->stored_k);
    const uint8_t *src = stored;
    if (first != e->rows_done || rows > v->n - first) {
        return wf_fail(err, WF_E_STATE, e->name, -1, "rows of tensor \"%s\" arrived out of order", e->name);
    }
    if (e->memory == NULL) {
        WF_TRY(hold(e, err));
    }
    if (v->pack == WF_PACK_PANELS) {
        WF_TRY(pack_rows(t, e, first, src, rows, err));
    } else if (v->pack == WF_PACK_STORED) {
        memcpy((uint8_t *)e->memory + first * row_bytes, src, (size_t)(rows * row_bytes));
    } else {
        float *line = wf_alloc(e->stored_k * sizeof *line);
        if (line == NULL) {
            return wf_fail(err, WF_E_MEMORY, e->name, -1, "no memory to decode tensor \"%s\"", e->name);
        }
        uint64_t stride = v->pack == WF_PACK_DENSE ? v->k : wf_round_up(v->k, WF_LANES);
        for (uint64_t r = 0; r < rows; r++) {
            decode_row(t, e, src + r * row_bytes, first + r, stride, line);
        }
        wf_free(line);
    }
    e->rows_done += rows;
    update_residency(t, e);
    return WF_OK;
}

bool wf_weights_admit(wf_weights *t, uint32_t id) {
    wf_weight_entry *e = &t->entries[id];
    e->trusted = e->rows_done == e->view.n;
    return e->trusted;
}

bool wf_weights_are_trusted(const wf_weights *t) {
    for (uint32_t i = 0; i < t->count; i++) {
        if (!t->entries[i].trusted) {
            return false;
        }
    }
    return true;
}
