/* PyTorch's zip container. Good files: each must give the same tensors as its safetensors twin (the pickles of real
   torch.save from two versions, with views, tied, transposed, expanded and empty tensors and classes that must stay
   inert). With a folder of goldens as argument every pair in it is compared. Bad files: archives built here. */
#include "base/alloc.h"
#include "memory.h"

#define DATA "tests/golden/data/"

/* ---- good files ---- */

typedef struct opened {
    blob bytes;
    wf_source s;
    wf_error err;
    wf_status status;
} opened;

static void open_file(opened *o, const char *folder, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", folder, name);
    memset(o, 0, sizeof *o);
    wf_error_clear(&o->err);
    CHECK(blob_load(&o->bytes, path), "%s is missing (run from the repository's root)", path);
    o->status = wf_source_open(blob_file(&o->bytes), &o->s, &o->err);
}

static void close_file(opened *o) {
    if (o->status == WF_OK) {
        wf_source_close(&o->s);
    }
    blob_free(&o->bytes);
}

static void same_tensor(const wf_source *a, const wf_source_tensor *x, const wf_source *b, const wf_source_tensor *y) {
    wf_error err;
    wf_error_clear(&err);
    CHECK(x->type == y->type && x->is_bool == y->is_bool && x->is_u8 == y->is_u8, "type of %s", x->name);
    CHECK(x->n_dims == y->n_dims && memcmp(x->dims, y->dims, sizeof x->dims) == 0, "shape of %s", x->name);
    CHECK(x->elements == y->elements, "elements of %s", x->name);
    size_t n = (size_t)(x->elements < y->elements ? x->elements : y->elements);
    double *u = malloc(n * sizeof *u + 1), *v = malloc(n * sizeof *v + 1);
    float *f = malloc(n * sizeof *f + 1);
    CHECK_OK(wf_source_read_f64(a, x, 0, n, u, &err), err);
    CHECK_OK(wf_source_read_f64(b, y, 0, n, v, &err), err);
    CHECK_OK(wf_source_read_f32(a, x, 0, n, f, &err), err);
    CHECK(n == 0 || memcmp(u, v, n * sizeof *u) == 0, "values of %s", x->name);
    for (size_t i = 0; i < n; i++) {
        CHECK(f[i] == (float)u[i] || isnan(u[i]), "%s[%zu] as float", x->name, i);
    }
    for (size_t i = 0; i < n; i += 1 + n / 7) { /* pieces out of the middle */
        size_t count = n - i < 5 ? n - i : 5;
        double part[5];
        CHECK_OK(wf_source_read_f64(a, x, i, count, part, &err), err);
        CHECK(memcmp(part, u + i, count * sizeof *part) == 0, "piece %zu of %s", i, x->name);
    }
    free(u);
    free(v);
    free(f);
}

/* Every tensor of `checkpoint` is in `twin` under prefix + name, and nothing but those (with `all`). */
static void same_as_twin(const char *folder, const char *checkpoint, const char *twin, const char *prefix, bool all,
                         const char *note) {
    opened a, b;
    uint64_t matching = 0;
    wf_test_begin();
    open_file(&a, folder, checkpoint);
    open_file(&b, folder, twin);
    CHECK(a.status == WF_OK, "%s", a.err.text);
    CHECK(b.status == WF_OK, "%s", b.err.text);
    if (a.status == WF_OK && b.status == WF_OK) {
        CHECK(strcmp(a.s.container, "torch zip") == 0 && strcmp(b.s.container, "safetensors") == 0);
        CHECK(strcmp(a.s.prefix_note != NULL ? a.s.prefix_note : "", note) == 0, "note: %s", a.s.prefix_note);
        CHECK(!all || a.s.tensor_count == b.s.tensor_count);
        for (uint64_t i = 0; i < a.s.tensor_count; i++) {
            char name[256];
            snprintf(name, sizeof name, "%s%s", prefix, a.s.tensors[i].name);
            const wf_source_tensor *t = wf_source_find(&b.s, name);
            CHECK(t != NULL || !all, "%s is not in the twin", name);
            if (t != NULL) {
                same_tensor(&a.s, &a.s.tensors[i], &b.s, t);
                matching++;
            }
        }
        CHECK(matching > 10, "only %d tensors in common", (int)matching);
    }
    close_file(&a);
    close_file(&b);
    wf_test_end("%s gives the tensors of %s", checkpoint, twin);
}

