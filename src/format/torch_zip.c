/* PyTorch's zip container (torch.save since 1.6): ROOT/data.pkl holds the pickled object,
   ROOT/data/KEY the bytes of each storage, ROOT/byteorder their order. Nothing is copied: a tensor
   is a view of bytes in the file. What the object means is in torch_state.c. */
#include <string.h>

#include "base/alloc.h"
#include "format/pickle.h"
#include "format/torch_state.h"
#include "format/zip.h"

#define LARGEST_PICKLE (UINT64_C(64) << 20) /* a hundred times what large models need */

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

/* ---- storages ---- */

static wf_status locate(void *user, const wf_pickle_value *storage, const char *tensor,
                        uint64_t *at, uint64_t *bytes, wf_error *err) {
    opening *o = user;
    const wf_zip_entry *e = find_entry(o, "data/", storage->as.storage.key, err);
    if (e == NULL) {
        return wf_fail(err, WF_E_FORMAT, tensor, -1,
                       "the bytes of tensor \"%s\" (entry data/%s) are not in the archive: the "
                       "file is damaged; download it "
                       "again",
                       tensor, storage->as.storage.key);
    }
    *bytes = e->bytes;
    return wf_zip_locate(&o->zip, e, at, err);
}

static wf_status open_archive(wf_source *s, wf_error *err) {
    opening o = {.s = s};
    wf_torch_storages storages = {&o, locate};
    wf_pickle_value *top = NULL;
    WF_TRY(wf_zip_open(&s->arena, s->file, &o.zip, err));
    WF_TRY(find_root(&o, err));
    WF_TRY(check_kind(&o, err));
    WF_TRY(load_pickle(&o, &top, err));
    return wf_torch_take_state(s, top, storages, err);
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
