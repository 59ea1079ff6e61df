/* From a pickled object to a table of tensors, for both of PyTorch's containers. The state dict is
   looked for under the usual names (`usual` below, in this order: the first that is a dict with
   tensors in it), else it is the top-level dict itself. Plain weights come before their moving
   average (EMA), as the official repositories evaluate what they train; BasicSR's params_ema before
   its params, and the teacher of self-supervised training (SiT, DINO) before its student, as their own inference has it. What else was there is said.
   A tensor is a view of a storage, whose place the container tells. */
#include "format/torch_state.h"

#include <string.h>

#include "base/print.h"
#include "format/source_finish.h"

static const struct {
    const char *storage, *dtype; /* "FloatStorage", and the dtype's name where a tensor gives it */
    wf_dtype type;
    bool is_bool, is_u8;
} types[] = {
    {"FloatStorage", "float32", WF_F32, false, false},
    {"HalfStorage", "float16", WF_F16, false, false},
    {"BFloat16Storage", "bfloat16", WF_BF16, false, false},
    {"DoubleStorage", "float64", WF_F64, false, false},
    {"LongStorage", "int64", WF_I64, false, false},
    {"IntStorage", "int32", WF_I32, false, false},
    {"ShortStorage", "int16", WF_I16, false, false},
    {"CharStorage", "int8", WF_I8, false, false},
    {"ByteStorage", "uint8", WF_I8, false, true},
    {"BoolStorage", "bool", WF_I8, true, false},
};

typedef struct taking {
    wf_source *s;
    wf_torch_storages storages;
} taking;

static wf_status no_memory(wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, "state dict", -1,
                   "no memory for the checkpoint's table of contents; close other programs");
}

static bool is_dict(const wf_pickle_value *v) {
    return v->kind == WF_PICKLE_DICT || v->kind == WF_PICKLE_OBJECT;
}

/* Pairs of a dict whose value is a tensor under a string. */
static size_t count_tensors(const wf_pickle_value *v) {
    size_t n = 0;
    for (size_t i = 0; is_dict(v) && i + 1 < v->as.list.count; i += 2) {
        n += v->as.list.items[i]->kind == WF_PICKLE_STRING &&
             v->as.list.items[i + 1]->kind == WF_PICKLE_TENSOR;
    }
    return n;
}

static wf_status no_state_dict(const wf_pickle_value *top, wf_error *err) {
    char keys[160] = "";
    if (!is_dict(top) || top->as.list.count == 0) {
        const wf_pickle_value *type = top->kind == WF_PICKLE_OBJECT ? top->as.list.type : NULL;
        if (type != NULL) {
            return wf_fail(
                err, WF_E_MISSING, "state dict", -1,
                "this checkpoint holds a whole object of the Python class %s.%s: in Python, "
                "torch.save(model.state_dict(), NEW)",
                type->as.global.module, type->as.global.name);
        }
        return wf_fail(err, WF_E_MISSING, "state dict", -1,
                       "this checkpoint holds no dict of tensors: in Python, "
                       "torch.save(model.state_dict(), NEW)");
    }
    for (size_t i = 0; i + 1 < top->as.list.count && strlen(keys) < 120; i += 2) {
        if (top->as.list.items[i]->kind == WF_PICKLE_STRING) {
            wf_print(keys + strlen(keys), sizeof keys - strlen(keys), "%s%.30s",
                     keys[0] != '\0' ? ", " : "", top->as.list.items[i]->as.string.text);
        }
    }
    return wf_fail(
        err, WF_E_MISSING, "state dict", -1,
        "no state dict was found in this checkpoint, whose top level holds the keys %s: in Python, "
        "torch.save(checkpoint[KEY], NEW)",
        keys);
}

static const char *const usual[] = {"state_dict",     "model",     "params_ema", "params",
                                    "state_dict_ema", "model_ema", "module",     "teacher",
                                    "student"};
enum { USUAL = sizeof usual / sizeof usual[0] };

/* "state_dict (not state_dict_ema, which is there too)" */
static wf_status note_choice(wf_source *s, const wf_pickle_value *top, size_t chosen,
                             wf_error *err) {
    char others[128] = "";
    size_t count = 0;
    for (size_t i = 0; i < USUAL; i++) {
        const wf_pickle_value *v = i != chosen ? wf_pickle_get(top, usual[i]) : NULL;
        if (v != NULL && count_tensors(v) != 0) {
            wf_print(others + strlen(others), sizeof others - strlen(others), "%s%s",
                     count != 0 ? ", " : "", usual[i]);
            count++;
        }
    }
    s->prefix_note = usual[chosen];
    if (count != 0) {
        s->prefix_note = wf_arena_format(&s->arena, "%s (not %s, which %s there too)",
                                         usual[chosen], others, count == 1 ? "is" : "are");
    }
    return s->prefix_note != NULL ? WF_OK : no_memory(err);
}

static wf_status find_state_dict(wf_source *s, const wf_pickle_value *top,
                                 const wf_pickle_value **out, wf_error *err) {
    for (size_t i = 0; i < USUAL; i++) {
        const wf_pickle_value *v = wf_pickle_get(top, usual[i]);
        if (v != NULL && count_tensors(v) != 0) {
            *out = v;
            return note_choice(s, top, i, err);
        }
    }
    *out = top;
    return count_tensors(top) != 0 ? WF_OK : no_state_dict(top, err);
}