/* The torture files hold more than the model; their twin lists what is in the model as model/NAME. */
static void torture(const char *name, const char *twin) {
    opened a, b;
    uint64_t in_model = 0;
    same_as_twin(DATA, name, twin, "model/", false, "model");
    wf_test_begin();
    open_file(&a, DATA, name);
    open_file(&b, DATA, twin);
    for (uint64_t i = 0; i < b.s.tensor_count; i++) {
        in_model += strncmp(b.s.tensors[i].name, "model/", 6) == 0;
    }
    CHECK(a.s.tensor_count == in_model && in_model == 22, "%d of %d", (int)a.s.tensor_count, (int)in_model);
    close_file(&a);
    close_file(&b);
    wf_test_end("%s: all tensors of the model", name);
}

WF_TEST(the_legacy_container_is_refused_by_name) {
    opened a;
    open_file(&a, DATA, "pth_torture_torch1_legacy.pth");
    CHECK(a.status == WF_E_UNSUPPORTED, "%d", (int)a.status);
    CHECK(strcmp(a.err.text, "this is a PyTorch file in the container from before version 1.6, which is not read yet: load it "
                             "in PyTorch and torch.save it again") == 0,
          "%s", a.err.text);
    close_file(&a);
}

/* ---- archives built here ---- */

typedef struct entry {
    const char *name;
    const void *bytes;
    size_t n;
} entry;

enum { DEFLATED = 1, ZIP64 = 2 };

static void put_archive(blob *out, const entry *entries, int count, int flags) {
    uint32_t headers[16];
    for (int i = 0; i < count; i++) {
        const entry *e = &entries[i];
        headers[i] = (uint32_t)out->n;
        blob_put(out, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
        blob_int(out, e->n, 4);
        blob_int(out, e->n, 4);
        blob_int(out, strlen(e->name), 2);
        blob_int(out, 3, 2); /* an extra field that only the local header has */
        blob_text(out, e->name);
        blob_put(out, "xyz", 3);
        blob_put(out, e->bytes, e->n);
    }
    size_t directory = out->n;
    for (int i = 0; i < count; i++) {
        const entry *e = &entries[i];
        bool wide = (flags & ZIP64) != 0;
        blob_put(out, "PK\1\2\0\0\0\0\0\0", 10);
        blob_int(out, (flags & DEFLATED) != 0 ? 8 : 0, 2);
        blob_int(out, 0, 8);
        blob_int(out, wide ? 0xffffffff : e->n, 4);
        blob_int(out, wide ? 0xffffffff : e->n, 4);
        blob_int(out, strlen(e->name), 2);
        blob_int(out, wide ? 28 : 0, 2);
        blob_int(out, 0, 2 + 2 + 2 + 4);
        blob_int(out, wide ? 0xffffffff : headers[i], 4);
        blob_text(out, e->name);
        if (wide) {
            blob_int(out, 1, 2);
            blob_int(out, 24, 2);
            blob_int(out, e->n, 8);
            blob_int(out, e->n, 8);
            blob_int(out, headers[i], 8);
        }
    }
    size_t end = out->n;
    if ((flags & ZIP64) != 0) {
        blob_put(out, "PK\6\6", 4);
        blob_int(out, 44, 8);
        blob_int(out, 0, 4 + 8);
        blob_int(out, (uint64_t)count, 8);
        blob_int(out, (uint64_t)count, 8);
        blob_int(out, end - directory, 8);
        blob_int(out, directory, 8);
        blob_put(out, "PK\6\7\0\0\0\0", 8);
        blob_int(out, end, 8);
        blob_int(out, 1, 4);
    }
    blob_put(out, "PK\5\6\0\0\0\0", 8);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffff : (uint64_t)count, 2);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffff : (uint64_t)count, 2);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffffffff : end - directory, 4);
    blob_int(out, (flags & ZIP64) != 0 ? 0xffffffff : directory, 4);
    blob_int(out, 9, 2);
    blob_text(out, "a comment");
}

static void pickle_text(blob *p, const char *s) {
    blob_text(p, "X");
    blob_int(p, strlen(s), 4);
    blob_text(p, s);
}

