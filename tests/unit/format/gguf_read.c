/* The GGUF reader against bad input: every kind of malformed header with its exact sentence, a file
   cut off at every byte, and memory that runs out at every allocation. */
#include "base/alloc.h"
#include "memory.h"

enum { U32 = 4, BOOL = 7, STRING = 8, ARRAY = 9 };

static void fixed(blob *b, uint64_t tensors, uint64_t kvs) {
    blob_text(b, "GGUF");
    blob_int(b, 3, 4);
    blob_int(b, tensors, 8);
    blob_int(b, kvs, 8);
}

static void tensor(blob *b, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                   uint64_t offset) {
    blob_string(b, name);
    blob_int(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) {
        blob_int(b, dims[i], 8);
    }
    blob_int(b, type, 4);
    blob_int(b, offset, 8);
}

static void key(blob *b, const char *name, uint32_t type) {
    blob_string(b, name);
    blob_int(b, type, 4);
}

/* Feeds all of b in pieces, then ends the input. */
static wf_status read_all(const blob *b, size_t piece, uint64_t known, wf_error *err) {
    wf_gguf_reader *r;
    const wf_gguf *g = NULL;
    wf_error_clear(err);
    wf_status s = wf_gguf_reader_create(known, &r, err);
    for (size_t at = 0; s == WF_OK && at < b->n;) {
        size_t n = piece < b->n - at ? piece : b->n - at, used;
        s = wf_gguf_reader_feed(r, b->bytes + at, n, &used, &g, err);
        at += used;
    }
    s = s == WF_OK ? wf_gguf_reader_finish(r, err) : s;
    wf_gguf_reader_free(r);
    return s;
}

