/* PyTorch's zip container, and good files of the legacy one. Good files: each must give the same tensors as its safetensors twin (the
   pickles of real torch.save from two versions, with views, tied, transposed, expanded and empty
   tensors and classes that must stay inert). With a folder of goldens as argument every pair in it
   is compared. Bad files: archives built here. */
#include "archive.h"
#include "base/alloc.h"

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

static void same_tensor(const wf_source *a, const wf_source_tensor *x, const wf_source *b,
                        const wf_source_tensor *y) {
    wf_error err;
    wf_error_clear(&err);
    CHECK(x->type == y->type && x->is_bool == y->is_bool && x->is_u8 == y->is_u8, "type of %s",
          x->name);
    CHECK(x->n_dims == y->n_dims && memcmp(x->dims, y->dims, sizeof x->dims) == 0, "shape of %s",
          x->name);
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

/* Every tensor of `checkpoint` is in `twin` under prefix + name, and nothing but those (with
 * `all`). */
static void same_as_twin(const char *folder, const char *checkpoint, const char *twin,
                         const char *prefix, bool all, const char *note) {
    opened a, b;
    uint64_t matching = 0;
    wf_test_begin();
    open_file(&a, folder, checkpoint);
    open_file(&b, folder, twin);
    CHECK(a.status == WF_OK, "%s", a.err.text);
    CHECK(b.status == WF_OK, "%s", b.err.text);
    if (a.status == WF_OK && b.status == WF_OK) {
        const char *container = strstr(checkpoint, "legacy") != NULL ? "torch legacy" : "torch zip";
        CHECK(strcmp(a.s.container, container) == 0 && strcmp(b.s.container, "safetensors") == 0);
        CHECK(strcmp(a.s.prefix_note != NULL ? a.s.prefix_note : "", note) == 0, "note: %s",
              a.s.prefix_note);
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

/* The torture files hold more than the model; their twin lists what is in the model as model/NAME.
 */
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
    CHECK(a.s.tensor_count == in_model && in_model == 22, "%d of %d", (int)a.s.tensor_count,
          (int)in_model);
    close_file(&a);
    close_file(&b);
    wf_test_end("%s: all tensors of the model", name);
}

/* ---- archives built here ---- */

static void good_archive(const char *name, int flags) {
    blob p = good_pickle(), file = {NULL, 0, 0};
    entry entries[] = {{"m/data.pkl", p.bytes, p.n},
                       {"m/byteorder", "little", 6},
                       {"m/data/0", storage, sizeof storage}};
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

static void refused_archive(const char *name, const entry *entries, int count, int flags,
                            wf_status code, const char *sentence) {
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
    entry entries[] = {{"m/data.pkl", p.bytes, p.n},
                       {"m/data/0", storage, sizeof storage},
                       {"m/byteorder", "big", 3}};
    refused_archive("a big-endian checkpoint", entries, 3, 0, WF_E_UNSUPPORTED,
                    "this checkpoint is written with byte order \"big\", and only little is read: "
                    "save it again on a "
                    "little-endian machine");
    refused_archive("compressed entries", entries, 2, DEFLATED, WF_E_UNSUPPORTED,
                    "the zip entry \"m/data.pkl\" is compressed, and torch.save never does that: "
                    "the file was zipped again; "
                    "unzip it and save it in PyTorch once more");
    entries[2].name = "m/constants.pkl";
    refused_archive("a TorchScript program", entries, 3, 0, WF_E_UNSUPPORTED,
                    "this is a TorchScript program: in Python, "
                    "torch.save(torch.jit.load(FILE).state_dict(), NEW)");
    entries[2].name = "m/data/0";
    refused_archive("two entries of one name", entries, 3, 0, WF_E_FORMAT,
                    "the zip archive holds two entries named \"m/data/0\": it is badly made or "
                    "meant to do harm; don't use it");
    entry other[] = {{"arr_0.npy", "x", 1}};
    refused_archive(
        "an .npz archive", other, 1, 0, WF_E_UNSUPPORTED,
        "this is a NumPy .npz archive, which is not read: save the arrays as safetensors");
    other[0].name = "checkpoint.pth";
    refused_archive("another zip archive", other, 1, 0, WF_E_UNSUPPORTED,
                    "this zip archive has no data.pkl, so torch.save did not make it: if the "
                    "checkpoint is inside, unzip it "
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
    entry entries[] = {{"m/data.pkl", p.bytes, p.n},
                       {"m/byteorder", "little", 6},
                       {"m/data/0", storage, sizeof storage}};
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
    static const char *const keys[] = {"state_dict",     "model",     "params_ema", "params",
                                       "state_dict_ema", "model_ema", "module"};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    static const int64_t one[1] = {1};
    for (int first = 0; first < KEYS;
         first++) { /* the names from `first` on, in reverse order, beside a stray tensor */
        blob p = {NULL, 0, 0}, file = {NULL, 0, 0};
        wf_source s;
        wf_error err;
        begin_pickle(&p);
        pickle_tensor(&p, "step", "FloatStorage", "0", 6, 0, 1, one, one);
        for (int k = KEYS - 1; k >= first; k--) {
            pickle_text(&p, keys[k]);
            blob_text(&p, "}(");
            pickle_tensor(&p, "module._orig_mod.w", "FloatStorage", "0", 6, k % 6, 1, one, one);
            pickle_tensor(&p, "module._orig_mod.b", "FloatStorage", "0", 6, 5, 1, one, one);
            end_pickle(&p);
            p.n--; /* without the final dot */
        }
        end_pickle(&p);
        entry entries[] = {{"m/data.pkl", p.bytes, p.n}, {"m/data/0", storage, sizeof storage}};
        put_archive(&file, entries, 2, 0);
        CHECK_OK(open_blob(&file, &s, &err), err);
        if (err.code == WF_OK) {
            char note[200], others[128] = "";
            float w = 0;
            for (int k = first + 1; k < KEYS; k++) {
                strcat(strcat(others, k == first + 1 ? " (not " : ", "), keys[k]);
            }
            const char *are = first + 1 == KEYS   ? ""
                              : first + 2 == KEYS ? ", which is there too)"
                                                  : ", which are there too)";
            snprintf(note, sizeof note, "%s%s%s, without the prefix module._orig_mod.", keys[first],
                     others, are);
            CHECK(s.prefix_note != NULL && strcmp(s.prefix_note, note) == 0, "%s", s.prefix_note);
            CHECK(s.tensor_count == 2 && wf_source_find(&s, "w") != NULL &&
                  wf_source_find(&s, "step") == NULL);
            CHECK_OK(wf_source_read_f32(&s, &s.tensors[0], 0, 1, &w, &err), err);
            CHECK(w == storage[first % 6], "%g", (double)w);
            wf_source_close(&s);
        }
        blob_free(&p);
        blob_free(&file);
    }
}

int main(int argc, char **argv) {
    same_as_twin(DATA, "poolformer_tiny.pth.tar", "poolformer_tiny.safetensors", "", true, "");
    torture("pth_torture_torch1.pth", "pth_torture_torch1.expected.safetensors");
    torture("pth_torture_torch2.pth", "pth_torture_torch2.expected.safetensors");
    torture("pth_torture_torch1_legacy.pth", "pth_torture_torch1.expected.safetensors");
    torture("pth_torture_torch2_legacy.pth", "pth_torture_torch2.expected.safetensors");
    good_archive("an archive with a comment and local extra fields", 0);
    good_archive("a zip64 archive", ZIP64);
    bad_archives();
    RUN(cut_off_at_every_byte_is_an_error);
    RUN(memory_that_runs_out_is_an_error_and_nothing_leaks);
    RUN(state_dict_is_found_by_rule);
    if (argc > 1) { /* the folder of all goldens, with its final slash */
        same_as_twin(argv[1], "hf_bert_mlm_tinycfg.bin", "hf_bert_mlm_tinycfg.safetensors", "",
                     true, "");
        same_as_twin(argv[1], "hf_gpt2_tinycfg.bin", "hf_gpt2_tinycfg.safetensors", "transformer.",
                     false, "");
        same_as_twin(argv[1], "llama2c_tinycfg.pt", "llama2c_tinycfg.safetensors", "", true,
                     "model");
        same_as_twin(argv[1], "nanogpt_tinycfg.pt", "nanogpt_tinycfg.safetensors", "", true,
                     "model, without the prefix _orig_mod.");
        same_as_twin(argv[1], "slab_deit_tinycfg.pth", "slab_deit_tinycfg.safetensors", "", true,
                     "model");
        same_as_twin(argv[1], "slab_llama_tinycfg.pth", "slab_llama_tinycfg.safetensors", "", true,
                     "");
        same_as_twin(argv[1], "swin_tinycfg.pth", "swin_tinycfg.safetensors", "", true, "model");
        same_as_twin(argv[1], "vit_tinycfg.pth", "vit_tinycfg.safetensors", "", true, "model");
    }
    return wf_test_done();
}
