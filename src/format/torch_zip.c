/* PyTorch's zip container (torch.save since 1.6): ROOT/data.pkl holds the pickled object,
   ROOT/data/KEY the bytes of each storage, ROOT/byteorder their order. The state dict is looked for
   under the usual names ("state_dict", "model", "params_ema", "params", "state_dict_ema", in this
   order: the first that is a dict with tensors in it), else it is the top-level dict itself.
   Nothing is copied: a tensor is a view of bytes in the file. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "format/pickle.h"
#include "format/source_finish.h"
#include "format/zip.h"

#define LARGEST_PICKLE (UINT64_C(64) << 20) /* a hundred times what large models need */

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

typedef struct opening {
    wf_source *s;
    wf_zip zip;
    const char *root; /* "NAME/", or "" */
} opening;

static wf_status no_memory(wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, "torch zip", -1,
                   "no memory for the checkpoint's table of contents; close other programs");
}

/* ---- entries of the archive ---- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The first entry that is data.pkl in the top folder tells the folder's name. */
static wf_status find_root(opening *o, wf_error *err) {
    for (uint64_t i = 0; i < o->zip.count; i++) {
        const char *name = o->zip.entries[i].name, *slash = strchr(name, '/');
        if (strcmp(slash != NULL ? slash + 1 : name, "data.pkl") == 0) {
            o->root = wf_arena_string(&o->s->arena, name, strlen(name) - strlen("data.pkl"));
            return o->root != NULL ? WF_OK : no_memory(err);
        }
    }
    for (uint64_t i = 0; i < o->zip.count; i++) {
        if (ends_with(o->zip.entries[i].name, ".npy")) {
            return wf_fail(
                err, WF_E_UNSUPPORTED, "zip", 0,
                "this is a NumPy .npz archive, which is not read: save the arrays as safetensors");
        }
    }
    return wf_fail(err, WF_E_UNSUPPORTED, "zip", 0,
                   "this zip archive has no data.pkl, so torch.save did not make it: if the "
                   "checkpoint is inside, unzip it first");
}

static const wf_zip_entry *find_entry(opening *o, const char *name, const char *more,
                                      wf_error *err) {
    char *path = wf_arena_format(&o->s->arena, "%s%s%s", o->root, name, more);
    if (path == NULL) {
        (void)no_memory(err);
        return NULL;
    }
    return wf_zip_find(&o->zip, path);
}

static wf_status check_kind(opening *o, wf_error *err) {
    const wf_file *f = &o->s->file;
    if (find_entry(o, "constants.pkl", "", err) != NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, "torch zip", 0,
                       "this is a TorchScript program: in Python, "
                       "torch.save(torch.jit.load(FILE).state_dict(), NEW)");
    }
    const wf_zip_entry *order = find_entry(o, "byteorder", "", err);
    char text[8] = "little";
    uint64_t at;
    if (order != NULL) {
        WF_TRY(wf_zip_locate(&o->zip, order, &at, err));
        size_t n = order->bytes < sizeof text - 1 ? (size_t)order->bytes : sizeof text - 1;
        memset(text, 0, sizeof text);
        WF_TRY(f->read(f->user, at, text, n, err));
    }
    if (strcmp(text, "little") != 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, "byteorder", 0,
                       "this checkpoint is written with byte order \"%s\", and only little is "
                       "read: save it again on a "
                       "little-endian machine",
                       text);
    }
    return WF_OK;
}

static wf_status load_pickle(opening *o, wf_pickle_value **out, wf_error *err) {
    const wf_file *f = &o->s->file;
    const wf_zip_entry *e = find_entry(o, "data.pkl", "", err);
    uint64_t at;
    if (e == NULL) {
        return no_memory(err);
    }
    WF_TRY(wf_zip_locate(&o->zip, e, &at, err));
    if (e->bytes > LARGEST_PICKLE) {
        return wf_fail(
            err, WF_E_UNSUPPORTED, "data.pkl", (int64_t)at,
            "data.pkl is %llu bytes long, and 64 MiB are read at most: save only the state dict",
            (unsigned long long)e->bytes);
    }
    uint8_t *bytes = wf_alloc((size_t)e->bytes);
    if (bytes == NULL) {
        return no_memory(err);
    }
    wf_status s = f->read(f->user, at, bytes, (size_t)e->bytes, err);
    s = s == WF_OK ? wf_pickle_load(&o->s->arena, bytes, (size_t)e->bytes, out, err) : s;
    wf_free(bytes);
    return s;
}

