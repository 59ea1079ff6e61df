/* The header of a GGUF file (gguf.md §1), one function a field: each takes the bytes that were
   asked for, checks them, keeps them in the arena and names the next field with its size. Limits:
   names of 64 bytes, keys of 65535, 4 dimensions; every count must fit into the bytes that can
   still follow, at the smallest size that an entry can have. */
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "format/gguf_reader.h"
#include "format/sniff.h"

enum {
    SMALLEST_KV = 14,     /* length, one byte of key, type, one byte of value */
    SMALLEST_TENSOR = 25, /* length, one byte of name, dimension count, type, offset */
    LONGEST_NAME = 64
};

static const uint8_t scalar_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

wf_status wf_gguf_reader_no_memory(wf_gguf_reader *r) {
    return wf_fail(&r->error, WF_E_MEMORY, "header", (int64_t)r->position,
                   "no memory for the model's header (%llu bytes so far); close other programs or "
                   "use a smaller model",
                   (unsigned long long)r->position);
}

/* Room for one more element; doubles, so that n pushes cost O(n). */
static bool grow(void **block, size_t *capacity, uint64_t count, size_t size) {
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity < 16 ? 16 : *capacity * 2;
    if (wanted > SIZE_MAX / 4 / size) {
        return false;
    }
    void *bigger = wf_realloc(*block, wanted * size);
    if (bigger == NULL) {
        return false;
    }
    *block = bigger;
    *capacity = wanted;
    return true;
}

wf_status wf_gguf_reader_check_room(wf_gguf_reader *r, uint64_t count, uint64_t each,
                                    const char *what) {
    uint64_t room = r->position < r->limit ? r->limit - r->position : 0;
    if (count <= room / each) {
        return WF_OK;
    }
    if (r->limit == r->file_bytes) {
        return wf_fail(&r->error, WF_E_FORMAT, "header", (int64_t)r->position,
                       "%s is given as %llu, but only %llu bytes of the file remain: it is damaged "
                       "or was cut off; "
                       "download it again",
                       what, (unsigned long long)count, (unsigned long long)room);
    }
    return wf_fail(
        &r->error, WF_E_FORMAT, "header", (int64_t)r->position,
        "%s is given as %llu, more than the %llu MiB that a header may hold: the file is damaged; "
        "download it again",
        what, (unsigned long long)count, (unsigned long long)(WF_GGUF_HEADER_LIMIT >> 20));
}

static wf_status expect(wf_gguf_reader *r, wf_gguf_step next, uint64_t need) {
    r->step = next;
    r->need = need;
    return WF_OK;
}

static wf_gguf_kv *last_kv(wf_gguf_reader *r) {
    return &r->g.kvs[r->g.kv_count - 1];
}

static wf_gguf_tensor *last_tensor(wf_gguf_reader *r) {
    return &r->g.tensors[r->g.tensor_count - 1];
}

/* A NUL-terminated copy of the current step's bytes. */
static wf_status take_string(wf_gguf_reader *r, const uint8_t *p, const char *what,
                             wf_gguf_string *out) {
    size_t n = (size_t)r->need;
    if (n != 0 && memchr(p, 0, n) != NULL) {
        return wf_fail(&r->error, WF_E_FORMAT, "header", (int64_t)(r->position - r->need),
                       "%s holds a zero byte, which no GGUF string may: the file is damaged; "
                       "download it again",
                       what);
    }
    out->text = wf_arena_string(&r->g.arena, n != 0 ? (const char *)p : "", n);
    out->length = n;
    return out->text != NULL ? WF_OK : wf_gguf_reader_no_memory(r);
}

static wf_status next_tensor(wf_gguf_reader *r) {
    return r->g.tensor_count < r->tensors_expected ? expect(r, STEP_NAME_LENGTH, 8)
                                                   : wf_gguf_reader_end_header(r);
}

static wf_status next_kv(wf_gguf_reader *r) {
    return r->g.kv_count < r->kvs_expected ? expect(r, STEP_KEY_LENGTH, 8) : next_tensor(r);
}

wf_status wf_gguf_reader_refuse(wf_gguf_reader *r, const uint8_t *p, size_t n) {
    const char *sentence;
    char hex[12];
    wf_sniff(p, n, &sentence);
    if (sentence != NULL) {
        return wf_fail(&r->error, WF_E_FORMAT, "magic", 0, "this is %s", sentence);
    }
    wf_sniff_hex(p, n, hex);
    return wf_fail(&r->error, WF_E_FORMAT, "magic", 0,
                   "this is not a GGUF file: it begins with the bytes %s instead of \"GGUF\"; "
                   "check the URL or path",
                   hex);
}

