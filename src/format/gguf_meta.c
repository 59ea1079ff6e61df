/* Access to the metadata and the tensor table of a parsed GGUF header: binary search in the indices
   that the reader sorted by name, and conversions that accept every integer width where the value
   fits. */
#include <string.h>

#include "format/gguf.h"

/* Position of `name` in a table of records that begin with a wf_gguf_string, or -1. */
static int64_t search(const void *records, size_t stride, const uint32_t *by_name, uint64_t count,
                      const char *name) {
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const wf_gguf_string *s = (const void *)((const char *)records + stride * by_name[middle]);
        int order = strcmp(s->text, name);
        if (order == 0) {
            return by_name[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

const wf_gguf_kv *wf_gguf_find(const wf_gguf *g, const char *key) {
    int64_t i = search(g->kvs, sizeof *g->kvs, g->kv_by_name, g->kv_count, key);
    return i < 0 ? NULL : &g->kvs[i];
}

const wf_gguf_tensor *wf_gguf_find_tensor(const wf_gguf *g, const char *name) {
    int64_t i = search(g->tensors, sizeof *g->tensors, g->tensor_by_name, g->tensor_count, name);
    return i < 0 ? NULL : &g->tensors[i];
}

static bool is_signed(wf_gguf_type type) {
    return type == WF_GGUF_I8 || type == WF_GGUF_I16 || type == WF_GGUF_I32 || type == WF_GGUF_I64;
}

static bool is_unsigned(wf_gguf_type type) {
    return type == WF_GGUF_U8 || type == WF_GGUF_U16 || type == WF_GGUF_U32 || type == WF_GGUF_U64;
}

static bool is_float(wf_gguf_type type) {
    return type == WF_GGUF_F32 || type == WF_GGUF_F64;
}

bool wf_gguf_get_u64(const wf_gguf *g, const char *key, uint64_t *out) {
    const wf_gguf_kv *kv = wf_gguf_find(g, key);
    if (kv == NULL || !(is_unsigned(kv->type) || (is_signed(kv->type) && kv->value.i >= 0))) {
        return false;
    }
    *out = kv->value.u;
    return true;
}

bool wf_gguf_get_f64(const wf_gguf *g, const char *key, double *out) {
    const wf_gguf_kv *kv = wf_gguf_find(g, key);
    if (kv == NULL || !(is_float(kv->type) || is_signed(kv->type) || is_unsigned(kv->type))) {
        return false;
    }
    *out = is_float(kv->type)    ? kv->value.f
           : is_signed(kv->type) ? (double)kv->value.i
                                 : (double)kv->value.u;
    return true;
}

bool wf_gguf_get_bool(const wf_gguf *g, const char *key, bool *out) {
    const wf_gguf_kv *kv = wf_gguf_find(g, key);
    if (kv == NULL || kv->type != WF_GGUF_BOOL) {
        return false;
    }
    *out = kv->value.u != 0;
    return true;
}

const char *wf_gguf_get_string(const wf_gguf *g, const char *key) {
    const wf_gguf_kv *kv = wf_gguf_find(g, key);
    return kv != NULL && kv->type == WF_GGUF_STRING ? kv->value.s.text : NULL;
}

/* One element of a numeric array, in the same three-way form as a scalar value. */
static bool item(const wf_gguf_kv *kv, uint64_t i, int64_t *whole, double *real) {
    if (kv == NULL || kv->type != WF_GGUF_ARRAY || i >= kv->count) {
        return false;
    }
    const void *items = kv->value.items;
    switch (kv->element) {
    case WF_GGUF_U8: *whole = ((const uint8_t *)items)[i]; return true;
    case WF_GGUF_I8: *whole = ((const int8_t *)items)[i]; return true;
    case WF_GGUF_U16: *whole = ((const uint16_t *)items)[i]; return true;
    case WF_GGUF_I16: *whole = ((const int16_t *)items)[i]; return true;
    case WF_GGUF_U32: *whole = ((const uint32_t *)items)[i]; return true;
    case WF_GGUF_I32: *whole = ((const int32_t *)items)[i]; return true;
    case WF_GGUF_U64: /* the caller knows the sign from the type */
    case WF_GGUF_I64: *whole = ((const int64_t *)items)[i]; return true;
    case WF_GGUF_BOOL: *whole = ((const uint8_t *)items)[i]; return true;
    case WF_GGUF_F32: *real = (double)((const float *)items)[i]; return true;
    case WF_GGUF_F64: *real = ((const double *)items)[i]; return true;
    default: return false;
    }
}

bool wf_gguf_item_u64(const wf_gguf_kv *kv, uint64_t i, uint64_t *out) {
    int64_t whole = 0;
    double real = 0;
    if (!item(kv, i, &whole, &real) || is_float(kv->element) ||
        (whole < 0 && kv->element != WF_GGUF_U64)) {
        return false;
    }
    *out = (uint64_t)whole;
    return true;
}

bool wf_gguf_item_f64(const wf_gguf_kv *kv, uint64_t i, double *out) {
    int64_t whole = 0;
    double real = 0;
    if (!item(kv, i, &whole, &real)) {
        return false;
    }
    *out = is_float(kv->element)        ? real
           : kv->element == WF_GGUF_U64 ? (double)(uint64_t)whole
                                        : (double)whole;
    return true;
}

const char *wf_gguf_item_string(const wf_gguf_kv *kv, uint64_t i) {
    if (kv == NULL || kv->type != WF_GGUF_ARRAY || kv->element != WF_GGUF_STRING ||
        i >= kv->count) {
        return NULL;
    }
    return ((const wf_gguf_string *)kv->value.items)[i].text;
}

/* wf.k holds the logical row length of each tensor, 0 where rows are not padded. */
uint64_t wf_gguf_parameters(const wf_gguf *gguf) {
    const wf_gguf_kv *k = wf_gguf_find(gguf, "wf.k");
    bool padded = k != NULL && k->type == WF_GGUF_ARRAY && k->count == gguf->tensor_count;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < gguf->tensor_count; i++) {
        const uint64_t *d = gguf->tensors[i].dims;
        uint64_t logical = 0;
        bool shorter = padded && wf_gguf_item_u64(k, i, &logical) && logical != 0 && logical < d[0];
        sum += (shorter ? logical : d[0]) * d[1] * d[2] * d[3];
    }
    return sum;
}
