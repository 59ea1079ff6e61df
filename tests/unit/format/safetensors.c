/* safetensors: what the writer writes the reader reads; every dtype; every kind of bad header with
 * its exact sentence. */
#include "base/alloc.h"
#include "memory.h"

static blob file_of(const char *header, const char *data, size_t n) {
    blob b = {NULL, 0, 0};
    blob_string(&b, header); /* the length of a GGUF string is the length of a safetensors header */
    blob_put(&b, data, n);
    return b;
}

static void refused(const char *name, const char *header, size_t data_bytes, wf_status code,
                    const char *sentence) {
    static const char data[64];
    blob b = file_of(header, data, data_bytes);
    wf_source s;
    wf_error err;
    wf_test_begin();
    wf_error_clear(&err);
    wf_status status = wf_safetensors_open(blob_file(&b), &s, &err);
    CHECK(status == code, "status %d: %s", (int)status, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    if (status == WF_OK) {
        wf_source_close(&s);
    }
    wf_test_end("refuses %s", name);
    blob_free(&b);
}

#define DAMAGED(what) \
    "tensor \"a\" of the safetensors header " what ": the file is damaged; download it again"

static void bad_headers(void) {
    refused("no object", "[1,2]", 0, WF_E_FORMAT,
            "the safetensors header is no JSON object: the file is damaged; download it again");
    refused("broken JSON", "{\"a\":", 0, WF_E_FORMAT,
            "safetensors header, line 1, column 6: the text ends where a value is expected: it is "
            "empty or was cut off");
    refused("a name twice",
            "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            2, WF_E_FORMAT,
            "safetensors header: the key \"a\" appears twice in one object; remove one of the two");
    refused("no tensor", "{\"__metadata__\":{\"format\":\"pt\"}}", 0, WF_E_MISSING,
            "there is no tensor in this file: save the model's state dict");
    refused("an entry that is no object", "{\"a\":7}", 0, WF_E_FORMAT, DAMAGED("is no object"));
    refused("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, WF_E_FORMAT,
            DAMAGED("has no dtype"));
    refused("an unknown dtype",
            "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            WF_E_UNSUPPORTED,
            "tensor \"a\" is stored as F8_E4M3; F64, F32, F16, BF16, I64, I32, I16, I8, U8 and "
            "BOOL are read: save it as one of "
            "these");
    refused("no shape", "{\"a\":{\"dtype\":\"I8\",\"data_offsets\":[0,1]}}", 1, WF_E_FORMAT,
            DAMAGED("has no shape"));
    refused("a negative dimension",
            "{\"a\":{\"dtype\":\"I8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, WF_E_FORMAT,
            DAMAGED("has a dimension that is no whole number"));
    refused("a broken dimension",
            "{\"a\":{\"dtype\":\"I8\",\"shape\":[1.5],\"data_offsets\":[0,1]}}", 1, WF_E_FORMAT,
            DAMAGED("has a dimension that is no whole number"));
    refused("nine dimensions",
            "{\"a\":{\"dtype\":\"I8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
            WF_E_UNSUPPORTED,
            "tensor \"a\" has 9 dimensions, and 8 are supported: reshape it before saving");
    refused("dimensions that overflow",
            "{\"a\":{\"dtype\":\"I8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
            1, WF_E_SHAPE,
            "the dimensions of tensor \"a\" multiply to more than any file can hold: the file is "
            "damaged; download it again");
    refused("no offsets", "{\"a\":{\"dtype\":\"I8\",\"shape\":[1]}}", 1, WF_E_FORMAT,
            DAMAGED("has no proper data_offsets"));
    refused("three offsets", "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 2,
            WF_E_FORMAT, DAMAGED("has no proper data_offsets"));
    refused("offsets backwards", "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[2,1]}}",
            2, WF_E_FORMAT, DAMAGED("has no proper data_offsets"));
    refused("offsets that don't fit",
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,7]}}", 8, WF_E_FORMAT,
            DAMAGED("has data_offsets that don't fit its dtype and shape"));
    refused("a tensor past the end",
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, WF_E_TRUNCATED,
            "tensor \"a\" would end at byte 70, but the file ends at byte 69: it was cut off; "
            "download it again");
    refused(
        "tensors that overlap",
        "{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
        "\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
        8, WF_E_FORMAT,
        "tensors \"a\" and \"b\" overlap: the file is damaged or badly made; save the model again");
}