static wf_status take_type(const wf_pickle_value *v, wf_source_tensor *t, wf_error *err) {
    const char *storage = v->as.tensor.storage->as.storage.type, *dtype = v->as.tensor.dtype;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (dtype != NULL ? strcmp(types[i].dtype, dtype) == 0
                          : strcmp(types[i].storage, storage) == 0) {
            t->type = types[i].type;
            t->is_bool = types[i].is_bool;
            t->is_u8 = types[i].is_u8;
            return WF_OK;
        }
    }
    return wf_fail(
        err, WF_E_UNSUPPORTED, t->name, -1,
        "tensor \"%s\" is stored as %s, which is not read: convert it to float32 before saving",
        t->name, dtype != NULL ? dtype : storage);
}

static wf_status take_shape(const wf_pickle_value *v, wf_source_tensor *t, wf_error *err) {
    const wf_pickle_value *size = v->as.tensor.size, *stride = v->as.tensor.stride;
    if (size->as.list.count > WF_SOURCE_MAX_DIMS) {
        return wf_fail(
            err, WF_E_UNSUPPORTED, t->name, -1,
            "tensor \"%s\" has %zu dimensions, and %d are supported: reshape it before saving",
            t->name, size->as.list.count, WF_SOURCE_MAX_DIMS);
    }
    t->n_dims = (uint32_t)size->as.list.count;
    bool sound = stride->as.list.count == t->n_dims && v->as.tensor.offset->as.i >= 0;
    for (uint32_t d = 0; d < t->n_dims && sound; d++) {
        const wf_pickle_value *n = size->as.list.items[d], *step = stride->as.list.items[d];
        sound = n->kind == WF_PICKLE_INT && step->kind == WF_PICKLE_INT && n->as.i >= 0 &&
                step->as.i >= 0;
        t->dims[d] = sound ? (uint64_t)n->as.i : 0;
        t->strides[d] = sound ? step->as.i : 0;
    }
    if (!sound) {
        return wf_fail(err, WF_E_FORMAT, t->name, -1,
                       "tensor \"%s\" has an impossible size, stride or offset: the file is "
                       "damaged or made to do harm; "
                       "don't use it",
                       t->name);
    }
    t->first = (uint64_t)v->as.tensor.offset->as.i;
    return wf_source_count(t, err);
}

static wf_status take_storage(const taking *o, const wf_pickle_value *v, wf_source_tensor *t,
                              wf_error *err) {
    const wf_pickle_value *storage = v->as.tensor.storage;
    uint64_t bytes = 0;
    WF_TRY(o->storages.locate(o->storages.user, storage, t->name, &t->storage_at, &bytes, err));
    /* With an explicit dtype the storage is untyped and counts bytes. */
    uint64_t size = v->as.tensor.dtype != NULL ? 1 : wf_dtype_get(t->type)->bytes;
    if (storage->as.storage.elements < 0 ||
        (uint64_t)storage->as.storage.elements > bytes / size) {
        return wf_fail(err, WF_E_FORMAT, t->name, -1,
                       "the storage of tensor \"%s\" is said to hold %lld elements, and its entry "
                       "has %llu bytes: the file is "
                       "damaged; download it again",
                       t->name, (long long)storage->as.storage.elements,
                       (unsigned long long)bytes);
    }
    t->storage_bytes = (uint64_t)storage->as.storage.elements * size;
    return WF_OK;
}

/* A value under a name in the state dict: a tensor is taken; another kind of tensor is refused,
 * anything else passed over. */
static wf_status take_value(const taking *o, const wf_pickle_value *key, const wf_pickle_value *v,
                            wf_error *err) {
    const wf_pickle_value *type = v->kind == WF_PICKLE_OBJECT ? v->as.list.type : NULL;
    if (key->kind != WF_PICKLE_STRING) {
        return WF_OK;
    }
    if (type != NULL && strncmp(type->as.global.name, "_rebuild", 8) == 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, key->as.string.text, -1,
                       "\"%s\" is a special tensor (%s.%s), which is not read: make it an ordinary "
                       "one before saving",
                       key->as.string.text, type->as.global.module, type->as.global.name);
    }
    if (v->kind != WF_PICKLE_TENSOR) {
        return WF_OK;
    }
    if (strlen(key->as.string.text) != key->as.string.bytes || key->as.string.bytes == 0) {
        return wf_fail(err, WF_E_FORMAT, "state dict", -1,
                       "a tensor's name is empty or holds a zero byte: the file is damaged or "
                       "badly made; save it again");
    }
    wf_source_tensor *t = &o->s->tensors[o->s->tensor_count];
    t->name = key->as.string.text;
    WF_TRY(take_type(v, t, err));
    WF_TRY(take_shape(v, t, err));
    WF_TRY(take_storage(o, v, t, err));
    o->s->tensor_count++;
    return WF_OK;
}

wf_status wf_torch_take_state(wf_source *s, const wf_pickle_value *top, wf_torch_storages storages,
                              wf_error *err) {
    taking o = {s, storages};
    const wf_pickle_value *dict;
    WF_TRY(find_state_dict(s, top, &dict, err));
    s->tensors = wf_arena_alloc(&s->arena, count_tensors(dict) * sizeof *s->tensors);
    if (s->tensors == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i + 1 < dict->as.list.count; i += 2) {
        WF_TRY(take_value(&o, dict->as.list.items[i], dict->as.list.items[i + 1], err));
    }
    return wf_source_finish(s, err);
}
