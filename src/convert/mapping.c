/* Helpers of the maps: names, lists, the first error. */
#include "convert/mapping.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *vformat(wf_mapping *m, const char *format, va_list args) {
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    const char *copy = wf_arena_string(m->arena, text, strlen(text));
    if (copy == NULL && m->status == WF_OK) {
        m->status = wf_fail(m->err, WF_E_MEMORY, "convert", -1, "no memory for the map of the checkpoint");
    }
    return copy != NULL ? copy : "";
}

const char *wf_map_format(wf_mapping *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = vformat(m, format, args);
    va_end(args);
    return text;
}

void wf_map_fail(wf_mapping *m, wf_status code, const char *where, const char *format, ...) {
    if (m->status != WF_OK) {
        return;
    }
    va_list args;
    va_start(args, format);
    const char *text = vformat(m, format, args);
    va_end(args);
    m->status = wf_fail(m->err, code, where, -1, "%s", text);
}

/* Grows an array in the arena; old copies stay until the end, which doubles the use and costs nothing else. */
static void *grow(wf_mapping *m, void *old, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) {
        return old;
    }
    uint32_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *fresh = wf_arena_alloc(m->arena, wanted * size);
    if (fresh == NULL) {
        wf_map_fail(m, WF_E_MEMORY, "convert", "no memory for the map of the checkpoint");
        return NULL;
    }
    if (count != 0) {
        memcpy(fresh, old, count * size);
    }
    *capacity = wanted;
    return fresh;
}

void wf_map_list_add(wf_mapping *m, wf_map_list *list, const char *text) {
    void *items = grow(m, (void *)list->items, list->count, &list->capacity, sizeof *list->items);
    if (items != NULL) {
        list->items = items;
        list->items[list->count++] = text;
    }
}

void wf_map_assume(wf_mapping *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    wf_map_list_add(m, &m->assumptions, vformat(m, format, args));
    va_end(args);
}

void wf_map_note(wf_mapping *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    wf_map_list_add(m, &m->notes, vformat(m, format, args));
    va_end(args);
}

const wf_source_tensor *wf_map_find(wf_mapping *m, const char *source_name) {
    return wf_source_find(m->source, source_name);
}

/* The source tensor, if it is there and has the form of `kind`; NULL without an error when absent and optional. */
static const wf_source_tensor *expect(wf_mapping *m, const char *source_name, wf_map_kind kind, bool optional) {
    static const char *const wanted[] = {"[k]", "[out, in] or [out, in, 1, 1]", "[out, in, kh, kw]", "[1, c, h, w]",
                                         "[1, rows, c] or [rows, c]", "[c, 1, kh, kw]"};
    if (m->status != WF_OK) {
        return NULL;
    }
    const wf_source_tensor *t = wf_map_find(m, source_name);
    if (t == NULL) {
        if (!optional) {
            wf_map_fail(m, WF_E_MISSING, source_name, "the checkpoint has no tensor \"%s\", which a model with its other tensors needs: save the "
                        "whole state dict",
                        source_name);
        }
        return NULL;
    }
    bool flat = t->n_dims == 4 && t->dims[2] == 1 && t->dims[3] == 1;
    bool fits = kind == WF_MAP_VECTOR      ? t->n_dims == 1
                : kind == WF_MAP_LINEAR    ? t->n_dims == 2 || flat
                : kind == WF_MAP_CONV      ? t->n_dims == 4
                : kind == WF_MAP_TABLE_CHW ? t->n_dims == 4 && t->dims[0] == 1
                : kind == WF_MAP_DEPTHWISE ? t->n_dims == 4 && t->dims[1] == 1
                                           : t->n_dims == 2 || (t->n_dims == 3 && t->dims[0] == 1);
    if (t->elements == 0) {
        wf_map_fail(m, WF_E_SHAPE, source_name, "tensor \"%s\" has no elements (one of its dimensions is 0): save the whole state dict",
                    source_name);
        return NULL;
    }
    if (!fits) {
        wf_map_fail(m, WF_E_SHAPE, source_name, "tensor \"%s\" has %u dimensions where %s was expected", source_name, t->n_dims,
                    wanted[kind]);
        return NULL;
    }
    if (t->type == WF_I8 || t->type == WF_I16 || t->type == WF_I32 || t->type == WF_I64) {
        wf_map_fail(m, WF_E_UNSUPPORTED, source_name, "tensor \"%s\" holds integers (%s) where weights were expected", source_name,
                    wf_dtype_get(t->type)->name);
        return NULL;
    }
    return t;
}

static bool add_row(wf_mapping *m, const wf_map_row *row) {
    wf_map_row *rows = grow(m, m->rows, m->row_count, &m->row_capacity, sizeof *m->rows);
    if (rows == NULL) {
        return false;
    }
    m->rows = rows;
    m->rows[m->row_count++] = *row;
    m->used[row->source - m->source->tensors] = true;
    for (uint32_t i = 0; i < WF_MAP_STACK - 1 && row->more[i] != NULL; i++) {
        m->used[row->more[i] - m->source->tensors] = true;
    }
    return true;
}

bool wf_map_tensor(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, bool optional) {
    const wf_source_tensor *t = expect(m, source_name, kind, optional);
    wf_map_row row = {t, {NULL}, name, kind, NULL, false};
    return t != NULL && add_row(m, &row);
}