static wf_status step_fixed(wf_gguf_reader *r, const uint8_t *p) {
    if (memcmp(p, "GGUF", 4) != 0) {
        return wf_gguf_reader_refuse(r, p, WF_GGUF_FIXED_BYTES);
    }
    uint32_t version = wf_load_u32(p + 4);
    if (version == 1) {
        return wf_fail(&r->error, WF_E_UNSUPPORTED, "version", 4,
                       "this is GGUF version 1, which nobody writes any more: convert the original "
                       "model again");
    }
    if (version != 0 && (version & 0xffff) == 0) {
        return wf_fail(&r->error, WF_E_UNSUPPORTED, "version", 4,
                       "this is a big-endian GGUF file: convert the original model again on a "
                       "little-endian machine");
    }
    if (version != 2 && version != 3) {
        return wf_fail(&r->error, WF_E_UNSUPPORTED, "version", 4,
                       "this is GGUF version %u, and versions 2 and 3 are known: update this "
                       "program or convert the "
                       "model again",
                       version);
    }
    r->tensors_expected = wf_load_u64(p + 8);
    r->kvs_expected = wf_load_u64(p + 16);
    WF_TRY(wf_gguf_reader_check_room(r, r->kvs_expected, SMALLEST_KV,
                                     "the number of metadata entries"));
    WF_TRY(wf_gguf_reader_check_room(r, r->tensors_expected, SMALLEST_TENSOR,
                                     "the number of tensors"));
    return next_kv(r);
}

static wf_status step_key_length(wf_gguf_reader *r, const uint8_t *p) {
    uint64_t n = wf_load_u64(p);
    WF_TRY(wf_gguf_reader_check_room(r, n, 1, "the length of a metadata key"));
    if (n == 0 || n > 65535) {
        return wf_fail(&r->error, WF_E_FORMAT, "metadata", (int64_t)r->position - 8,
                       "metadata entry %llu has a key of %llu bytes (1 … 65535 are legal): the "
                       "file is damaged; download "
                       "it again",
                       (unsigned long long)r->g.kv_count, (unsigned long long)n);
    }
    return expect(r, STEP_KEY, n);
}

static wf_status step_key(wf_gguf_reader *r, const uint8_t *p) {
    if (!grow((void **)&r->g.kvs, &r->kv_capacity, r->g.kv_count, sizeof *r->g.kvs)) {
        return wf_gguf_reader_no_memory(r);
    }
    wf_gguf_kv *kv = &r->g.kvs[r->g.kv_count];
    memset(kv, 0, sizeof *kv);
    WF_TRY(take_string(r, p, "a metadata key", &kv->key));
    r->g.kv_count++;
    return expect(r, STEP_TYPE, 4);
}

static wf_status bad_type(wf_gguf_reader *r, uint32_t type) {
    const char *key = last_kv(r)->key.text;
    return wf_fail(&r->error, WF_E_FORMAT, key, (int64_t)r->position - 4,
                   "metadata key \"%s\" has the value type %u, which does not exist: the file is "
                   "damaged; download it again",
                   key, type);
}

static wf_status step_type(wf_gguf_reader *r, const uint8_t *p) {
    uint32_t type = wf_load_u32(p);
    if (type >= sizeof scalar_bytes) {
        return bad_type(r, type);
    }
    last_kv(r)->type = (wf_gguf_type)type;
    return type == WF_GGUF_STRING  ? expect(r, STEP_STRING_LENGTH, 8)
           : type == WF_GGUF_ARRAY ? expect(r, STEP_ARRAY, 12)
                                   : expect(r, STEP_SCALAR, scalar_bytes[type]);
}

static wf_status check_bools(wf_gguf_reader *r, const uint8_t *p, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] > 1) {
            const char *key = last_kv(r)->key.text;
            return wf_fail(&r->error, WF_E_FORMAT, key, (int64_t)(r->position - n + i),
                           "metadata key \"%s\" holds the truth value %u, where only 0 and 1 are "
                           "legal: the file is "
                           "damaged; download it again",
                           key, p[i]);
        }
    }
    return WF_OK;
}

