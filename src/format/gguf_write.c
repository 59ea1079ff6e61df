/* GGUF v3 writer (gguf.md §1), alignment 32. Keys and tensors are declared first and kept as the
   bytes that the header will hold; then the header goes out, then the data of each tensor in the
   order of declaration, padded to 32. The writer counts what it gets, so a tensor with too few or
   too many bytes is an error and never a broken file. */
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/sha256.h"
#include "format/gguf.h"

enum { ALIGNMENT = 32, LONGEST_NAME = 64, LONGEST_KEY = 65535 };

typedef struct buffer {
    uint8_t *bytes;
    size_t n, capacity;
} buffer;

/* Names seen so far: open addressing, at most half full. */
typedef struct name_set {
    size_t *slots; /* 1 + place of the name in `names`; 0: free */
    size_t capacity, count;
    buffer names; /* NUL-terminated, one behind the other */
} name_set;

typedef struct tensor_size {
    uint64_t bytes;
    size_t name; /* place in tensor_names.names */
} tensor_size;

struct wf_gguf_writer {
    buffer kvs, tensors;
    name_set keys, tensor_names;
    tensor_size *sizes;
    size_t sizes_capacity;
    uint64_t kv_count, tensor_count, data_bytes; /* data_bytes: offset of the next tensor */
    size_t seal; /* place in kvs of the header's own hash; 0: none */
    wf_byte_sink sink;
    bool header_written, ended;
    uint64_t current, written; /* the tensor whose data come now, and how many of its bytes came */
};

static const uint8_t scalar_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static wf_status no_memory(wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, "gguf writer", -1,
                   "no memory for the header of the new file; close other programs");
}

wf_status wf_gguf_writer_create(wf_gguf_writer **out, wf_error *err) {
    *out = wf_alloc_zero(sizeof **out);
    return *out != NULL ? WF_OK : no_memory(err);
}

void wf_gguf_writer_free(wf_gguf_writer *w) {
    if (w == NULL) {
        return;
    }
    wf_free(w->kvs.bytes);
    wf_free(w->tensors.bytes);
    wf_free(w->keys.slots);
    wf_free(w->keys.names.bytes);
    wf_free(w->tensor_names.slots);
    wf_free(w->tensor_names.names.bytes);
    wf_free(w->sizes);
    wf_free(w);
}

/* ---- bytes ---- */

static wf_status reserve(buffer *b, uint64_t n, wf_error *err) {
    if (n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4) {
        return no_memory(err);
    }
    if (b->n + n > b->capacity) {
        size_t wanted = (b->n + (size_t)n) * 2 + 256;
        uint8_t *bigger = wf_realloc(b->bytes, wanted);
        if (bigger == NULL) {
            return no_memory(err);
        }
        b->bytes = bigger;
        b->capacity = wanted;
    }
    return WF_OK;
}

static wf_status put(buffer *b, const void *p, uint64_t n, wf_error *err) {
    WF_TRY(reserve(b, n, err));
    if (n != 0) {
        memcpy(b->bytes + b->n, p, (size_t)n);
        b->n += (size_t)n;
    }
    return WF_OK;
}

static wf_status put_int(buffer *b, uint64_t v, int bytes, wf_error *err) {
    uint8_t le[8];
    for (int i = 0; i < bytes; i++) {
        le[i] = (uint8_t)(v >> 8 * i);
    }
    return put(b, le, (uint64_t)bytes, err);
}

static wf_status put_string(buffer *b, const char *s, wf_error *err) {
    WF_TRY(put_int(b, strlen(s), 8, err));
    return put(b, s, strlen(s), err);
}

/* ---- names ---- */

static size_t slot_of(const name_set *set, const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
    }
    size_t slot = (size_t)(hash ^ hash >> 32) & (set->capacity - 1);
    while (set->slots[slot] != 0 &&
           strcmp((const char *)set->names.bytes + set->slots[slot] - 1, name) != 0) {
        slot = (slot + 1) & (set->capacity - 1);
    }
    return slot;
}

static wf_status widen(name_set *set, wf_error *err) {
    name_set wider = *set;
    wider.capacity = set->capacity < 64 ? 64 : set->capacity * 2;
    wider.slots = wf_alloc_zero(wider.capacity * sizeof *wider.slots);
    if (wider.slots == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != 0) {
            wider.slots[slot_of(&wider, (const char *)set->names.bytes + set->slots[i] - 1)] =
                set->slots[i];
        }
    }
    wf_free(set->slots);
    *set = wider;
    return WF_OK;
}