/* ---- from pickled values to tensors ---- */

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
            snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%.30s",
                     keys[0] != '\0' ? ", " : "", top->as.list.items[i]->as.string.text);
        }
    }
    return wf_fail(
        err, WF_E_MISSING, "state dict", -1,
        "no state dict was found in this checkpoint, whose top level holds the keys %s: in Python, "
        "torch.save(checkpoint[KEY], NEW)",
        keys);
}

static wf_status find_state_dict(opening *o, const wf_pickle_value *top,
                                 const wf_pickle_value **out, wf_error *err) {
    static const char *const keys[] = {"state_dict", "model", "params_ema", "params",
                                       "state_dict_ema"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const wf_pickle_value *v = wf_pickle_get(top, keys[i]);
        if (v != NULL && count_tensors(v) != 0) {
            o->s->prefix_note = keys[i];
            *out = v;
            return WF_OK;
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

static wf_status take_storage(opening *o, const wf_pickle_value *v, wf_source_tensor *t,
                              wf_error *err) {
    const wf_pickle_value *storage = v->as.tensor.storage;
    const wf_zip_entry *e = find_entry(o, "data/", storage->as.storage.key, err);
    if (e == NULL) {
        return wf_fail(err, WF_E_FORMAT, t->name, -1,
                       "the bytes of tensor \"%s\" (entry data/%s) are not in the archive: the "
                       "file is damaged; download it "
                       "again",
                       t->name, storage->as.storage.key);
    }
    /* With an explicit dtype the storage is untyped and counts bytes. */
    uint64_t size = v->as.tensor.dtype != NULL ? 1 : wf_dtype_get(t->type)->bytes;
    if (storage->as.storage.elements < 0 ||
        (uint64_t)storage->as.storage.elements > e->bytes / size) {
        return wf_fail(err, WF_E_FORMAT, t->name, -1,
                       "the storage of tensor \"%s\" is said to hold %lld elements, and its entry "
                       "has %llu bytes: the file is "
                       "damaged; download it again",
                       t->name, (long long)storage->as.storage.elements,
                       (unsigned long long)e->bytes);
    }
    t->storage_bytes = (uint64_t)storage->as.storage.elements * size;
    return wf_zip_locate(&o->zip, e, &t->storage_at, err);
}

/* A value under a name in the state dict: a tensor is taken; another kind of tensor is refused,
 * anything else passed over. */
static wf_status take_value(opening *o, const wf_pickle_value *key, const wf_pickle_value *v,
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

static wf_status open_archive(wf_source *s, wf_error *err) {
    opening o = {.s = s};
    wf_pickle_value *top = NULL;
    const wf_pickle_value *dict;
    WF_TRY(wf_zip_open(&s->arena, s->file, &o.zip, err));
    WF_TRY(find_root(&o, err));
    WF_TRY(check_kind(&o, err));
    WF_TRY(load_pickle(&o, &top, err));
    WF_TRY(find_state_dict(&o, top, &dict, err));
    s->tensors = wf_arena_alloc(&s->arena, count_tensors(dict) * sizeof *s->tensors);
    if (s->tensors == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i + 1 < dict->as.list.count; i += 2) {
        WF_TRY(take_value(&o, dict->as.list.items[i], dict->as.list.items[i + 1], err));
    }
    return wf_source_finish(s, err);
}

wf_status wf_torch_zip_open(wf_file file, wf_source *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    wf_arena_init(&out->arena);
    out->container = "torch zip";
    out->file = file;
    wf_status status = open_archive(out, err);
    if (status != WF_OK) {
        wf_source_close(out);
    }
    return status;
}
