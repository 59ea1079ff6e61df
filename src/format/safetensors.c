/* safetensors: an 8-byte little-endian header length, a JSON object {name: {dtype, shape,
   data_offsets}}, then the data. Checked: the header inside the file, every tensor inside the data,
   sizes that fit dtype and shape, no overlap, no name twice (the JSON reader refuses that).
   "__metadata__" is skipped. */
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "format/json.h"
#include "format/sort.h"
#include "format/source_finish.h"

#define LARGEST_HEADER UINT64_C(100000000) /* the format's own limit */

static const struct {
    const char *name;
    wf_dtype type;
    bool is_bool, is_u8;
} dtypes[] = {{"F64", WF_F64, false, false}, {"F32", WF_F32, false, false},
              {"F16", WF_F16, false, false}, {"BF16", WF_BF16, false, false},
              {"I64", WF_I64, false, false}, {"I32", WF_I32, false, false},
              {"I16", WF_I16, false, false}, {"I8", WF_I8, false, false},
              {"U8", WF_I8, false, true},    {"BOOL", WF_I8, true, false}};

static wf_status damaged(const char *name, const char *what, wf_error *err) {
    return wf_fail(
        err, WF_E_FORMAT, name, -1,
        "tensor \"%s\" of the safetensors header %s: the file is damaged; download it again", name,
        what);
}

static wf_status take_dtype(const wf_json *entry, wf_source_tensor *t, wf_error *err) {
    const wf_json *dtype = wf_json_get(entry, "dtype");
    if (dtype == NULL || dtype->kind != WF_JSON_STRING) {
        return damaged(t->name, "has no dtype", err);
    }
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(dtypes[i].name, dtype->string) == 0) {
            t->type = dtypes[i].type;
            t->is_bool = dtypes[i].is_bool;
            t->is_u8 = dtypes[i].is_u8;
            return WF_OK;
        }
    }
    return wf_fail(err, WF_E_UNSUPPORTED, t->name, -1,
                   "tensor \"%s\" is stored as %s; F64, F32, F16, BF16, I64, I32, I16, I8, U8 and "
                   "BOOL are read: save it as "
                   "one of these",
                   t->name, dtype->string);
}

static wf_status take_shape(const wf_json *entry, wf_source_tensor *t, wf_error *err) {
    const wf_json *shape = wf_json_get(entry, "shape");
    if (shape == NULL || shape->kind != WF_JSON_ARRAY) {
        return damaged(t->name, "has no shape", err);
    }
    if (shape->count > WF_SOURCE_MAX_DIMS) {
        return wf_fail(
            err, WF_E_UNSUPPORTED, t->name, -1,
            "tensor \"%s\" has %zu dimensions, and %d are supported: reshape it before saving",
            t->name, shape->count, WF_SOURCE_MAX_DIMS);
    }
    for (const wf_json *d = shape->first; d != NULL; d = d->next) {
        unsigned long long n;
        if (!wf_json_to_u64(d, &n)) {
            return damaged(t->name, "has a dimension that is no whole number", err);
        }
        t->dims[t->n_dims++] = n;
    }
    WF_TRY(wf_source_count(t, err));
    int64_t stride = 1;
    for (uint32_t d = t->n_dims; d-- > 0;) {
        t->strides[d] = stride;
        stride *= t->dims[d] != 0 ? (int64_t)t->dims[d]
                                  : 1; /* cannot overflow: wf_source_count bounds the product */
    }
    return WF_OK;
}

static wf_status take_tensor(const wf_json *entry, uint64_t data_start, uint64_t file_bytes,
                             wf_source_tensor *t, wf_error *err) {
    t->name = entry->key;
    if (entry->kind != WF_JSON_OBJECT) {
        return damaged(t->name, "is no object", err);
    }
    WF_TRY(take_dtype(entry, t, err));
    WF_TRY(take_shape(entry, t, err));
    const wf_json *offsets = wf_json_get(entry, "data_offsets");
    unsigned long long begin, end;
    if (offsets == NULL || offsets->count != 2 || !wf_json_to_u64(wf_json_at(offsets, 0), &begin) ||
        !wf_json_to_u64(wf_json_at(offsets, 1), &end) || begin > end) {
        return damaged(t->name, "has no proper data_offsets", err);
    }
    if (end - begin != t->elements * wf_dtype_get(t->type)->bytes) {
        return damaged(t->name, "has data_offsets that don't fit its dtype and shape", err);
    }
    if (end > file_bytes - data_start) {
        return wf_fail(err, WF_E_TRUNCATED, t->name, (int64_t)file_bytes,
                       "tensor \"%s\" would end at byte %llu, but the file ends at byte %llu: it "
                       "was cut off; download it "
                       "again",
                       t->name, (unsigned long long)(data_start + end),
                       (unsigned long long)file_bytes);
    }
    t->storage_at = data_start + begin;
    t->storage_bytes = end - begin;
    return WF_OK;
}

