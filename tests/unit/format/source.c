/* Reading tensors out of a source: every way through the strided reader (contiguous, in one span,
   run by run) against a plain loop over the strides, whole and in pieces; opening by the first
   bytes; I/O errors. */
#include "memory.h"

enum { HELD = 3000000 };

static blob storage;
static uint64_t bytes_read, reads;

static wf_status counted_read(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    bytes_read += n;
    reads++;
    return blob_file_read(user, offset, dst, n, err);
}

static double held(uint64_t i) {
    return (double)(i * 2654435761u % 65521) - 30000;
}

/* A source over one storage of HELD int32 behind 5 bytes of something else. */
static wf_source make_source(void) {
    wf_source s;
    memset(&s, 0, sizeof s);
    blob_put(&storage, "12345", 5);
    for (uint64_t i = 0; i < HELD; i++) {
        blob_int(&storage, (uint64_t)(int64_t)held(i), 4);
    }
    s.container = "test";
    s.file.user = &storage;
    s.file.size = storage.n;
    s.file.read = counted_read;
    return s;
}

static wf_source_tensor view(uint64_t first, uint32_t n_dims, const uint64_t *dims,
                             const int64_t *strides) {
    wf_source_tensor t;
    memset(&t, 0, sizeof t);
    t.name = "view";
    t.type = WF_I32;
    t.n_dims = n_dims;
    t.elements = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
        t.dims[d] = dims[d];
        t.strides[d] = strides[d];
        t.elements *= dims[d];
    }
    t.storage_at = 5;
    t.storage_bytes = 4 * (uint64_t)HELD;
    t.first = first;
    return t;
}

static double expected(const wf_source_tensor *t, uint64_t i) {
    uint64_t at = t->first;
    for (uint32_t d = t->n_dims; d-- > 0;) {
        at += i % t->dims[d] * (uint64_t)t->strides[d];
        i /= t->dims[d];
    }
    return held(at);
}

static void check_view(const wf_source *s, const char *name, wf_source_tensor t) {
    uint64_t pieces[] = {t.elements, 1, 7, 1000};
    wf_error err;
    wf_error_clear(&err);
    double *d = malloc((size_t)t.elements * sizeof *d);
    float *f = malloc((size_t)t.elements * sizeof *f);
    wf_test_begin();
    for (int p = 0; p < 4; p++) {
        uint64_t step = pieces[p], most = step < t.elements ? 20 * step : t.elements;
        for (uint64_t i = 0; i < t.elements && i < most; i += step) {
            uint64_t n = t.elements - i < step ? t.elements - i : step;
            CHECK_OK(wf_source_read_f64(s, &t, i, n, d + i, &err), err);
            CHECK_OK(wf_source_read_f32(s, &t, i, n, f + i, &err), err);
            for (uint64_t k = i; k < i + n; k++) {
                CHECK(d[k] == expected(&t, k) && f[k] == (float)d[k],
                      "piece of %d: element %d is %g, not %g", (int)step, (int)k, d[k],
                      expected(&t, k));
            }
        }
    }
    wf_test_end("%s", name);
    free(d);
    free(f);
}

static void views(const wf_source *s) {
    check_view(s, "contiguous, larger than a piece",
               view(17, 2, (uint64_t[]){500, 333}, (int64_t[]){333, 1}));
    check_view(s, "transposed", view(3, 2, (uint64_t[]){300, 200}, (int64_t[]){1, 300}));
    check_view(s, "columns of a matrix", view(5, 2, (uint64_t[]){400, 6}, (int64_t[]){1000, 1}));
    check_view(s, "far apart", view(0, 2, (uint64_t[]){20, 3}, (int64_t[]){149000, 7}));
    check_view(s, "long runs far apart",
               view(9, 2, (uint64_t[]){3, 100000}, (int64_t[]){1200000 - 300000, 1}));
    check_view(s, "expanded", view(11, 3, (uint64_t[]){50, 40, 3}, (int64_t[]){0, 1, 0}));
    check_view(s, "channels last",
               view(1, 4, (uint64_t[]){2, 3, 40, 50}, (int64_t[]){6000, 1, 150, 3}));
    check_view(s, "axes of length 1 with odd strides",
               view(4, 4, (uint64_t[]){1, 30, 1, 20}, (int64_t[]){-9, 20, 77, 1}));
    check_view(s, "one element", view(HELD - 1, 0, NULL, NULL));
}