/* Adds a name; `kind` is for the error ("metadata key", "tensor"). */
static wf_status add_name(name_set *set, const char *name, size_t longest, const char *kind,
                          wf_error *err) {
    size_t n = strlen(name);
    if (n == 0 || n > longest) {
        return wf_fail(
            err, WF_E_ARGUMENT, name, -1,
            "the %s \"%.80s\" is %zu bytes long, and GGUF allows 1 … %zu: choose a shorter name",
            kind, name, n, longest);
    }
    if (set->count * 2 >= set->capacity) {
        WF_TRY(widen(set, err));
    }
    size_t slot = slot_of(set, name);
    if (set->slots[slot] != 0) {
        return wf_fail(err, WF_E_ARGUMENT, name, -1, "the %s \"%s\" was added twice: add it once",
                       kind, name);
    }
    size_t place = set->names.n;
    WF_TRY(put(&set->names, name, n + 1, err));
    set->slots[slot] = place + 1;
    set->count++;
    return WF_OK;
}

/* ---- metadata ---- */

static wf_status begin_kv(wf_gguf_writer *w, const char *key, wf_gguf_type type, wf_error *err) {
    if (w->header_written) {
        return wf_fail(err, WF_E_STATE, key, -1,
                       "the header is written already: add \"%s\" before wf_gguf_write_header",
                       key);
    }
    if (strcmp(key, "general.alignment") == 0) {
        return wf_fail(err, WF_E_ARGUMENT, key, -1,
                       "this writer aligns to 32, GGUF's default: leave general.alignment out");
    }
    WF_TRY(add_name(&w->keys, key, LONGEST_KEY, "metadata key", err));
    w->kv_count++;
    WF_TRY(put_string(&w->kvs, key, err));
    return put_int(&w->kvs, type, 4, err);
}

wf_status wf_gguf_add_u32(wf_gguf_writer *w, const char *key, uint32_t v, wf_error *err) {
    WF_TRY(begin_kv(w, key, WF_GGUF_U32, err));
    return put_int(&w->kvs, v, 4, err);
}

wf_status wf_gguf_add_u64(wf_gguf_writer *w, const char *key, uint64_t v, wf_error *err) {
    WF_TRY(begin_kv(w, key, WF_GGUF_U64, err));
    return put_int(&w->kvs, v, 8, err);
}

wf_status wf_gguf_add_f32(wf_gguf_writer *w, const char *key, float v, wf_error *err) {
    WF_TRY(begin_kv(w, key, WF_GGUF_F32, err));
    return put(&w->kvs, &v, 4, err);
}

wf_status wf_gguf_add_bool(wf_gguf_writer *w, const char *key, bool v, wf_error *err) {
    WF_TRY(begin_kv(w, key, WF_GGUF_BOOL, err));
    return put_int(&w->kvs, v, 1, err);
}

wf_status wf_gguf_add_string(wf_gguf_writer *w, const char *key, const char *v, wf_error *err) {
    WF_TRY(begin_kv(w, key, WF_GGUF_STRING, err));
    return put_string(&w->kvs, v, err);
}

static wf_status begin_array(wf_gguf_writer *w, const char *key, wf_gguf_type element,
                             uint64_t count, wf_error *err) {
    if (element > WF_GGUF_F64 || element == WF_GGUF_ARRAY) {
        return wf_fail(err, WF_E_ARGUMENT, key, -1,
                       "an array of GGUF type %d (\"%s\") cannot be written: use a scalar type",
                       (int)element, key);
    }
    if (count > SIZE_MAX / 16) {
        return no_memory(err);
    }
    WF_TRY(begin_kv(w, key, WF_GGUF_ARRAY, err));
    WF_TRY(put_int(&w->kvs, element, 4, err));
    return put_int(&w->kvs, count, 8, err);
}

wf_status wf_gguf_add_array(wf_gguf_writer *w, const char *key, wf_gguf_type element,
                            const void *items, uint64_t count, wf_error *err) {
    WF_TRY(begin_array(w, key, element, count, err));
    if (element != WF_GGUF_STRING) {
        return put(&w->kvs, items, count * scalar_bytes[element], err);
    }
    for (uint64_t i = 0; i < count; i++) {
        WF_TRY(put_string(&w->kvs, ((const char *const *)items)[i], err));
    }
    return WF_OK;
}

