/* PyTorch's container from before version 1.6 (torch.save with
   _use_new_zipfile_serialization=False): five pickles one behind the other (magic number, protocol
   version, facts about the system, the object, the list of storage keys), then for each key in that
   order a 64-bit count of elements and the elements themselves. How wide an element is only the
   object says, so the whole list is walked once, by its counts; nothing but these is read. */
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "format/sort.h"
#include "format/torch_state.h"

#define LARGEST_PICKLE (UINT64_C(64) << 20)

enum { MAGIC_BYTES = 15, PROTOCOL_VERSION = 1001, FIRST_WINDOW = 1 << 20 };

/* Where the bytes of a key's storage are. */
typedef struct place {
    const wf_pickle_value *storage; /* one of those with that key */
    uint64_t at, bytes;
} place;

typedef struct opening {
    wf_source *s;
    const wf_pickle_value *
        *storages; /* [count] all that the object made, in the order of their keys */
    uint32_t *order;
    place *places; /* [place_count] in the order of their keys */
    size_t count, place_count;
} opening;

static const struct {
    const char *storage;
    uint8_t bytes;
} widths[] = {{"FloatStorage", 4},  {"HalfStorage", 2},         {"BFloat16Storage", 2},
              {"DoubleStorage", 8}, {"LongStorage", 8},         {"IntStorage", 4},
              {"ShortStorage", 2},  {"CharStorage", 1},         {"ByteStorage", 1},
              {"BoolStorage", 1},   {"ComplexFloatStorage", 8}, {"ComplexDoubleStorage", 16},
              {"QInt8Storage", 1},  {"QUInt8Storage", 1},       {"QInt32Storage", 4},
              {"UntypedStorage", 1}};

static wf_status no_memory(wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, "torch legacy", -1,
                   "no memory for the checkpoint's table of contents; close other programs");
}

static wf_status damaged(uint64_t at, const char *what, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, "torch legacy", (int64_t)at,
                   "%s of this PyTorch checkpoint (container from before version 1.6) cannot be: "
                   "the file is damaged; "
                   "download it again",
                   what);
}

/* ---- the five pickles ---- */

typedef struct pickles {
    wf_pickle_value *object, *keys;
    const wf_pickle_value *storages;
    uint64_t end; /* of the last one */
    bool cut;     /* they go on behind the window */
} pickles;

static wf_status check_system(const wf_pickle_value *version, const wf_pickle_value *system,
                              wf_error *err) {
    const wf_pickle_value *little = wf_pickle_get(system, "little_endian");
    if (version->kind != WF_PICKLE_INT || version->as.i != PROTOCOL_VERSION) {
        return wf_fail(err, WF_E_UNSUPPORTED, "torch legacy", MAGIC_BYTES,
                       "this PyTorch checkpoint has protocol version %lld, and 1001 is read: save "
                       "it again with a newer torch",
                       (long long)(version->kind == WF_PICKLE_INT ? version->as.i : -1));
    }
    if (little == NULL || little->kind != WF_PICKLE_BOOL || little->as.i == 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, "torch legacy", MAGIC_BYTES,
                       "this checkpoint is not written in little-endian byte order, and only that "
                       "is read: save it again on a "
                       "little-endian machine");
    }
    return WF_OK;
}

static wf_status load_pickles(opening *o, const uint8_t *bytes, size_t n, pickles *out,
                              wf_error *err) {
    wf_pickle_part part[4];
    size_t at = MAGIC_BYTES;
    for (int i = 0; i < 4; i++) {
        wf_status s = wf_pickle_load_part(&o->s->arena, bytes + at, n - at, &part[i], err);
        out->cut = part[i].cut;
        WF_TRY(s);
        at += part[i].used;
    }
    out->object = part[2].value;
    out->storages = part[2].storages;
    out->keys = part[3].value;
    out->end = at;
    return check_system(part[0].value, part[1].value, err);
}

/* The pickles are small against the storages, but nothing says how small: the window grows until
 * they fit. */
static wf_status read_pickles(opening *o, pickles *out, wf_error *err) {
    const wf_file *f = &o->s->file;
    for (uint64_t window = FIRST_WINDOW;; window *= 4) {
        size_t n = (size_t)(window < f->size ? window : f->size);
        wf_error problem;
        wf_error_clear(&problem);
        memset(out, 0, sizeof *out);
        uint8_t *bytes = wf_alloc(n);
        if (bytes == NULL) {
            return no_memory(err);
        }
        wf_status s = f->read(f->user, 0, bytes, n, &problem);
        s = s == WF_OK ? load_pickles(o, bytes, n, out, &problem) : s;
        wf_free(bytes);
        if (s == WF_OK) {
            return WF_OK;
        }
        if (!out->cut || n == f->size) {
            return wf_fail(err, s, problem.where, problem.offset, "%s", problem.text);
        }
        if (window >= LARGEST_PICKLE) {
            return wf_fail(err, WF_E_UNSUPPORTED, "torch legacy", 0,
                           "the table of contents of this checkpoint is longer than 64 MiB: save "
                           "only the state dict");
        }
        wf_arena_free(&o->s->arena); /* the next attempt makes all values anew */
        wf_arena_init(&o->s->arena);
    }
}

/* ---- the storages ---- */

static int by_key(const void *context, uint32_t a, uint32_t b) {
    const opening *o = context;
    int order = strcmp(o->storages[a]->as.storage.key, o->storages[b]->as.storage.key);
    return order != 0 ? order : a < b ? -1 : a > b;
}

