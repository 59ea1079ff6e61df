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

bool wf_map_has(wf_mapping *m, const char *prefix, const char *suffix) {
    return wf_map_find(m, wf_map_format(m, "%s%s", prefix, suffix)) != NULL;
}

const wf_source_tensor *wf_map_need(wf_mapping *m, const char *source_name, uint32_t n_dims, const char *model) {
    const wf_source_tensor *t = wf_map_find(m, source_name);
    if (t == NULL) {
        wf_map_fail(m, WF_E_MISSING, source_name, "the checkpoint has no tensor \"%s\", which a %s needs", source_name, model);
        return NULL;
    }
    if (t->n_dims != n_dims || t->elements == 0 || t->elements > UINT32_MAX) {
        wf_map_fail(m, WF_E_SHAPE, source_name, "tensor \"%s\" of this %s does not have %u dimensions", source_name, model, n_dims);
        return NULL;
    }
    return t;
}

/* The source tensor, if it is there and has the form of `kind`; NULL without an error when absent and optional. */
static const wf_source_tensor *expect(wf_mapping *m, const char *source_name, wf_map_kind kind, bool optional) {
    static const char *const wanted[] = {"[k]", "[out, in] or [out, in, 1, 1]", "[out, in, kh, kw]", "[1, c, h, w]",
                                         "[1, rows, c] or [rows, c]", "[c, 1, kh, kw]",
                                         "[in, heads, d] or [heads, d, out] of a square matrix", "[heads, d]", "[in, c, p, p]", "[c]", "[rows, c]"};
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
    uint64_t side = t->n_dims == 3 && t->dims[0] > t->dims[2] ? t->dims[0] : t->n_dims == 3 ? t->dims[2] : 0;
    bool fits = kind == WF_MAP_VECTOR || kind == WF_MAP_TILED ? t->n_dims == 1
                : kind == WF_MAP_FLAT        ? t->n_dims == 1 || t->n_dims == 2
                : kind == WF_MAP_INPUT_FIRST ? t->n_dims == 3 && side <= UINT32_MAX && side * side == t->elements
                : kind == WF_MAP_DECONV      ? t->n_dims == 4 && t->dims[2] == t->dims[3]
                : kind == WF_MAP_LINEAR    ? t->n_dims == 2 || flat
                : kind == WF_MAP_CONV      ? t->n_dims == 4
                : kind == WF_MAP_LOOKUP    ? t->n_dims == 2
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

bool wf_map_is_encoded(const wf_map_row *r) {
    return wf_map_is_matrix(r) || r->kind == WF_MAP_LOOKUP;
}

bool wf_map_paired(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, uint32_t paired, bool optional) {
    const wf_source_tensor *t = expect(m, source_name, kind, optional);
    wf_map_row row = {.source = t, .name = name, .kind = kind, .paired = paired};
    return t != NULL && add_row(m, &row);
}

bool wf_map_tensor(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, bool optional) {
    return wf_map_paired(m, source_name, name, kind, 0, optional);
}

bool wf_map_stack(wf_mapping *m, const char *const *source_names, uint32_t count, const char *name, wf_map_kind kind) {
    wf_map_row row = {.name = name, .kind = kind};
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
        bool differs = t->dims[last] != row.source->dims[kind == WF_MAP_LINEAR ? 1 : row.source->n_dims - 1];
        bool vectors = kind == WF_MAP_VECTOR || kind == WF_MAP_FLAT;
        if ((!vectors && differs) || (kind == WF_MAP_DEPTHWISE && t->dims[2] != row.source->dims[2])) {
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

void wf_map_deconv(wf_mapping *m, const char *source_name, const char *name) {
    const wf_source_tensor *weight = expect(m, wf_map_format(m, "%s.weight", source_name), WF_MAP_DECONV, false);
    const wf_source_tensor *bias = expect(m, wf_map_format(m, "%s.bias", source_name), WF_MAP_TILED, false);
    if (weight == NULL || bias == NULL) {
        return;
    }
    if (weight->dims[2] > 1024 || bias->elements != weight->dims[1]) {
        wf_map_fail(m, WF_E_SHAPE, weight->name, "tensor \"%s\" makes patches of %llu × %llu and %llu channels, which \"%s\" does not fit",
                    weight->name, (unsigned long long)weight->dims[2], (unsigned long long)weight->dims[3],
                    (unsigned long long)weight->dims[1], bias->name);
        return;
    }
    wf_map_row matrix = {.source = weight, .name = wf_map_format(m, "%s.weight", name), .kind = WF_MAP_DECONV};
    wf_map_row vector = {.source = bias, .name = wf_map_format(m, "%s.bias", name), .kind = WF_MAP_TILED,
                         .repeat = (uint32_t)(weight->dims[2] * weight->dims[3])};
    if (add_row(m, &matrix)) {
        add_row(m, &vector);
    }
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

uint32_t wf_map_sla_kernel(wf_mapping *m, const char *source_name) {
    const wf_source_tensor *dwc = wf_map_find(m, wf_map_format(m, "%s.dwc.weight", source_name));
    if (dwc == NULL) {
        return 0;
    }
    if (dwc->n_dims != 4 || dwc->dims[2] != dwc->dims[3] || dwc->dims[2] % 2 == 0 || dwc->dims[2] > 31) {
        wf_map_fail(m, WF_E_SHAPE, dwc->name, "tensor \"%s\" of a linear attention is no odd square window [d, 1, k, k], k up to 31",
                    dwc->name);
        return 0;
    }
    return (uint32_t)dwc->dims[2];
}

void wf_map_stack_parts(wf_mapping *m, const char *const *source_names, uint32_t count, const char *part, const char *name, wf_map_kind kind) {
    const char *names[WF_MAP_STACK];
    for (uint32_t i = 0; i < count; i++) {
        names[i] = wf_map_format(m, "%s.%s", source_names[i], part);
    }
    wf_map_stack(m, names, count, name, kind);
}

void wf_map_sla(wf_mapping *m, const char *const *source_names, uint32_t count, const char *name) {
    wf_map_stack_parts(m, source_names, count, "positional_encoding", wf_map_format(m, "%s.heads.position.weight", name), WF_MAP_TABLE_ROWS);
    wf_map_stack_parts(m, source_names, count, "dwc.weight", wf_map_format(m, "%s.heads.window.weight", name), WF_MAP_DEPTHWISE);
    wf_map_stack_parts(m, source_names, count, "dwc.bias", wf_map_format(m, "%s.heads.window.bias", name), WF_MAP_VECTOR);
}

const char *wf_map_norm_kind(wf_mapping *m, const char *source_name) {
    const wf_source_tensor *weight = wf_map_find(m, wf_map_format(m, "%s.weight", source_name));
    if (wf_map_is_repbn(m, source_name)) {
        return "repbn";
    }
    if (wf_map_find(m, wf_map_format(m, "%s.running_var", source_name)) != NULL) {
        return wf_map_find(m, wf_map_format(m, "%s.running_mean", source_name)) != NULL ? "batch_norm" : "un";
    }
    return weight != NULL && weight->elements == 1 ? "ss_norm" : NULL;
}

void wf_map_norm(wf_mapping *m, const char *kind, const char *source_name, const char *name) {
    bool batch = strcmp(kind, "batch_norm") == 0;
    if (strcmp(kind, "repbn") == 0) {
        wf_map_repbn(m, source_name, name);
        return;
    }
    if (!batch || wf_map_has(m, source_name, ".weight") || wf_map_has(m, source_name, ".bias")) { /* torch's affine=False has neither */
        wf_map_affine(m, source_name, name, WF_MAP_VECTOR, !batch && strcmp(kind, "un") != 0);
    }
    if (batch) {
        wf_map_tensor(m, wf_map_format(m, "%s.running_mean", source_name), wf_map_format(m, "%s.mean", name), WF_MAP_VECTOR, false);
    }
    if (batch || strcmp(kind, "un") == 0) {
        wf_map_tensor(m, wf_map_format(m, "%s.running_var", source_name), wf_map_format(m, "%s.var", name), WF_MAP_VECTOR, false);
    }
}

const char *wf_map_left_over(wf_mapping *m, const char *name) {
    static const char *const counters[] = {"num_batches_tracked", "warm", "iter", "total_step", "num_step"}, *const norm1 = ".norm1.";
    static const char *const windows[] = {"ema_gz", "iters", "buffer_x2", "buffer_gz", "skip_counter"};
    const char *last = strrchr(name, '.'), *part = last != NULL ? last + 1 : name;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        if (strcmp(part, counters[i]) == 0) {
            return "a training counter";
        }
    }
    bool un = last != NULL && wf_map_find(m, wf_map_format(m, "%.*s.running_var", (int)(last - name), name)) != NULL;
    for (size_t i = 0; un && i < sizeof windows / sizeof windows[0]; i++) {
        if (strcmp(part, windows[i]) == 0) {
            return "what Unified Normalization keeps of past batches";
        }
    }
    if (strcmp(part, "relative_position_index") == 0 || strcmp(part, "attn_mask") == 0 || strcmp(part, "inv_freq") == 0) {
        return "computed anew";
    }
    if (strcmp(part, "scale") == 0 && wf_map_find(m, wf_map_format(m, "%.*s.positional_encoding", (int)(last - name), name)) != NULL) {
        return "the source stores it and never uses it";
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

const char *wf_map_norm_now(const wf_mapping *m, const char *before) {
    return m->change.norm != NULL && strcmp(before, "none") != 0 ? m->change.norm : before;
}

void wf_map_tap(wf_mapping *m, const char *source_name, const char *node, const char *order) {
    wf_map_list_add(m, &m->taps, wf_map_format(m, "%s|%s|%s", source_name, node, order));
}

const wf_json *wf_map_key(const wf_mapping *m, const char *key) {
    wf_json *v = (wf_json *)wf_json_get(m->config.args, key); /* this mapping's own tree */
    v = v != NULL ? v : (wf_json *)wf_json_get(m->config.outer, key);
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

const wf_json *wf_map_item(const wf_json *v, uint32_t i) {
    return v != NULL && v->kind == WF_JSON_ARRAY ? (i < v->count ? wf_json_at(v, i) : NULL) : v;
}

uint32_t wf_map_number(wf_mapping *m, const char *key, const wf_json *v) {
    unsigned long long u;
    if (v == NULL || v->kind == WF_JSON_NULL) {
        return 0;
    }
    if (!wf_json_to_u64(v, &u) || u > 1 << 20) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"%s\" in %s is no whole number from 0 to 1048576, or no list of such: correct it", key,
                    m->config.file);
        return 0;
    }
    return (uint32_t)u;
}

uint32_t wf_map_arg_item(wf_mapping *m, const char *key, uint32_t i) { return wf_map_number(m, key, wf_map_item(wf_map_key(m, key), i)); }

void wf_map_expect_item(wf_mapping *m, const char *key, uint32_t i, uint32_t found) {
    uint32_t value = wf_map_arg_item(m, key, i);
    if (value != 0 && value != found) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s of %s is %u (number %u), but the checkpoint has %u: another model's config?", key,
                    m->config.file, value, i, found);
    }
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

static bool names_class(const char *name, const char *const *wanted) {
    while (*wanted != NULL && !wf_map_is_class(name, *wanted)) {
        wanted++;
    }
    return *wanted != NULL;
}

/* "A, B and C" */
static const char *list_of(wf_mapping *m, const char *const *names) {
    const char *text = names[0];
    for (size_t i = 1; names[i] != NULL; i++) {
        text = wf_map_format(m, "%s%s%s", text, names[i + 1] != NULL ? ", " : " and ", names[i]);
    }
    return text;
}

void wf_map_check_class(wf_mapping *m, const char *const *classes, const char *const *model_types) {
    bool hf = m->config.kind == WF_CONFIG_HF;
    const char *const *known = hf ? model_types : classes, *name = hf ? wf_map_arg_text(m, "model_type") : m->config.class_name;
    if (name != NULL && !names_class(name, known)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "%s is for a model of %s \"%.80s\", but with these tensor names this version "
                    "knows %s: give the config of this checkpoint, or none", m->config.file, hf ? "type" : "class", name, list_of(m, known));
    }
}

void wf_map_need_class(wf_mapping *m, const char *key, const char *const *names) {
    const char *name = wf_map_arg_text(m, key);
    if (name != NULL && !names_class(name, names)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "%s \"%.80s\" of %s is not supported (%s %s)", key, name, m->config.file,
                    list_of(m, names), names[1] != NULL ? "are" : "is");
    }
}

bool wf_map_is_partial(const char *name) { return strncmp(name, "partial(", 8) == 0 || strncmp(name, "functools.partial(", 18) == 0; }

const char *wf_map_arg_text(const wf_mapping *m, const char *key) {
    const wf_json *v = wf_map_key(m, key);
    return v != NULL && v->kind == WF_JSON_STRING && !wf_map_is_partial(v->string) ? v->string : NULL;
}