bool wf_map_stack(wf_mapping *m, const char *const *source_names, uint32_t count, const char *name, wf_map_kind kind) {
    wf_map_row row = {NULL, {NULL}, name, kind, NULL, false};
    for (uint32_t i = 0; i < count; i++) {
        const wf_source_tensor *t = expect(m, source_names[i], kind, false);
        if (t == NULL) {
            return false;
        }
        if (i == 0) {
            row.source = t;
            continue;
        }
        uint32_t last = kind == WF_MAP_LINEAR ? 1 : t->n_dims - 1;
        if (kind != WF_MAP_VECTOR && t->dims[last] != row.source->dims[kind == WF_MAP_LINEAR ? 1 : row.source->n_dims - 1]) {
            wf_map_fail(m, WF_E_SHAPE, source_names[i], "tensor \"%s\" has rows of another length than \"%s\", with which it belongs together",
                        source_names[i], source_names[0]);
            return false;
        }
        row.more[i - 1] = t;
    }
    return add_row(m, &row);
}

void wf_map_affine(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, bool bias_optional) {
    wf_map_tensor(m, wf_map_format(m, "%s.weight", source_name), wf_map_format(m, "%s.weight", name), kind, false);
    wf_map_tensor(m, wf_map_format(m, "%s.bias", source_name), wf_map_format(m, "%s.bias", name), WF_MAP_VECTOR, bias_optional);
}

static const char *repbn_root(wf_mapping *m, const char *name) {
    const char *inner = wf_map_format(m, "%s.norm2", name);
    return wf_map_find(m, wf_map_format(m, "%s.alpha", inner)) != NULL ? inner : name;
}

bool wf_map_is_repbn(wf_mapping *m, const char *source_name) {
    return wf_map_find(m, wf_map_format(m, "%s.alpha", repbn_root(m, source_name))) != NULL;
}

void wf_map_repbn(wf_mapping *m, const char *source_name, const char *name) {
    static const char *const parts[][2] = {
        {"bn.weight", "weight"}, {"bn.bias", "bias"}, {"bn.running_mean", "mean"}, {"bn.running_var", "var"}, {"alpha", "alpha"}};
    const char *root = repbn_root(m, source_name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        wf_map_tensor(m, wf_map_format(m, "%s.%s", root, parts[i][0]), wf_map_format(m, "%s.%s", name, parts[i][1]), WF_MAP_VECTOR, false);
    }
}

const char *wf_map_left_over(wf_mapping *m, const char *name) {
    static const char *const counters[] = {"num_batches_tracked", "warm", "iter", "total_step"}, *const norm1 = ".norm1.";
    const char *last = strrchr(name, '.'), *part = last != NULL ? last + 1 : name;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        if (strcmp(part, counters[i]) == 0) {
            return "a training counter";
        }
    }
    if (strcmp(part, "relative_position_index") == 0 || strcmp(part, "attn_mask") == 0) {
        return "computed anew";
    }
    size_t root = last != NULL ? (size_t)(last + 1 - name) : 0, n = strlen(norm1);
    bool inside = root > n && strncmp(name + root - n, norm1, n) == 0;
    return inside && wf_map_find(m, wf_map_format(m, "%.*s.norm2.alpha", (int)(root - n), name)) != NULL
               ? "the layer norm that training began with (LinearNorm)"
               : NULL;
}

const char *wf_map_norm_of(const wf_mapping *m, const char *node, const char *before) {
    for (uint32_t i = 0; i < m->change.replaced.count; i++) {
        if (strcmp(m->change.replaced.items[i], node) == 0) {
            return m->change.norm;
        }
    }
    return before;
}

void wf_map_tap(wf_mapping *m, const char *source_name, const char *node, const char *order) {
    wf_map_list_add(m, &m->taps, wf_map_format(m, "%s|%s|%s", source_name, node, order));
}

const wf_json *wf_map_key(const wf_mapping *m, const char *key) {
    wf_json *v = (wf_json *)wf_json_get(m->config.args, key); /* this mapping's own tree */
    if (v != NULL) {
        v->seen = true;
    }
    return v;
}

uint32_t wf_map_arg(wf_mapping *m, const char *key, uint32_t fallback) {
    const wf_json *v = wf_map_key(m, key);
    unsigned long long u = 0;
    if (v == NULL || v->kind == WF_JSON_NULL) {
        return fallback;
    }
    if (!wf_json_to_u64(v, &u) || u > 1u << 24) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"%s\" in %s is no whole number from 0 to 16777216: correct it", key, m->config.file);
        return fallback;
    }
    return (uint32_t)u;
}

bool wf_map_arg_bool(wf_mapping *m, const char *key, bool fallback) {
    const wf_json *v = wf_map_key(m, key);
    if (v == NULL || v->kind == WF_JSON_NULL) {
        return fallback;
    }
    if (v->kind != WF_JSON_BOOL) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"%s\" in %s is neither true nor false", key, m->config.file);
    }
    return v->boolean;
}

bool wf_map_is_class(const char *name, const char *wanted) {
    const char *dot = strrchr(name, '.');
    return strcmp(name, wanted) == 0 || (dot != NULL && strcmp(dot + 1, wanted) == 0);
}

bool wf_map_is_partial(const char *name) { return strncmp(name, "partial(", 8) == 0 || strncmp(name, "functools.partial(", 18) == 0; }

const char *wf_map_arg_text(const wf_mapping *m, const char *key) {
    const wf_json *v = wf_map_key(m, key);
    return v != NULL && v->kind == WF_JSON_STRING && !wf_map_is_partial(v->string) ? v->string : NULL;
}