static wf_status list_storages(opening *o, const wf_pickle_value *last, wf_error *err) {
    for (const wf_pickle_value *v = last; v != NULL; v = v->as.storage.previous) {
        o->count++;
    }
    if (o->count > UINT32_MAX / 2) {
        return no_memory(err);
    }
    o->storages = wf_arena_alloc(&o->s->arena, (o->count + 1) * sizeof *o->storages);
    o->order = wf_arena_alloc(&o->s->arena, (o->count + 1) * sizeof *o->order);
    o->places = wf_arena_alloc(&o->s->arena, (o->count + 1) * sizeof *o->places);
    if (o->storages == NULL || o->order == NULL || o->places == NULL) {
        return no_memory(err);
    }
    for (size_t i = o->count; i-- > 0; last = last->as.storage.previous) {
        o->storages[i] = last;
        o->order[i] = (uint32_t)i;
    }
    wf_sort_indices(o->order, o->count, by_key, o);
    for (size_t i = 0; i < o->count; i++) { /* one place a key */
        const wf_pickle_value *v = o->storages[o->order[i]];
        if (o->place_count == 0 ||
            strcmp(o->places[o->place_count - 1].storage->as.storage.key, v->as.storage.key) != 0) {
            o->places[o->place_count++] = (place){v, 0, 0};
        }
    }
    return WF_OK;
}

static place *find_place(const opening *o, const char *key) {
    size_t low = 0, high = o->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(o->places[middle].storage->as.storage.key, key);
        if (order == 0) {
            return &o->places[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static uint64_t width_of(const wf_pickle_value *storage) {
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        if (strcmp(widths[i].storage, storage->as.storage.type) == 0) {
            return widths[i].bytes;
        }
    }
    return 0;
}

/* Walks the counts behind the list of keys. */
static wf_status place_storages(opening *o, const wf_pickle_value *keys, uint64_t at,
                                wf_error *err) {
    const wf_file *f = &o->s->file;
    if (keys->kind != WF_PICKLE_LIST) {
        return damaged(at, "the list of storages", err);
    }
    for (size_t i = 0; i < keys->as.list.count; i++) {
        const wf_pickle_value *key = keys->as.list.items[i];
        place *p = key->kind == WF_PICKLE_STRING ? find_place(o, key->as.string.text) : NULL;
        if (p == NULL || p->at != 0) {
            return damaged(at, "the list of storages", err);
        }
        uint8_t count[8];
        uint64_t width = width_of(p->storage);
        if (width == 0) {
            return wf_fail(err, WF_E_UNSUPPORTED, p->storage->as.storage.type, (int64_t)at,
                           "this checkpoint holds a %s, whose width is not known: convert it to "
                           "float32 before saving",
                           p->storage->as.storage.type);
        }
        if (f->size - at < sizeof count) {
            return wf_fail(err, WF_E_TRUNCATED, "torch legacy", (int64_t)f->size,
                           "the file ends before the storage %s: it was cut off; download it again",
                           key->as.string.text);
        }
        WF_TRY(f->read(f->user, at, count, sizeof count, err));
        at += sizeof count;
        uint64_t elements = wf_load_u64(count);
        if (elements > (f->size - at) / width) {
            return wf_fail(err, WF_E_TRUNCATED, "torch legacy", (int64_t)at,
                           "the storage %s is said to hold %llu elements, and the file has only "
                           "%llu bytes more: it was cut off; "
                           "download it again",
                           key->as.string.text, (unsigned long long)elements,
                           (unsigned long long)(f->size - at));
        }
        p->at = at;
        p->bytes = elements * width;
        at += p->bytes;
    }
    return WF_OK;
}

static wf_status locate(void *user, const wf_pickle_value *storage, const char *tensor,
                        uint64_t *at, uint64_t *bytes, wf_error *err) {
    const opening *o = user;
    const place *p = find_place(o, storage->as.storage.key);
    if (p == NULL || p->at == 0) {
        return wf_fail(err, WF_E_FORMAT, tensor, -1,
                       "the bytes of tensor \"%s\" (storage %s) are not in the file: it is "
                       "damaged; download it again",
                       tensor, storage->as.storage.key);
    }
    if (storage->as.storage.is_view) {
        return wf_fail(err, WF_E_UNSUPPORTED, tensor, -1,
                       "tensor \"%s\" lies in a view of another storage, as only very old versions "
                       "of PyTorch wrote them: load it "
                       "in PyTorch and torch.save it again",
                       tensor);
    }
    *at = p->at;
    *bytes = p->bytes;
    return WF_OK;
}

static wf_status open_legacy(wf_source *s, wf_error *err) {
    static const char magic[] = "\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    opening o = {.s = s};
    wf_torch_storages storages = {&o, locate};
    uint8_t head[MAGIC_BYTES];
    pickles p;
    if (s->file.size < sizeof head) {
        return wf_fail(err, WF_E_TRUNCATED, "torch legacy", (int64_t)s->file.size,
                       "the file ends inside its magic number: it was cut off; download it again");
    }
    WF_TRY(s->file.read(s->file.user, 0, head, sizeof head, err));
    if (memcmp(head, magic, sizeof head) != 0) {
        return damaged(0, "the magic number", err);
    }
    WF_TRY(read_pickles(&o, &p, err));
    WF_TRY(list_storages(&o, p.storages, err));
    WF_TRY(place_storages(&o, p.keys, p.end, err));
    return wf_torch_take_state(s, p.object, storages, err);
}

wf_status wf_torch_legacy_open(wf_file file, wf_source *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    wf_arena_init(&out->arena);
    out->container = "torch legacy";
    out->file = file;
    wf_status status = open_legacy(out, err);
    if (status != WF_OK) {
        wf_source_close(out);
    }
    return status;
}