static wf_status step_scalar(wf_gguf_reader *r, const uint8_t *p) {
    wf_gguf_kv *kv = last_kv(r);
    float f;
    switch (kv->type) {
    case WF_GGUF_BOOL:
        WF_TRY(check_bools(r, p, 1));
        kv->value.u = p[0];
        break;
    case WF_GGUF_U8: kv->value.u = p[0]; break;
    case WF_GGUF_I8: kv->value.i = (int8_t)p[0]; break;
    case WF_GGUF_U16: kv->value.u = wf_load_u16(p); break;
    case WF_GGUF_I16: kv->value.i = (int16_t)wf_load_u16(p); break;
    case WF_GGUF_U32: kv->value.u = wf_load_u32(p); break;
    case WF_GGUF_I32: kv->value.i = (int32_t)wf_load_u32(p); break;
    case WF_GGUF_F32:
        memcpy(&f, p, sizeof f);
        kv->value.f = (double)f;
        break;
    case WF_GGUF_F64: memcpy(&kv->value.f, p, sizeof kv->value.f); break;
    default: kv->value.u = wf_load_u64(p); break;
    }
    return next_kv(r);
}

static wf_status step_string_length(wf_gguf_reader *r, const uint8_t *p) {
    uint64_t n = wf_load_u64(p);
    WF_TRY(wf_gguf_reader_check_room(r, n, 1, "the length of a metadata string"));
    return expect(r, STEP_STRING, n);
}

static wf_status step_string(wf_gguf_reader *r, const uint8_t *p) {
    WF_TRY(take_string(r, p, "a metadata string", &last_kv(r)->value.s));
    return next_kv(r);
}

static wf_status step_array(wf_gguf_reader *r, const uint8_t *p) {
    wf_gguf_kv *kv = last_kv(r);
    uint32_t element = wf_load_u32(p);
    if (element >= sizeof scalar_bytes) {
        return bad_type(r, element);
    }
    if (element == WF_GGUF_ARRAY) {
        return wf_fail(&r->error, WF_E_UNSUPPORTED, kv->key.text, (int64_t)r->position - 12,
                       "metadata key \"%s\" is an array of arrays, which is not supported: convert "
                       "the model again "
                       "without it",
                       kv->key.text);
    }
    kv->element = (wf_gguf_type)element;
    kv->count = wf_load_u64(p + 4);
    WF_TRY(wf_gguf_reader_check_room(r, kv->count,
                                     element == WF_GGUF_STRING ? 8 : scalar_bytes[element],
                                     "the number of items of an array"));
    if (element == WF_GGUF_STRING && kv->count != 0) {
        r->item_count = 0;
        return expect(r, STEP_ITEM_LENGTH, 8);
    }
    return expect(r, STEP_ITEMS, kv->count * scalar_bytes[element]);
}

static wf_status keep_items(wf_gguf_reader *r, const void *items, size_t bytes) {
    void *copy = wf_arena_alloc(&r->g.arena, bytes);
    if (copy == NULL) {
        return wf_gguf_reader_no_memory(r);
    }
    if (bytes != 0) {
        memcpy(copy, items, bytes);
    }
    last_kv(r)->value.items = copy;
    return next_kv(r);
}

static wf_status step_items(wf_gguf_reader *r, const uint8_t *p) {
    if (last_kv(r)->element == WF_GGUF_BOOL) {
        WF_TRY(check_bools(r, p, r->need));
    }
    return keep_items(r, p, (size_t)r->need);
}

static wf_status step_item_length(wf_gguf_reader *r, const uint8_t *p) {
    uint64_t n = wf_load_u64(p);
    WF_TRY(wf_gguf_reader_check_room(r, n, 1, "the length of a string in an array"));
    return expect(r, STEP_ITEM, n);
}

static wf_status step_item(wf_gguf_reader *r, const uint8_t *p) {
    if (!grow((void **)&r->items, &r->item_capacity, r->item_count, sizeof *r->items)) {
        return wf_gguf_reader_no_memory(r);
    }
    WF_TRY(take_string(r, p, "a string in an array", &r->items[r->item_count]));
    r->item_count++;
    if (r->item_count < last_kv(r)->count) {
        return expect(r, STEP_ITEM_LENGTH, 8);
    }
    return keep_items(r, r->items, (size_t)r->item_count * sizeof *r->items);
}

static wf_status step_name_length(wf_gguf_reader *r, const uint8_t *p) {
    uint64_t n = wf_load_u64(p);
    WF_TRY(wf_gguf_reader_check_room(r, n, 1, "the length of a tensor name"));
    if (n == 0 || n > LONGEST_NAME) {
        return wf_fail(&r->error, WF_E_FORMAT, "tensors", (int64_t)r->position - 8,
                       "tensor %llu has a name of %llu bytes (1 … %d are legal): the file is "
                       "damaged; download it again",
                       (unsigned long long)r->g.tensor_count, (unsigned long long)n, LONGEST_NAME);
    }
    return expect(r, STEP_NAME, n);
}