wf_status wf_gguf_add_seal(wf_gguf_writer *w, const char *key, wf_error *err) {
    static const uint8_t zeros[WF_SHA256_BYTES];
    if (w->kv_count != 0) {
        return wf_fail(err, WF_E_STATE, key, -1,
                       "the header's own hash must be its first key: add \"%s\" before the others",
                       key);
    }
    WF_TRY(begin_array(w, key, WF_GGUF_U8, sizeof zeros, err));
    w->seal = w->kvs.n;
    return put(&w->kvs, zeros, sizeof zeros, err);
}

wf_status wf_gguf_add_kv(wf_gguf_writer *w, const wf_gguf_kv *kv, wf_error *err) {
    const char *key = kv->key.text;
    float f;
    switch (kv->type) {
    case WF_GGUF_STRING: return wf_gguf_add_string(w, key, kv->value.s.text, err);
    case WF_GGUF_ARRAY:
        if (kv->element != WF_GGUF_STRING) {
            return wf_gguf_add_array(w, key, kv->element, kv->value.items, kv->count, err);
        }
        WF_TRY(begin_array(w, key, kv->element, kv->count, err));
        for (uint64_t i = 0; i < kv->count; i++) {
            WF_TRY(put_string(&w->kvs, wf_gguf_item_string(kv, i), err));
        }
        return WF_OK;
    case WF_GGUF_F32: f = (float)kv->value.f; return wf_gguf_add_f32(w, key, f, err);
    default: /* integers and f64: the low bytes of the value */
        WF_TRY(begin_kv(w, key, kv->type, err));
        return put_int(&w->kvs, kv->value.u, scalar_bytes[kv->type], err);
    }
}

/* ---- tensors ---- */

static wf_status note_size(wf_gguf_writer *w, uint64_t bytes, size_t name, wf_error *err) {
    if (w->tensor_count == w->sizes_capacity) {
        size_t wanted = w->sizes_capacity < 64 ? 64 : w->sizes_capacity * 2;
        tensor_size *bigger = wf_realloc(w->sizes, wanted * sizeof *bigger);
        if (bigger == NULL) {
            return no_memory(err);
        }
        w->sizes = bigger;
        w->sizes_capacity = wanted;
    }
    w->sizes[w->tensor_count].bytes = bytes;
    w->sizes[w->tensor_count].name = name;
    w->tensor_count++;
    return WF_OK;
}

wf_status wf_gguf_add_tensor(wf_gguf_writer *w, const char *name, wf_dtype type, uint32_t n_dims,
                             const uint64_t *dims, wf_error *err) {
    const wf_dtype_info *info = wf_dtype_get(type);
    uint64_t elements = 1;
    if (w->header_written) {
        return wf_fail(
            err, WF_E_STATE, name, -1,
            "the header is written already: declare tensor \"%s\" before wf_gguf_write_header",
            name);
    }
    if (n_dims > 4) {
        return wf_fail(err, WF_E_SHAPE, name, -1,
                       "tensor \"%s\" has %u dimensions, and GGUF allows 4: merge some", name,
                       n_dims);
    }
    for (uint32_t i = 0; i < n_dims; i++) {
        if (dims[i] == 0 || dims[i] > (UINT64_MAX >> 8) / elements) {
            return wf_fail(err, WF_E_SHAPE, name, -1,
                           "dimension %u of tensor \"%s\" is %llu, which is nothing or too much: "
                           "leave such a tensor out",
                           i, name, (unsigned long long)dims[i]);
        }
        elements *= dims[i];
    }
    if ((n_dims > 0 ? dims[0] : 1) % info->block != 0) {
        return wf_fail(err, WF_E_SHAPE, name, -1,
                       "tensor \"%s\" has rows of %llu elements, and %s is stored in blocks of %u: "
                       "pad the rows or choose "
                       "another type",
                       name, (unsigned long long)(n_dims > 0 ? dims[0] : 1), info->name,
                       info->block);
    }
    size_t place = w->tensor_names.names.n;
    WF_TRY(add_name(&w->tensor_names, name, LONGEST_NAME, "tensor", err));
    uint64_t bytes = elements / info->block * info->bytes;
    WF_TRY(note_size(w, bytes, place, err));
    WF_TRY(put_string(&w->tensors, name, err));
    WF_TRY(put_int(&w->tensors, n_dims, 4, err));
    for (uint32_t i = 0; i < n_dims; i++) {
        WF_TRY(put_int(&w->tensors, dims[i], 8, err));
    }
    WF_TRY(put_int(&w->tensors, info->gguf_id, 4, err));
    WF_TRY(put_int(&w->tensors, w->data_bytes, 8, err));
    w->data_bytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return WF_OK;
}