/* One piece and byte by byte must fail alike, with this sentence. */
static void refused(const char *name, blob *b, bool known, wf_status code, const char *sentence) {
    wf_error err;
    wf_test_begin();
    CHECK(read_all(b, b->n + 1, known ? b->n : 0, &err) == code, "%s: %s", wf_status_name(err.code),
          err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    CHECK(read_all(b, 1, known ? b->n : 0, &err) == code, "%s: %s", wf_status_name(err.code),
          err.text);
    CHECK(strcmp(err.text, sentence) == 0, "byte by byte the sentence is: %s", err.text);
    wf_test_end("refuses %s", name);
    blob_free(b);
}

static void foreign(void) {
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *sentence;
    } files[] = {
        {"an HTML page", "<!DOCTYPE html><html></html>", 28,
         "this is a web page, not a model: check the URL"},
        {"a page after white space", " \r\n<HTML>", 9,
         "this is a web page, not a model: check the URL"},
        {"gzip", "\x1f\x8b\x08\0\0\0\0\0\0\3 a longer body here", 30,
         "this is gzip-compressed data, not a model: unpack it first (gunzip)"},
        {"a zip archive", "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 25,
         "this is a zip archive (a PyTorch .pth?), not GGUF: convert it first"},
        {"safetensors", "\x08\0\0\0\0\0\0\0{}      and more", 24,
         "this is a safetensors file, not GGUF: convert it first"},
        {"a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", 43,
         "this is a Git LFS pointer, not the model itself: run `git lfs pull`, or download the "
         "file by its resolve URL"},
        {"a JSON error", "{\"error\":\"not found\"}", 21,
         "this is JSON text, not a model: perhaps a server's error message; check the URL"},
        {"other text", "Not Found", 9,
         "this is not a GGUF file: it begins with the bytes 4e 6f 74 20 instead of \"GGUF\"; check "
         "the URL or path"},
        {"one byte", "x", 1,
         "this is not a GGUF file: it begins with the bytes 78 instead of \"GGUF\"; check the URL "
         "or path"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        blob b = {NULL, 0, 0};
        blob_put(&b, files[i].bytes, files[i].n);
        refused(files[i].name, &b, false, WF_E_FORMAT, files[i].sentence);
    }
    blob b = {NULL, 0, 0};
    refused("an empty file", &b, false, WF_E_TRUNCATED, "the file is empty: check the URL or path");
}

static void versions(void) {
    static const struct {
        const char *name;
        uint32_t version;
        const char *sentence;
    } rows[] = {
        {"version 1", 1,
         "this is GGUF version 1, which nobody writes any more: convert the original model again"},
        {"a big-endian file", 0x03000000,
         "this is a big-endian GGUF file: convert the original model again on a little-endian "
         "machine"},
        {"version 4", 4,
         "this is GGUF version 4, and versions 2 and 3 are known: update this program or convert "
         "the model again"},
        {"version 0", 0,
         "this is GGUF version 0, and versions 2 and 3 are known: update this program or convert "
         "the model again"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        blob b = {NULL, 0, 0};
        fixed(&b, 0, 0);
        b.bytes[4] = (uint8_t)rows[i].version;
        b.bytes[7] = (uint8_t)(rows[i].version >> 24);
        refused(rows[i].name, &b, true, WF_E_UNSUPPORTED, rows[i].sentence);
    }
}

static void counts(void) {
    blob b = {NULL, 0, 0};
    fixed(&b, 0, UINT64_MAX);
    refused("an absurd key count", &b, true, WF_E_FORMAT,
            "the number of metadata entries is given as 18446744073709551615, but only 0 bytes of "
            "the file remain: it is "
            "damaged or was cut off; download it again");
    fixed(&b, UINT64_C(1) << 40, 0);
    refused("an absurd tensor count of unknown length", &b, false, WF_E_FORMAT,
            "the number of tensors is given as 1099511627776, more than the 256 MiB that a header "
            "may hold: the file is "
            "damaged; download it again");
    fixed(&b, 0, 1);
    blob_int(&b, UINT64_C(1) << 62, 8);
    blob_text(&b, "filler");
    refused("an absurd key length", &b, true, WF_E_FORMAT,
            "the length of a metadata key is given as 4611686018427387904, but only 6 bytes of the "
            "file remain: it is damaged "
            "or was cut off; download it again");
    fixed(&b, 0, 1);
    blob_int(&b, 0, 8);
    blob_text(&b, "fillerfiller");
    refused("an empty key", &b, true, WF_E_FORMAT,
            "metadata entry 0 has a key of 0 bytes (1 … 65535 are legal): the file is damaged; "
            "download it again");
    fixed(&b, 0, 1);
    key(&b, "k", STRING);
    blob_int(&b, 1000, 8);
    refused("an absurd string length", &b, true, WF_E_FORMAT,
            "the length of a metadata string is given as 1000, but only 0 bytes of the file "
            "remain: it is damaged or was cut "
            "off; download it again");
    fixed(&b, 0, 1);
    key(&b, "k", ARRAY);
    blob_int(&b, STRING, 4);
    blob_int(&b, 3, 8);
    blob_string(&b, "one");
    refused("an absurd array count", &b, true, WF_E_FORMAT,
            "the number of items of an array is given as 3, but only 11 bytes of the file remain: "
            "it is damaged or was cut "
            "off; download it again");
    fixed(&b, 0, 1);
    key(&b, "k", ARRAY);
    blob_int(&b, STRING, 4);
    blob_int(&b, 1, 8);
    blob_int(&b, 9, 8);
    refused("an absurd item length", &b, true, WF_E_FORMAT,
            "the length of a string in an array is given as 9, but only 0 bytes of the file "
            "remain: it is damaged or was cut "
            "off; download it again");
}

static void metadata(void) {
    blob b = {NULL, 0, 0};
    fixed(&b, 0, 1);
    key(&b, "k", 13);
    blob_int(&b, 0, 8);
    refused("an unknown value type", &b, true, WF_E_FORMAT,
            "metadata key \"k\" has the value type 13, which does not exist: the file is damaged; "
            "download it again");
    fixed(&b, 0, 1);
    key(&b, "k", ARRAY);
    blob_int(&b, ARRAY, 4);
    blob_int(&b, 0, 8);
    refused("nested arrays", &b, true, WF_E_UNSUPPORTED,
            "metadata key \"k\" is an array of arrays, which is not supported: convert the model "
            "again without it");
    fixed(&b, 0, 1);
    key(&b, "k", BOOL);
    blob_int(&b, 2, 1);
    refused("a truth value of 2", &b, true, WF_E_FORMAT,
            "metadata key \"k\" holds the truth value 2, where only 0 and 1 are legal: the file is "
            "damaged; download it again");
    fixed(&b, 0, 1);
    key(&b, "k", STRING);
    blob_int(&b, 3, 8);
    blob_put(&b, "a\0b", 3);
    refused("a zero byte in a string", &b, true, WF_E_FORMAT,
            "a metadata string holds a zero byte, which no GGUF string may: the file is damaged; "
            "download it again");
    fixed(&b, 0, 2);
    for (int i = 0; i < 2; i++) {
        key(&b, "same", U32);
        blob_int(&b, 1, 4);
    }
    refused("a key that appears twice", &b, true, WF_E_FORMAT,
            "the metadata key \"same\" appears twice: the file is damaged or badly made; convert "
            "it again");
    static const uint32_t alignments[] = {0, 12, 1 << 21};
    for (int i = 0; i < 3; i++) {
        fixed(&b, 0, 1);
        key(&b, "general.alignment", U32);
        blob_int(&b, alignments[i], 4);
        refused("a wrong alignment", &b, true, WF_E_FORMAT,
                "general.alignment must be a multiple of 8 and at most 1048576: the file is "
                "damaged or badly made; convert "
                "it again");
    }
}

/* A header with one tensor like this. */
static blob one_tensor(const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                       uint64_t offset) {
    blob b = {NULL, 0, 0};
    fixed(&b, 1, 0);
    tensor(&b, name, n_dims, dims, type, offset);
    return b;
}

static void tensors(void) {
    static const uint64_t four[5] = {4, 1, 1, 1, 1}, none[2] = {4, 0},
                          huge[2] = {UINT64_C(1) << 40, UINT64_C(1) << 40};
    static const uint64_t odd[1] = {33};
    blob b = one_tensor("t", 5, four, 0, 0);
    refused(
        "five dimensions", &b, true, WF_E_FORMAT,
        "tensor \"t\" has 5 dimensions, and GGUF allows 4: the file is damaged; download it again");
    b = one_tensor("t", 1, four, 4, 0);
    refused("a dead type id", &b, true, WF_E_FORMAT,
            "tensor \"t\" has the type id 4, which is unknown or no longer in use: the file is "
            "damaged, or newer than this "
            "program");
    b = one_tensor("t", 1, four, 12, 0);
    refused("a type that is known by name only", &b, true, WF_E_UNSUPPORTED,
            "tensor \"t\" is stored as Q4_K, which this version cannot compute with: convert the "
            "model to F32, F16 or Q8_0");
    b = one_tensor("t", 2, none, 0, 0);
    refused(
        "a dimension of 0", &b, true, WF_E_SHAPE,
        "dimension 1 of tensor \"t\" is 0: the file is damaged or badly made; convert it again");
    b = one_tensor("t", 2, huge, 0, 0);
    refused("dimensions that overflow", &b, true, WF_E_SHAPE,
            "the dimensions of tensor \"t\" multiply to more than any file can hold: the file is "
            "damaged; download it again");
    b = one_tensor("t", 1, odd, 8, 0);
    refused("rows that are no whole blocks", &b, true, WF_E_SHAPE,
            "tensor \"t\" has rows of 33 elements, and Q8_0 is stored in blocks of 32: the file is "
            "badly made; convert it again");
    b = one_tensor("t", 1, four, 0, 16);
    refused("an unaligned tensor", &b, true, WF_E_FORMAT,
            "tensor \"t\" begins at offset 16, which is no multiple of the file's alignment 32: "
            "the file is damaged or badly "
            "made; convert it again");
    b = one_tensor("t", 1, four, 0, UINT64_MAX - 31);
    refused("an offset beyond any file", &b, false, WF_E_FORMAT,
            "tensor \"t\" would begin at offset 18446744073709551584 and hold 16 bytes, more than "
            "any file: the file is "
            "damaged; download it again");
    b = one_tensor("t", 1, four, 0, 32);
    refused("a tensor past the end of the file", &b, true, WF_E_TRUNCATED,
            "tensor \"t\" would end at byte 112, but the file ends at byte 57: it was cut off; "
            "download it again");
    b = one_tensor("t", 1, four, 0, 0);
    blob_put(&b, "0123456789", 10);
    refused("a file of unknown length that ends early", &b, false, WF_E_TRUNCATED,
            "the file ends after 67 of 80 bytes, before tensor \"t\" is complete: it was cut off; "
            "download it again");
    b = one_tensor("0123456789012345678901234567890123456789012345678901234567890123456789", 1,
                   four, 0, 0);
    refused("a name of 70 bytes", &b, true, WF_E_FORMAT,
            "tensor 0 has a name of 70 bytes (1 … 64 are legal): the file is damaged; download it "
            "again");
    memset(&b, 0, sizeof b);
    fixed(&b, 2, 0);
    tensor(&b, "t", 1, four, 0, 0);
    tensor(&b, "t", 1, four, 0, 32);
    refused("two tensors of one name", &b, false, WF_E_FORMAT,
            "two tensors are named \"t\": the file is damaged or badly made; convert it again");
    fixed(&b, 2, 0);
    tensor(&b, "late", 1, odd, 0, 96);
    tensor(&b, "early", 1, odd, 0, 0);
    refused("tensors that overlap", &b, false, WF_E_FORMAT,
            "tensors \"early\" and \"late\" overlap: the file is damaged or badly made; convert it "
            "again");
}

/* A small file with everything in it. */
static blob sample(void) {
    static const uint64_t two[2] = {3, 2}, block[1] = {32};
    blob b = {NULL, 0, 0};
    fixed(&b, 2, 3);
    key(&b, "general.architecture", STRING);
    blob_string(&b, "poolformer");
    key(&b, "n", U32);
    blob_int(&b, 5, 4);
    key(&b, "labels", ARRAY);
    blob_int(&b, STRING, 4);
    blob_int(&b, 2, 8);
    blob_string(&b, "cat");
    blob_string(&b, "dog");
    tensor(&b, "w", 2, two, 0, 64);
    tensor(&b, "q", 1, block, 8, 0);
    while (b.n % 32 != 0) {
        blob_int(&b, 0, 1);
    }
    for (int i = 0; i < 64 + 24; i++) {
        blob_int(&b, (uint64_t)i, 1);
    }
    return b;
}

WF_TEST(cut_off_at_every_byte_is_an_error_and_never_more) {
    blob b = sample();
    wf_error err;
    CHECK(read_all(&b, 5, b.n, &err) == WF_OK, "%s", err.text);
    for (size_t n = 0; n < b.n; n++) {
        for (int known = 0; known < 3; known++) { /* unknown, as cut, as announced */
            blob part = {malloc(n + 1), n,
                         0}; /* a block of its own, so that reading past the end is seen */
            memcpy(part.bytes, b.bytes, n);
            wf_status s = read_all(&part, known == 1 ? 1 : 1000,
                                   known == 0   ? 0
                                   : known == 1 ? n
                                                : b.n,
                                   &err);
            CHECK(s == WF_E_TRUNCATED || s == WF_E_FORMAT, "cut at %zu: status %d", n, (int)s);
            CHECK(err.text[0] != '\0');
            free(part.bytes);
        }
    }
    blob_free(&b);
}

WF_TEST(bytes_behind_the_last_tensor_are_passed_over) {
    blob b = sample();
    wf_error err;
    blob_text(&b, "trailing bytes, as padding may be");
    CHECK(read_all(&b, 3, b.n, &err) == WF_OK, "%s", err.text);
    blob_free(&b);
}

WF_TEST(a_failed_reader_repeats_its_error) {
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_reader *r;
    const wf_gguf *g;
    size_t used;
    CHECK_OK(wf_gguf_reader_create(0, &r, &err), err);
    CHECK(wf_gguf_reader_feed(r, "<html><body>no such file", 24, &used, &g, NULL) == WF_E_FORMAT);
    CHECK(wf_gguf_reader_feed(r, "GGUF", 4, &used, &g, &err) == WF_E_FORMAT && used == 0 &&
          g == NULL);
    CHECK(strcmp(err.text, "this is a web page, not a model: check the URL") == 0);
    CHECK(wf_gguf_reader_finish(r, NULL) == WF_E_FORMAT);
    wf_gguf_reader_free(r);
}

static wf_status stop(void *user, uint32_t t, uint64_t at, const void *bytes, size_t n,
                      wf_error *err) {
    (void)bytes, (void)n, (void)t;
    return at >= *(uint64_t *)user ? wf_fail(err, WF_E_ABORTED, "sink", -1, "stopped by the user")
                                   : WF_OK;
}

WF_TEST(a_sink_can_stop_the_reader) {
    blob b = sample();
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_reader *r;
    const wf_gguf *g;
    size_t used, more;
    uint64_t limit = 10;
    CHECK_OK(wf_gguf_reader_create(b.n, &r, &err), err);
    CHECK_OK(wf_gguf_reader_feed(r, b.bytes, b.n, &used, &g, &err), err);
    CHECK(g != NULL && used <= g->data_start);
    uint64_t data_start = g != NULL ? g->data_start : 0;
    wf_gguf_sink sink = {&limit, stop};
    wf_gguf_reader_set_sink(r, sink);
    wf_status s = WF_OK;
    size_t at = used;
    while (s == WF_OK && at < b.n) {
        s = wf_gguf_reader_feed(r, b.bytes + at, 1, &more, &g, &err);
        at += more;
    }
    CHECK(s == WF_E_ABORTED && strcmp(err.text, "stopped by the user") == 0, "%s", err.text);
    CHECK(g == NULL && at == data_start + limit, "stopped at %zu",
          at); /* the first tensor begins the data */
    wf_gguf_reader_free(r);
    blob_free(&b);
}

WF_TEST(feeding_byte_by_byte_is_linear) {
    enum { ITEMS = 200000 };
    blob b = {NULL, 0, 0};
    wf_error err;
    fixed(&b, 0, 2);
    key(&b, "strings", ARRAY);
    blob_int(&b, STRING, 4);
    blob_int(&b, ITEMS, 8);
    for (int i = 0; i < ITEMS; i++) {
        blob_string(&b, "ab");
    }
    key(&b, "numbers", ARRAY);
    blob_int(&b, U32, 4);
    blob_int(&b, ITEMS, 8);
    for (int i = 0; i < ITEMS; i++) {
        blob_int(&b, (uint64_t)i, 4);
    }
    uint64_t before = wf_alloc_get_stats().calls;
    CHECK(read_all(&b, 1, b.n, &err) == WF_OK, "%s", err.text);
    uint64_t calls = wf_alloc_get_stats().calls - before;
    CHECK(calls < 2000, "%llu allocations",
          (unsigned long long)calls); /* growth by doubling, arena blocks of 16 KiB */
    blob_free(&b);
}

WF_TEST(memory_that_runs_out_is_an_error_and_nothing_leaks) {
    blob b = sample();
    wf_error err;
    uint64_t live = wf_alloc_get_stats().live;
    int failures = 0;
    for (uint64_t n = 1; n < 1000; n++) {
        wf_alloc_fail_after(n);
        wf_status s = read_all(&b, 7, b.n, &err);
        wf_alloc_fail_after(0);
        CHECK(wf_alloc_get_stats().live == live, "allocation %d", (int)n);
        if (s == WF_OK) {
            break;
        }
        failures++;
        CHECK(s == WF_E_MEMORY && err.text[0] != '\0', "allocation %d: status %d", (int)n, (int)s);
    }
    CHECK(failures >= 5, "%d", failures);
    blob_free(&b);
}

int main(void) {
    foreign();
    versions();
    counts();
    metadata();
    tensors();
    RUN(cut_off_at_every_byte_is_an_error_and_never_more);
    RUN(bytes_behind_the_last_tensor_are_passed_over);
    RUN(a_failed_reader_repeats_its_error);
    RUN(a_sink_can_stop_the_reader);
    RUN(feeding_byte_by_byte_is_linear);
    RUN(memory_that_runs_out_is_an_error_and_nothing_leaks);
    return wf_test_done();
}