static void bad_lengths(const char *name, uint64_t length, size_t more, wf_status code,
                        const char *sentence) {
    blob b = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    wf_test_begin();
    wf_error_clear(&err);
    blob_int(&b, length, 8);
    blob_put(&b, "{}          ", more);
    CHECK(wf_safetensors_open(blob_file(&b), &s, &err) == code, "%s", err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    wf_test_end("refuses %s", name);
    blob_free(&b);
}

/* One value of each dtype, and what it must come out as. */
WF_TEST(every_dtype_is_decoded) {
    static const struct {
        const char *dtype, *bytes;
        size_t size;
        double value;
    } rows[] = {
        {"F64", "\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8, 0.1},
        {"F32", "\0\0\0\xc0", 4, -2.0},
        {"F16", "\1\0", 2, 0x1p-24},
        {"BF16", "\x80\x3f", 2, 1.0},
        {"I64", "\0\0\0\0\0\0\0\x80", 8, -0x1p63},
        {"I32", "\xff\xff\xff\xff", 4, -1},
        {"I16", "\0\x80", 2, -32768},
        {"I8", "\x80", 1, -128},
        {"U8", "\xff", 1, 255},
        {"BOOL", "\2", 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char header[128];
        wf_source s;
        wf_error err;
        double d = 0;
        float f = 0;
        wf_error_clear(&err);
        snprintf(header, sizeof header,
                 "{\"t\":{\"dtype\":\"%s\",\"shape\":[],\"data_offsets\":[0,%zu]}}", rows[i].dtype,
                 rows[i].size);
        blob b = file_of(header, rows[i].bytes, rows[i].size);
        CHECK_OK(wf_source_open(blob_file(&b), &s, &err), err);
        if (err.code == WF_OK) {
            CHECK_OK(wf_source_read_f64(&s, &s.tensors[0], 0, 1, &d, &err), err);
            CHECK_OK(wf_source_read_f32(&s, &s.tensors[0], 0, 1, &f, &err), err);
            CHECK(d == rows[i].value && f == (float)rows[i].value, "%s: %g, %g", rows[i].dtype, d,
                  (double)f);
            wf_source_close(&s);
        }
        blob_free(&b);
    }
}

WF_TEST(written_outputs_are_read_back) {
    static const float a[6] = {1, -2.5f, 3e-40f, INFINITY, 0, 1e38f};
    static const double d[2] = {0.1, -1e300};
    static const wf_safetensors_entry entries[] = {{"output", WF_F32, 2, {2, 3}, a},
                                                   {"act/network.0 \"q\"\n", WF_F64, 1, {2}, d},
                                                   {"none", WF_F32, 2, {0, 4}, NULL}};
    blob b = {NULL, 0, 0};
    wf_byte_sink sink = blob_sink(&b);
    wf_source s;
    wf_error err;
    float got[6];
    double wide[2];
    wf_error_clear(&err);
    CHECK_OK(wf_safetensors_write(&sink, entries, 3, &err), err);
    CHECK(b.n % 8 == 0, "the data begin at a multiple of 8: %zu", b.n);
    CHECK_OK(wf_source_open(blob_file(&b), &s, &err), err);
    if (err.code == WF_OK) {
        const wf_source_tensor *t = wf_source_find(&s, "output"),
                               *u = wf_source_find(&s, "act/network.0 \"q\"\n");
        const wf_source_tensor *none = wf_source_find(&s, "none");
        CHECK(s.tensor_count == 3 && t != NULL && u != NULL && none != NULL && none->elements == 0);
        CHECK(t->n_dims == 2 && t->dims[0] == 2 && t->dims[1] == 3);
        CHECK_OK(wf_source_read_f32(&s, t, 0, 6, got, &err), err);
        CHECK_OK(wf_source_read_f64(&s, u, 0, 2, wide, &err), err);
        CHECK(memcmp(got, a, sizeof a) == 0 && memcmp(wide, d, sizeof d) == 0);
        CHECK_FAILS(wf_source_read_f32(&s, t, 2, 5, got, &err), WF_E_ARGUMENT, err);
        wf_source_close(&s);
    }
    blob_free(&b);
    wf_safetensors_entry bad = {"h", WF_F16, 1, {1}, a};
    wf_error_clear(&err);
    CHECK_FAILS(wf_safetensors_write(&sink, &bad, 1, &err), WF_E_ARGUMENT, err);
    CHECK(b.n == 0, "nothing is written of a bad list");
    blob_free(&b);
}

WF_TEST(prefixes_that_all_names_have_are_cut) {
    static const struct {
        const char *first, *second, *want, *note;
    } rows[] = {
        {"module.a", "module.b", "a", "without the prefix module."},
        {"_orig_mod.a", "_orig_mod.b", "a", "without the prefix _orig_mod."},
        {"_orig_mod.module.a", "_orig_mod.module.b", "a", "without the prefix _orig_mod.module."},
        {"module.a", "b", "module.a", NULL},
        {"module.a", "module.", "module.a", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char header[256];
        wf_source s;
        wf_error err;
        wf_error_clear(&err);
        snprintf(header, sizeof header,
                 "{\"%s\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                 "\"%s\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                 rows[i].first, rows[i].second);
        blob b = file_of(header, "xy", 2);
        CHECK_OK(wf_source_open(blob_file(&b), &s, &err), err);
        if (err.code == WF_OK) {
            CHECK(strcmp(s.tensors[0].name, rows[i].want) == 0, "%s", s.tensors[0].name);
            CHECK((s.prefix_note == NULL) == (rows[i].note == NULL));
            CHECK(rows[i].note == NULL || strcmp(s.prefix_note, rows[i].note) == 0, "%s",
                  s.prefix_note);
            wf_source_close(&s);
        }
        blob_free(&b);
    }
}

WF_TEST(cut_off_at_every_byte_is_an_error) {
    blob b =
        file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "01234567", 8);
    wf_source s;
    wf_error err;
    for (size_t n = 0; n < b.n; n++) {
        blob part = {malloc(n + 1), n, 0};
        memcpy(part.bytes, b.bytes, n);
        wf_error_clear(&err);
        CHECK(wf_source_open(blob_file(&part), &s, &err) != WF_OK && err.text[0] != '\0',
              "cut at %zu", n);
        free(part.bytes);
    }
    blob_free(&b);
}

WF_TEST(memory_that_runs_out_is_an_error_and_nothing_leaks) {
    blob b =
        file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "01234567", 8);
    wf_source s;
    wf_error err;
    float got[2];
    int failures = 0;
    uint64_t live = wf_alloc_get_stats().live;
    for (uint64_t n = 1; n < 100; n++) {
        wf_error_clear(&err);
        wf_alloc_fail_after(n);
        wf_status status = wf_source_open(blob_file(&b), &s, &err);
        if (status == WF_OK) {
            status = wf_source_read_f32(&s, &s.tensors[0], 0, 2, got, &err);
            wf_source_close(&s);
        }
        wf_alloc_fail_after(0);
        CHECK(wf_alloc_get_stats().live == live, "allocation %d leaks", (int)n);
        if (status == WF_OK) {
            break;
        }
        CHECK(status == WF_E_MEMORY, "allocation %d: %s", (int)n, err.text);
        failures++;
    }
    CHECK(failures >= 4, "%d", failures);
    blob_free(&b);
}

#define I8_OF_2(name, at) "\"" name "\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[" at "]}"

/* torch.nn.utils.prune keeps X as X_orig and X_mask: read as X, their product; what only looks like that stays. */
WF_TEST(pruned_weights_are_multiplied_by_their_masks) {
    static const int8_t data[] = {5, -7, 0, 1, 3, 4, 6, 8, 9, 2, 1, 1, 0, 0};
    blob b = file_of("{" I8_OF_2("b.w_orig", "0,2") "," I8_OF_2("b.w_mask", "2,4") "," I8_OF_2("a", "4,6") "," I8_OF_2("lone_orig", "6,8") ","
                     I8_OF_2("c", "8,10") "," I8_OF_2("c_orig", "10,12") "," I8_OF_2("c_mask", "12,14") "}",
                     (const char *)data, sizeof data);
    static const char *const names[] = {"a", "b.w", "c", "c_mask", "c_orig", "lone_orig"};
    static const double values[][2] = {{3, 4}, {0, -7}, {9, 2}, {0, 0}, {1, 1}, {6, 8}};
    wf_source s;
    wf_error err;
    wf_error_clear(&err);
    wf_status status = wf_safetensors_open(blob_file(&b), &s, &err);
    CHECK(status == WF_OK, "%s", err.text);
    if (status == WF_OK) {
        CHECK(s.tensor_count == 6, "%llu tensors", (unsigned long long)s.tensor_count);
        for (size_t i = 0; i < 6; i++) {
            const wf_source_tensor *found = wf_source_find(&s, names[i]);
            double v[2] = {-1, -1};
            CHECK(found != NULL && wf_source_read_f64(&s, found, 0, 2, v, &err) == WF_OK, "%s: %s", names[i], err.text);
            CHECK(v[0] == values[i][0] && v[1] == values[i][1], "%s is %g, %g", names[i], v[0], v[1]);
        }
        wf_source_close(&s);
    }
    blob_free(&b);
}

static void bad_masks(void) {
    refused("a mask of another shape", "{" I8_OF_2("w_orig", "0,2") ",\"w_mask\":{\"dtype\":\"I8\",\"shape\":[1,2],\"data_offsets\":[2,4]}}", 4,
            WF_E_SHAPE, "the mask \"w_mask\" has another shape than the pruned weight \"w_orig\": the file is badly made; save the model again");
}

int main(void) {
    bad_headers();
    bad_masks();
    bad_lengths("a header longer than the file", 100, 2, WF_E_TRUNCATED,
                "the safetensors header is given as 100 bytes, but only 2 bytes of the file "
                "remain: it was cut off; download it "
                "again");
    bad_lengths("an absurd header length", UINT64_MAX, 2, WF_E_FORMAT,
                "the safetensors header is given as 18446744073709551615 bytes, and 100 MB is the "
                "format's limit: the file is "
                "damaged; download it again");
    RUN(every_dtype_is_decoded);
    RUN(written_outputs_are_read_back);
    RUN(prefixes_that_all_names_have_are_cut);
    RUN(pruned_weights_are_multiplied_by_their_masks);
    RUN(cut_off_at_every_byte_is_an_error);
    RUN(memory_that_runs_out_is_an_error_and_nothing_leaks);
    return wf_test_done();
}