static void pickle_int(blob *p, int64_t v) {
    blob_put(p, "\x8a\x08", 2);
    blob_int(p, (uint64_t)v, 8);
}

/* key, then a call of _rebuild_tensor_v2 with these arguments. */
static void pickle_tensor(blob *p, const char *key, const char *type, const char *storage, int64_t numel, int64_t offset,
                          int n_dims, const int64_t *size, const int64_t *stride) {
    pickle_text(p, key);
    blob_text(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(p, "storage");
    blob_text(p, "ctorch\n");
    blob_text(p, type);
    blob_text(p, "\n");
    pickle_text(p, storage);
    pickle_text(p, "cpu");
    pickle_int(p, numel);
    blob_text(p, "tQ");
    pickle_int(p, offset);
    for (int k = 0; k < 2; k++) {
        blob_text(p, "(");
        for (int d = 0; d < n_dims; d++) {
            pickle_int(p, k == 0 ? size[d] : stride[d]);
        }
        blob_text(p, "t");
    }
    blob_put(p, "\x89" "}tR", 4);
}

static void begin_pickle(blob *p) { blob_put(p, "\x80\2}(", 4); }
static void end_pickle(blob *p) { blob_text(p, "u."); }

static const float storage[6] = {1, 2, 3, 4, 5, 6};

static wf_status open_blob(blob *file, wf_source *s, wf_error *err) {
    wf_error_clear(err);
    return wf_source_open(blob_file(file), s, err);
}

/* An archive around this pickle must be refused with this sentence. */
static void refused_pickle(const char *name, blob *p, wf_status code, const char *sentence) {
    entry entries[] = {{"m/data.pkl", p->bytes, p->n}, {"m/data/0", storage, sizeof storage}};
    blob file = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    wf_test_begin();
    put_archive(&file, entries, 2, 0);
    wf_status status = open_blob(&file, &s, &err);
    CHECK(status == code, "status %d: %s", (int)status, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    if (status == WF_OK) {
        wf_source_close(&s);
    }
    wf_test_end("refuses %s", name);
    blob_free(&file);
    blob_free(p);
}

static void bad_tensors(void) {
    static const struct {
        const char *name, *type, *storage;
        int64_t numel, offset;
        int n_dims;
        int64_t size[9], stride[9];
        wf_status code;
        const char *sentence;
    } rows[] = {
        {"a tensor that leaves its storage", "FloatStorage", "0", 6, 3, 2, {2, 2}, {2, 1}, WF_E_FORMAT,
         "tensor \"t\" reaches outside its storage of 24 bytes: the file is damaged or made to do harm; don't use it"},
        {"a stride that leaves the storage", "FloatStorage", "0", 6, 0, 1, {2}, {INT64_MAX}, WF_E_FORMAT,
         "tensor \"t\" reaches outside its storage of 24 bytes: the file is damaged or made to do harm; don't use it"},
        {"an offset outside the storage", "FloatStorage", "0", 6, 6, 0, {0}, {0}, WF_E_FORMAT,
         "tensor \"t\" reaches outside its storage of 24 bytes: the file is damaged or made to do harm; don't use it"},
        {"a storage larger than its entry", "FloatStorage", "0", 7, 0, 1, {7}, {1}, WF_E_FORMAT,
         "the storage of tensor \"t\" is said to hold 7 elements, and its entry has 24 bytes: the file is damaged; download "
         "it again"},
        {"a negative storage", "FloatStorage", "0", -1, 0, 1, {1}, {1}, WF_E_FORMAT,
         "the storage of tensor \"t\" is said to hold -1 elements, and its entry has 24 bytes: the file is damaged; download "
         "it again"},
        {"a negative stride", "FloatStorage", "0", 6, 5, 1, {2}, {-1}, WF_E_FORMAT,
         "tensor \"t\" has an impossible size, stride or offset: the file is damaged or made to do harm; don't use it"},
        {"a negative size", "FloatStorage", "0", 6, 0, 1, {-2}, {1}, WF_E_FORMAT,
         "tensor \"t\" has an impossible size, stride or offset: the file is damaged or made to do harm; don't use it"},
        {"a negative offset", "FloatStorage", "0", 6, -1, 1, {2}, {1}, WF_E_FORMAT,
         "tensor \"t\" has an impossible size, stride or offset: the file is damaged or made to do harm; don't use it"},
        {"a stride-0 bomb", "FloatStorage", "0", 6, 0, 2, {1 << 20, 1 << 20}, {0, 0}, WF_E_FORMAT,
         "tensor \"t\" would unfold 1 stored elements to 1099511627776: no real model does that; don't use this file"},
        {"sizes that overflow", "FloatStorage", "0", 6, 0, 3, {INT64_C(1) << 40, INT64_C(1) << 40, 4}, {0, 0, 0}, WF_E_SHAPE,
         "the dimensions of tensor \"t\" multiply to more than any file can hold: the file is damaged; download it again"},
        {"nine dimensions", "FloatStorage", "0", 6, 0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {0}, WF_E_UNSUPPORTED,
         "tensor \"t\" has 9 dimensions, and 8 are supported: reshape it before saving"},
        {"a storage that is not there", "FloatStorage", "7", 6, 0, 1, {1}, {1}, WF_E_FORMAT,
         "the bytes of tensor \"t\" (entry data/7) are not in the archive: the file is damaged; download it again"},
        {"a complex tensor", "ComplexFloatStorage", "0", 3, 0, 1, {1}, {1}, WF_E_UNSUPPORTED,
         "tensor \"t\" is stored as ComplexFloatStorage, which is not read: convert it to float32 before saving"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        blob p = {NULL, 0, 0};
        begin_pickle(&p);
        pickle_tensor(&p, "t", rows[i].type, rows[i].storage, rows[i].numel, rows[i].offset, rows[i].n_dims, rows[i].size,
                      rows[i].stride);
        end_pickle(&p);
        refused_pickle(rows[i].name, &p, rows[i].code, rows[i].sentence);
    }
}

#define LITERAL(s) s, sizeof(s) - 1

static void bad_pickles(void) {
    static const int64_t one[1] = {1};
    static const struct {
        const char *name, *bytes;
        size_t n;
        wf_status code;
        const char *sentence;
    } rows[] = {
        {"an empty pickle", LITERAL(""), WF_E_FORMAT,
         "the pickle inside the checkpoint ends early (at its byte 0): the file is damaged or was not made by torch.save"},
        {"a pickle without an end", LITERAL("\x80\2}"), WF_E_FORMAT,
         "the pickle inside the checkpoint ends early (at its byte 3): the file is damaged or was not made by torch.save"},
        {"a pickle of a later protocol", LITERAL("\x80\6}."), WF_E_FORMAT,
         "the pickle inside the checkpoint has a protocol above 5 (at its byte 2): the file is damaged or was not made by "
         "torch.save"},
        {"an opcode that is not on the list", LITERAL("\x80\2i"), WF_E_FORMAT,
         "the pickle inside the checkpoint uses opcode 0x69, which plain checkpoints never do (at its byte 2): save the state "
         "dict again with torch.save, or as safetensors"},
        {"a recall of nothing", LITERAL("\x80\2h\7."), WF_E_FORMAT,
         "the pickle inside the checkpoint recalls a value that it never made (at its byte 4): the file is damaged or was not "
         "made by torch.save"},
        {"a memo index far away", LITERAL("\x80\2Nr\377\377\377\377."), WF_E_FORMAT,
         "the pickle inside the checkpoint remembers a value that is not there, or too many (at its byte 8): the file is "
         "damaged or was not made by torch.save"},
        {"an empty stack", LITERAL("\x80\2\x85."), WF_E_FORMAT,
         "the pickle inside the checkpoint takes more values than it made (at its byte 3): the file is damaged or was not made "
         "by torch.save"},
        {"a group without a start", LITERAL("\x80\2Nt."), WF_E_FORMAT,
         "the pickle inside the checkpoint closes a group that it did not open (at its byte 4): the file is damaged or was not "
         "made by torch.save"},
        {"a string past the end", LITERAL("\x80\2X\377\377\377\177a."), WF_E_FORMAT,
         "the pickle inside the checkpoint ends inside a string (at its byte 7): the file is damaged or was not made by "
         "torch.save"},
        {"a list as the whole", LITERAL("\x80\2]."), WF_E_MISSING,
         "this checkpoint holds no dict of tensors: in Python, torch.save(model.state_dict(), NEW)"},
        {"a whole model object", LITERAL("\x80\2ctorchvision.models\nResNet\n)\x81}b."), WF_E_MISSING,
         "this checkpoint holds a whole object of the Python class torchvision.models.ResNet: in Python, "
         "torch.save(model.state_dict(), NEW)"},
        {"a dict without tensors", LITERAL("\x80\2}(X\5\0\0\0epochK\1X\3\0\0\0netNu."), WF_E_MISSING,
         "no state dict was found in this checkpoint, whose top level holds the keys epoch, net: in Python, "
         "torch.save(checkpoint[KEY], NEW)"},
        {"a tensor from wrong arguments", LITERAL("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R."), WF_E_FORMAT,
         "the pickle inside the checkpoint rebuilds a tensor from the wrong arguments (at its byte 37): the file is damaged or "
         "was not made by torch.save"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        blob p = {NULL, 0, 0};
        blob_put(&p, rows[i].bytes, rows[i].n);
        refused_pickle(rows[i].name, &p, rows[i].code, rows[i].sentence);
    }
    blob p = {NULL, 0, 0};
    begin_pickle(&p);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 0, 1, one, one);
    pickle_text(&p, "s");
    blob_text(&p, "ctorch._utils\n_rebuild_sparse_tensor\n)R");
    end_pickle(&p);
    refused_pickle("a sparse tensor among others", &p, WF_E_UNSUPPORTED,
                   "\"s\" is a special tensor (torch._utils._rebuild_sparse_tensor), which is not read: make it an ordinary one "
                   "before saving");
    begin_pickle(&p);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 0, 1, one, one);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 1, 1, one, one);
    end_pickle(&p);
    refused_pickle("two tensors of one name", &p, WF_E_FORMAT,
                   "two tensors are named \"t\": the file is damaged or badly made; save the model again");
}

/* Pickle of {"t": 2×3 view of the storage}. */
static blob good_pickle(void) {
    static const int64_t size[2] = {2, 3}, stride[2] = {3, 1};
    blob p = {NULL, 0, 0};
    begin_pickle(&p);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 0, 2, size, stride);
    end_pickle(&p);
    return p;
}