static wf_source_tensor whole_transposed(void) {
    return view(0, 2, (uint64_t[]){2000, 1500}, (int64_t[]){1, 2000});
}

/* Reading must not cost a call an element where elements lie close, nor the whole storage where
 * they don't. */
static void costs(const wf_source *s) {
    wf_error err;
    wf_error_clear(&err);
    float *f = malloc(4 * (size_t)HELD);
    wf_source_tensor t = whole_transposed();
    wf_test_begin();
    reads = bytes_read = 0;
    CHECK_OK(wf_source_read_f32(s, &t, 0, t.elements, f, &err), err);
    CHECK(reads == 1 && bytes_read == 4 * (uint64_t)HELD, "%d reads", (int)reads);
    reads = bytes_read = 0;
    CHECK_OK(wf_source_read_f32(s, &t, 0, 1500, f, &err), err);
    CHECK(bytes_read <= 4 * 1500, "%d bytes for one row", (int)bytes_read);
    wf_test_end("a transposed matrix is read at once, one row of it by elements");
    free(f);
}

WF_TEST(read_errors_are_passed_on) {
    wf_source s;
    wf_error err;
    float f[4];
    blob small = {NULL, 0, 0};
    memset(&s, 0, sizeof s);
    blob_put(&small, "0123", 4);
    s.file = blob_file(&small);
    wf_source_tensor t = view(0, 1, (uint64_t[]){2}, (int64_t[]){1});
    wf_source_tensor u = view(0, 1, (uint64_t[]){2}, (int64_t[]){2});
    wf_error_clear(&err);
    CHECK_FAILS(wf_source_read_f32(&s, &t, 0, 2, f, &err), WF_E_IO, err);
    CHECK_FAILS(wf_source_read_f32(&s, &u, 0, 2, f, &err), WF_E_IO, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_source_read_f32(&s, &t, 1, 2, f, &err), WF_E_ARGUMENT, err);
    CHECK(strcmp(err.text,
                 "elements 1 … 3 of tensor \"view\" were asked for, and it has 2; ask for fewer") ==
              0,
          "%s", err.text);
    blob_free(&small);
}

static void foreign(const char *name, const char *bytes, size_t n, wf_status code,
                    const char *sentence) {
    blob b = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    wf_test_begin();
    wf_error_clear(&err);
    blob_put(&b, bytes, n);
    CHECK(wf_source_open(blob_file(&b), &s, &err) == code, "%s", err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    wf_test_end("refuses %s", name);
    blob_free(&b);
}

int main(void) {
    wf_source s = make_source();
    views(&s);
    costs(&s);
    RUN(read_errors_are_passed_on);
    foreign("an empty file", "", 0, WF_E_TRUNCATED, "the file is empty: check the path");
    foreign("a web page", "<!doctype html>", 15, WF_E_UNSUPPORTED,
            "this is a web page, not a model: check the URL");
    foreign("a GGUF file", "GGUF\3\0\0\0", 8, WF_E_UNSUPPORTED,
            "this is a GGUF file, which needs no conversion: run it as it is");
    foreign("a bare pickle", "\x80\4}.", 4, WF_E_UNSUPPORTED,
            "this is a bare Python pickle, not a model file: save the state dict with torch.save "
            "or safetensors");
    foreign("a picture", "\xff\xd8\xff\xe0", 4, WF_E_UNSUPPORTED,
            "this is a JPEG picture, not a model: were model and picture exchanged?");
    foreign("a Keras file", "\x89HDF\r\n", 6, WF_E_UNSUPPORTED,
            "this is an HDF5 (Keras) file, which is not read: export the weights as safetensors");
    foreign(
        "a llama2.c file", "24ka\1\0\0\0", 8, WF_E_UNSUPPORTED,
        "this is a llama2.c checkpoint, which is not read: use the .pt file it was exported from");
    foreign("something else", "\1\2\3", 3, WF_E_UNSUPPORTED,
            "this is no checkpoint that is known: it begins with the bytes 01 02 03; safetensors "
            "files and PyTorch's .pth files "
            "(torch.save) are read");
    blob_free(&storage);
    return wf_test_done();
}