static wf_status step_name(wf_gguf_reader *r, const uint8_t *p) {
    if (!grow((void **)&r->g.tensors, &r->tensor_capacity, r->g.tensor_count,
              sizeof *r->g.tensors)) {
        return wf_gguf_reader_no_memory(r);
    }
    wf_gguf_tensor *t = &r->g.tensors[r->g.tensor_count];
    memset(t, 0, sizeof *t);
    WF_TRY(take_string(r, p, "a tensor name", &t->name));
    r->g.tensor_count++;
    return expect(r, STEP_DIMENSION_COUNT, 4);
}

static wf_status step_dimension_count(wf_gguf_reader *r, const uint8_t *p) {
    wf_gguf_tensor *t = last_tensor(r);
    t->n_dims = wf_load_u32(p);
    if (t->n_dims > 4) {
        return wf_fail(&r->error, WF_E_FORMAT, t->name.text, (int64_t)r->position - 4,
                       "tensor \"%s\" has %u dimensions, and GGUF allows 4: the file is damaged; "
                       "download it again",
                       t->name.text, t->n_dims);
    }
    return expect(r, STEP_TENSOR, 8 * (uint64_t)t->n_dims + 12);
}

static wf_status take_dtype(wf_gguf_reader *r, wf_gguf_tensor *t, uint32_t id) {
    if (wf_dtype_from_gguf(id, &t->type)) {
        return WF_OK;
    }
    const char *name = wf_gguf_type_name(id);
    if (name == NULL) {
        return wf_fail(&r->error, WF_E_FORMAT, t->name.text, (int64_t)r->position - 12,
                       "tensor \"%s\" has the type id %u, which is unknown or no longer in use: "
                       "the file is damaged, or "
                       "newer than this program",
                       t->name.text, id);
    }
    return wf_fail(&r->error, WF_E_UNSUPPORTED, t->name.text, (int64_t)r->position - 12,
                   "tensor \"%s\" is stored as %s, which this version cannot compute with: convert "
                   "the model to F32, F16 "
                   "or Q8_0",
                   t->name.text, name);
}

static wf_status step_tensor(wf_gguf_reader *r, const uint8_t *p) {
    wf_gguf_tensor *t = last_tensor(r);
    uint64_t elements = 1;
    for (uint32_t i = 0; i < 4; i++) {
        t->dims[i] = i < t->n_dims ? wf_load_u64(p + 8 * (size_t)i) : 1;
        if (t->dims[i] == 0) {
            return wf_fail(&r->error, WF_E_SHAPE, t->name.text, (int64_t)(r->position - r->need),
                           "dimension %u of tensor \"%s\" is 0: the file is damaged or badly made; "
                           "convert it again",
                           i, t->name.text);
        }
        if (t->dims[i] > (UINT64_MAX >> 8) / elements) {
            return wf_fail(&r->error, WF_E_SHAPE, t->name.text, (int64_t)(r->position - r->need),
                           "the dimensions of tensor \"%s\" multiply to more than any file can "
                           "hold: the file is damaged; "
                           "download it again",
                           t->name.text);
        }
        elements *= t->dims[i];
    }
    p += 8 * (size_t)t->n_dims;
    WF_TRY(take_dtype(r, t, wf_load_u32(p)));
    const wf_dtype_info *type = wf_dtype_get(t->type);
    if (t->dims[0] % type->block != 0) {
        return wf_fail(&r->error, WF_E_SHAPE, t->name.text, (int64_t)(r->position - r->need),
                       "tensor \"%s\" has rows of %llu elements, and %s is stored in blocks of %u: "
                       "the file is badly made; "
                       "convert it again",
                       t->name.text, (unsigned long long)t->dims[0], type->name, type->block);
    }
    t->bytes = elements / type->block * type->bytes;
    t->offset = wf_load_u64(p + 4);
    return next_tensor(r);
}

/* What lies between the tables and the data belongs to the header too: then the header is everything before data_start. */
static wf_status step_padding(wf_gguf_reader *r, const uint8_t *p) {
    (void)p;
    wf_free(r->carry);
    r->carry = NULL;
    r->carry_capacity = 0;
    r->step = STEP_DATA;
    r->need = 0;
    return WF_OK;
}

wf_status wf_gguf_reader_step(wf_gguf_reader *r, const uint8_t *p) {
    static wf_status (*const steps[])(wf_gguf_reader *, const uint8_t *) = {
        step_fixed,  step_key_length,      step_key,    step_type,
        step_scalar, step_string_length,   step_string, step_array,
        step_items,  step_item_length,     step_item,   step_name_length,
        step_name,   step_dimension_count, step_tensor, step_padding};
    r->position += r->need;
    r->carry_bytes = 0;
    return steps[r->step](r, p);
}