/* ---- output ---- */

static const uint8_t zeros[ALIGNMENT];

static wf_status pad(wf_gguf_writer *w, uint64_t at, wf_error *err) {
    size_t n = (size_t)((ALIGNMENT - at % ALIGNMENT) % ALIGNMENT);
    return n == 0 ? WF_OK : w->sink.write(w->sink.user, zeros, n, err);
}

static wf_status send(wf_gguf_writer *w, const buffer *b, wf_error *err) {
    return b->n == 0 ? WF_OK : w->sink.write(w->sink.user, b->bytes, b->n, err);
}

/* Hashes the header as it will go out, the place of the hash itself still zero. */
static void seal(wf_gguf_writer *w, const buffer *fixed) {
    wf_sha256 h;
    wf_sha256_init(&h);
    wf_sha256_add(&h, fixed->bytes, fixed->n);
    wf_sha256_add(&h, w->kvs.bytes, w->kvs.n);
    wf_sha256_add(&h, w->tensors.bytes, w->tensors.n);
    wf_sha256_add(&h, zeros, (size_t)((ALIGNMENT - h.length % ALIGNMENT) % ALIGNMENT));
    wf_sha256_digest(&h, w->kvs.bytes + w->seal);
}

wf_status wf_gguf_write_header(wf_gguf_writer *w, wf_byte_sink sink, wf_error *err) {
    buffer fixed = {NULL, 0, 0};
    if (w->header_written) {
        return wf_fail(err, WF_E_STATE, "gguf writer", -1,
                       "the header is written already: use a new writer");
    }
    w->sink = sink;
    w->header_written = true;
    wf_status s = put(&fixed, "GGUF\3\0\0", 8, err);
    s = s == WF_OK ? put_int(&fixed, w->tensor_count, 8, err) : s;
    s = s == WF_OK ? put_int(&fixed, w->kv_count, 8, err) : s;
    if (s == WF_OK && w->seal != 0) {
        seal(w, &fixed);
    }
    s = s == WF_OK ? send(w, &fixed, err) : s;
    s = s == WF_OK ? send(w, &w->kvs, err) : s;
    s = s == WF_OK ? send(w, &w->tensors, err) : s;
    s = s == WF_OK ? pad(w, (uint64_t)fixed.n + w->kvs.n + w->tensors.n, err) : s;
    wf_free(fixed.bytes);
    return s;
}

static const char *current_name(const wf_gguf_writer *w) {
    return (const char *)w->tensor_names.names.bytes + w->sizes[w->current].name;
}

wf_status wf_gguf_write_data(wf_gguf_writer *w, const void *bytes, size_t n, wf_error *err) {
    const uint8_t *p = bytes;
    if (!w->header_written || w->ended) {
        return wf_fail(err, WF_E_STATE, "gguf writer", -1,
                       "tensor data belong between the header and the end of the file");
    }
    while (n != 0) {
        if (w->current == w->tensor_count) {
            return wf_fail(
                err, WF_E_STATE, "gguf writer", -1,
                "%zu bytes more than the declared tensors hold: declare all tensors first", n);
        }
        uint64_t size = w->sizes[w->current].bytes, left = size - w->written;
        size_t piece = n < left ? n : (size_t)left;
        WF_TRY(w->sink.write(w->sink.user, p, piece, err));
        p += piece;
        n -= piece;
        w->written += piece;
        if (w->written == size) {
            WF_TRY(pad(w, size, err));
            w->current++;
            w->written = 0;
        }
    }
    return WF_OK;
}

wf_status wf_gguf_write_end(wf_gguf_writer *w, wf_error *err) {
    if (!w->header_written || w->ended) {
        return wf_fail(err, WF_E_STATE, "gguf writer", -1,
                       "write the header first, and the end once");
    }
    if (w->current != w->tensor_count) {
        return wf_fail(err, WF_E_STATE, current_name(w), -1,
                       "tensor \"%s\" got %llu of its %llu bytes: write all of them before the end",
                       current_name(w), (unsigned long long)w->written,
                       (unsigned long long)w->sizes[w->current].bytes);
    }
    w->ended = true;
    return WF_OK;
}