static int by_place(const void *context, uint32_t a, uint32_t b) {
    const wf_source_tensor *t = context;
    if (t[a].storage_at != t[b].storage_at) {
        return t[a].storage_at < t[b].storage_at ? -1 : 1;
    }
    return t[a].storage_bytes < t[b].storage_bytes ? -1 : t[a].storage_bytes > t[b].storage_bytes;
}

static wf_status check_overlap(wf_source *s, wf_error *err) {
    void *block;
    WF_TRY(wf_alloc_array(&block, s->tensor_count, sizeof(uint32_t), "the tensor table", err));
    uint32_t *order = block;
    wf_status status = WF_OK;
    for (uint32_t i = 0; i < s->tensor_count; i++) {
        order[i] = i;
    }
    wf_sort_indices(order, (size_t)s->tensor_count, by_place, s->tensors);
    for (uint64_t i = 1; i < s->tensor_count && status == WF_OK; i++) {
        const wf_source_tensor *a = &s->tensors[order[i - 1]], *b = &s->tensors[order[i]];
        if (a->storage_at + a->storage_bytes > b->storage_at) {
            status = wf_fail(err, WF_E_FORMAT, b->name, (int64_t)b->storage_at,
                             "tensors \"%s\" and \"%s\" overlap: the file is damaged or badly "
                             "made; save the model again",
                             a->name, b->name);
        }
    }
    wf_free(order);
    return status;
}

static wf_status take_tensors(wf_source *s, const wf_json *root, uint64_t data_start,
                              wf_error *err) {
    if (root->kind != WF_JSON_OBJECT) {
        return wf_fail(
            err, WF_E_FORMAT, "safetensors header", 8,
            "the safetensors header is no JSON object: the file is damaged; download it again");
    }
    s->tensors = wf_arena_alloc(&s->arena, (root->count + 1) * sizeof *s->tensors);
    if (s->tensors == NULL) {
        return wf_fail(err, WF_E_MEMORY, "safetensors header", -1,
                       "no memory for %zu tensors; close other programs", root->count);
    }
    for (const wf_json *entry = root->first; entry != NULL; entry = entry->next) {
        if (strcmp(entry->key, "__metadata__") != 0) {
            WF_TRY(take_tensor(entry, data_start, s->file.size, &s->tensors[s->tensor_count], err));
            s->tensor_count++;
        }
    }
    return check_overlap(s, err);
}

wf_status wf_safetensors_list(wf_source *s, wf_error *err) {
    uint8_t length[8];
    const wf_file *f = &s->file;
    if (f->size < 8) {
        return wf_fail(
            err, WF_E_TRUNCATED, "safetensors header", (int64_t)f->size,
            "the file ends after %llu bytes, inside its header: it was cut off; download it again",
            (unsigned long long)f->size);
    }
    WF_TRY(f->read(f->user, 0, length, 8, err));
    uint64_t n = wf_load_u64(length);
    if (n > LARGEST_HEADER) {
        return wf_fail(err, WF_E_FORMAT, "safetensors header", 0,
                       "the safetensors header is given as %llu bytes, and 100 MB is the format's "
                       "limit: the file is "
                       "damaged; download it again",
                       (unsigned long long)n);
    }
    if (n > f->size - 8) {
        return wf_fail(err, WF_E_TRUNCATED, "safetensors header", 0,
                       "the safetensors header is given as %llu bytes, but only %llu bytes of the "
                       "file remain: it was cut "
                       "off; download it again",
                       (unsigned long long)n, (unsigned long long)(f->size - 8));
    }
    char *text = wf_alloc((size_t)n + 1);
    if (text == NULL) {
        return wf_fail(err, WF_E_MEMORY, "safetensors header", -1,
                       "no memory for a header of %llu bytes; close other programs",
                       (unsigned long long)n);
    }
    wf_json *root = NULL;
    wf_status status = f->read(f->user, 8, text, (size_t)n, err);
    if (status == WF_OK) {
        status = wf_json_parse(&s->arena, text, (size_t)n, "safetensors header", &root, err);
    }
    wf_free(text);
    return status == WF_OK ? take_tensors(s, root, 8 + n, err) : status;
}

wf_status wf_safetensors_open(wf_file file, wf_source *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    wf_arena_init(&out->arena);
    out->container = "safetensors";
    out->file = file;
    wf_status status = wf_safetensors_list(out, err);
    status = status == WF_OK ? wf_source_finish(out, err) : status;
    if (status != WF_OK) {
        wf_source_close(out);
    }
    return status;
}