static void good_archive(const char *name, int flags) {
    blob p = good_pickle(), file = {NULL, 0, 0};
    entry entries[] = {{"m/data.pkl", p.bytes, p.n}, {"m/byteorder", "little", 6}, {"m/data/0", storage, sizeof storage}};
    wf_source s;
    wf_error err;
    float got[6] = {0};
    wf_test_begin();
    put_archive(&file, entries, 3, flags);
    CHECK_OK(open_blob(&file, &s, &err), err);
    if (err.code == WF_OK) {
        CHECK(s.tensor_count == 1 && s.tensors[0].n_dims == 2 && s.prefix_note == NULL);
        CHECK_OK(wf_source_read_f32(&s, &s.tensors[0], 0, 6, got, &err), err);
        CHECK(memcmp(got, storage, sizeof got) == 0);
        wf_source_close(&s);
    }
    wf_test_end("reads %s", name);
    blob_free(&p);
    blob_free(&file);
}

static void refused_archive(const char *name, const entry *entries, int count, int flags, wf_status code, const char *sentence) {
    blob file = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    wf_test_begin();
    put_archive(&file, entries, count, flags);
    wf_status status = open_blob(&file, &s, &err);
    CHECK(status == code, "status %d: %s", (int)status, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    wf_test_end("refuses %s", name);
    blob_free(&file);
}

static void bad_archives(void) {
    blob p = good_pickle();
    entry entries[] = {{"m/data.pkl", p.bytes, p.n}, {"m/data/0", storage, sizeof storage}, {"m/byteorder", "big", 3}};
    refused_archive("a big-endian checkpoint", entries, 3, 0, WF_E_UNSUPPORTED,
                    "this checkpoint is written with byte order \"big\", and only little is read: save it again on a "
                    "little-endian machine");
    refused_archive("compressed entries", entries, 2, DEFLATED, WF_E_UNSUPPORTED,
                    "the zip entry \"m/data.pkl\" is compressed, and torch.save never does that: the file was zipped again; "
                    "unzip it and save it in PyTorch once more");
    entries[2].name = "m/constants.pkl";
    refused_archive("a TorchScript program", entries, 3, 0, WF_E_UNSUPPORTED,
                    "this is a TorchScript program: in Python, torch.save(torch.jit.load(FILE).state_dict(), NEW)");
    entries[2].name = "m/data/0";
    refused_archive("two entries of one name", entries, 3, 0, WF_E_FORMAT,
                    "the zip archive holds two entries named \"m/data/0\": it is badly made or meant to do harm; don't use it");
    entry other[] = {{"arr_0.npy", "x", 1}};
    refused_archive("an .npz archive", other, 1, 0, WF_E_UNSUPPORTED,
                    "this is a NumPy .npz archive, which is not read: save the arrays as safetensors");
    other[0].name = "checkpoint.pth";
    refused_archive("another zip archive", other, 1, 0, WF_E_UNSUPPORTED,
                    "this zip archive has no data.pkl, so torch.save did not make it: if the checkpoint is inside, unzip it "
                    "first");
    blob_free(&p);
}

WF_TEST(cut_off_at_every_byte_is_an_error) {
    blob p = good_pickle(), file = {NULL, 0, 0};
    entry entries[] = {{"m/data.pkl", p.bytes, p.n}, {"m/data/0", storage, sizeof storage}};
    wf_source s;
    wf_error err;
    put_archive(&file, entries, 2, 0);
    for (size_t n = 0; n < file.n; n++) {
        blob part = {malloc(n + 1), n, 0};
        memcpy(part.bytes, file.bytes, n);
        CHECK(open_blob(&part, &s, &err) != WF_OK && err.text[0] != '\0', "cut at %zu", n);
        free(part.bytes);
    }
    blob_free(&file);
    for (size_t n = 0; n + 1 < p.n; n++) { /* the pickle cut off inside a sound archive */
        blob cut = {NULL, 0, 0};
        entries[0].n = n;
        put_archive(&cut, entries, 2, 0);
        CHECK(open_blob(&cut, &s, &err) == WF_E_FORMAT, "pickle cut at %zu: %s", n, err.text);
        blob_free(&cut);
    }
    blob_free(&p);
}

WF_TEST(memory_that_runs_out_is_an_error_and_nothing_leaks) {
    blob p = good_pickle(), file = {NULL, 0, 0};
    entry entries[] = {{"m/data.pkl", p.bytes, p.n}, {"m/byteorder", "little", 6}, {"m/data/0", storage, sizeof storage}};
    wf_source s;
    wf_error err;
    int failures = 0;
    put_archive(&file, entries, 3, 0);
    uint64_t live = wf_alloc_get_stats().live;
    for (uint64_t n = 1; n < 1000; n++) {
        wf_alloc_fail_after(n);
        wf_status status = open_blob(&file, &s, &err);
        wf_alloc_fail_after(0);
        if (status == WF_OK) {
            wf_source_close(&s);
            break;
        }
        failures++;
        CHECK(status == WF_E_MEMORY, "allocation %d: %s", (int)n, err.text);
        CHECK(wf_alloc_get_stats().live == live, "allocation %d leaks", (int)n);
    }
    CHECK(failures >= 4 && wf_alloc_get_stats().live == live, "%d failures", failures);
    blob_free(&p);
    blob_free(&file);
}

WF_TEST(state_dict_is_found_by_rule) {
    static const char *const keys[] = {"state_dict", "model", "params_ema", "params", "state_dict_ema"};
    static const int64_t one[1] = {1};
    for (int first = 0; first < 5; first++) { /* the names from `first` on, in reverse order, beside a stray tensor */
        blob p = {NULL, 0, 0}, file = {NULL, 0, 0};
        wf_source s;
        wf_error err;
        begin_pickle(&p);
        pickle_tensor(&p, "step", "FloatStorage", "0", 6, 0, 1, one, one);
        for (int k = 4; k >= first; k--) {
            pickle_text(&p, keys[k]);
            blob_text(&p, "}(");
            pickle_tensor(&p, "module._orig_mod.w", "FloatStorage", "0", 6, k, 1, one, one);
            pickle_tensor(&p, "module._orig_mod.b", "FloatStorage", "0", 6, 5, 1, one, one);
            end_pickle(&p);
            p.n--; /* without the final dot */
        }
        end_pickle(&p);
        entry entries[] = {{"m/data.pkl", p.bytes, p.n}, {"m/data/0", storage, sizeof storage}};
        put_archive(&file, entries, 2, 0);
        CHECK_OK(open_blob(&file, &s, &err), err);
        if (err.code == WF_OK) {
            char note[80];
            float w = 0;
            snprintf(note, sizeof note, "%s, without the prefix module._orig_mod.", keys[first]);
            CHECK(s.prefix_note != NULL && strcmp(s.prefix_note, note) == 0, "%s", s.prefix_note);
            CHECK(s.tensor_count == 2 && wf_source_find(&s, "w") != NULL && wf_source_find(&s, "step") == NULL);
            CHECK_OK(wf_source_read_f32(&s, &s.tensors[0], 0, 1, &w, &err), err);
            CHECK(w == storage[first], "%g", (double)w);
            wf_source_close(&s);
        }
        blob_free(&p);
        blob_free(&file);
    }
}

/* A list of pairs, recalled again and again as a dict's argument, must not cost time and memory squared. */
WF_TEST(shared_lists_are_not_copied_without_end) {
    enum { MANY = 20000 };
    blob p = {NULL, 0, 0}, file = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    blob_put(&p, LITERAL("\x80\2ccollections\nOrderedDict\nq\0]("));
    for (int i = 0; i < MANY; i++) {
        blob_put(&p, "K\1K\2\x86", 5);
    }
    blob_put(&p, "e\x85q\1", 4);
    for (int i = 0; i < MANY; i++) {
        blob_put(&p, "h\0h\1R0", 6);
    }
    blob_text(&p, ".");
    entry entries[] = {{"m/data.pkl", p.bytes, p.n}};
    put_archive(&file, entries, 1, 0);
    CHECK(open_blob(&file, &s, &err) == WF_E_FORMAT, "%s", err.text);
    CHECK(strstr(err.text, "copies the same list over and over") != NULL, "%s", err.text);
    CHECK(wf_alloc_get_stats().peak_bytes < 64u << 20);
    blob_free(&p);
    blob_free(&file);
}

int main(int argc, char **argv) {
    same_as_twin(DATA, "poolformer_tiny.pth.tar", "poolformer_tiny.safetensors", "", true, "");
    torture("pth_torture_torch1.pth", "pth_torture_torch1.expected.safetensors");
    torture("pth_torture_torch2.pth", "pth_torture_torch2.expected.safetensors");
    RUN(the_legacy_container_is_refused_by_name);
    good_archive("an archive with a comment and local extra fields", 0);
    good_archive("a zip64 archive", ZIP64);
    bad_archives();
    bad_tensors();
    bad_pickles();
    RUN(cut_off_at_every_byte_is_an_error);
    RUN(memory_that_runs_out_is_an_error_and_nothing_leaks);
    RUN(state_dict_is_found_by_rule);
    RUN(shared_lists_are_not_copied_without_end);
    if (argc > 1) { /* the folder of all goldens, with its final slash */
        same_as_twin(argv[1], "hf_bert_mlm_tinycfg.bin", "hf_bert_mlm_tinycfg.safetensors", "", true, "");
        same_as_twin(argv[1], "hf_gpt2_tinycfg.bin", "hf_gpt2_tinycfg.safetensors", "transformer.", false, "");
        same_as_twin(argv[1], "llama2c_tinycfg.pt", "llama2c_tinycfg.safetensors", "", true, "model");
        same_as_twin(argv[1], "nanogpt_tinycfg.pt", "nanogpt_tinycfg.safetensors", "", true,
                     "model, without the prefix _orig_mod.");
        same_as_twin(argv[1], "slab_deit_tinycfg.pth", "slab_deit_tinycfg.safetensors", "", true, "model");
        same_as_twin(argv[1], "slab_llama_tinycfg.pth", "slab_llama_tinycfg.safetensors", "", true, "");
        same_as_twin(argv[1], "swin_tinycfg.pth", "swin_tinycfg.safetensors", "", true, "model");
        same_as_twin(argv[1], "vit_tinycfg.pth", "vit_tinycfg.safetensors", "", true, "model");
    }
    return wf_test_done();
}
