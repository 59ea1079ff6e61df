/* Metadata access: integers of every width where they fit, nothing where kind or sign don't. */
#include "memory.h"

static void put(blob *b, const char *key, uint32_t type, uint64_t bits, int bytes) {
    blob_string(b, key);
    blob_int(b, type, 4);
    blob_int(b, bits, bytes);
}

static void put_array(blob *b, const char *key, uint32_t type, uint64_t bits, int bytes) {
    blob_string(b, key);
    blob_int(b, WF_GGUF_ARRAY, 4);
    blob_int(b, type, 4);
    blob_int(b, 1, 8);
    blob_int(b, bits, bytes);
}

static uint64_t double_bits(double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

static const struct {
    const char *key;
    wf_gguf_type type;
    uint64_t bits;
    int bytes;
    bool is_u64, is_f64, is_bool;
    uint64_t u;
    double f;
} rows[] = {
    {"u8", WF_GGUF_U8, 200, 1, true, true, false, 200, 200},
    {"i8", WF_GGUF_I8, 100, 1, true, true, false, 100, 100},
    {"i8-", WF_GGUF_I8, 0xff, 1, false, true, false, 0, -1},
    {"u16", WF_GGUF_U16, 65535, 2, true, true, false, 65535, 65535},
    {"i16-", WF_GGUF_I16, 0x8000, 2, false, true, false, 0, -32768},
    {"u32", WF_GGUF_U32, 4294967295u, 4, true, true, false, 4294967295u, 4294967295.0},
    {"i32", WF_GGUF_I32, 7, 4, true, true, false, 7, 7},
    {"i32-", WF_GGUF_I32, 0xfffffffe, 4, false, true, false, 0, -2},
    {"f32", WF_GGUF_F32, 0x3fc00000, 4, false, true, false, 0, 1.5},
    {"bool", WF_GGUF_BOOL, 1, 1, false, false, true, 1, 0},
    {"u64", WF_GGUF_U64, UINT64_MAX, 8, true, true, false, UINT64_MAX, 18446744073709551616.0},
    {"i64-", WF_GGUF_I64, UINT64_MAX - 4, 8, false, true, false, 0, -5},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const wf_gguf *g;

WF_TEST(scalars) {
    for (int i = 0; i < ROWS; i++) {
        uint64_t u = 12345;
        double f = 0.25;
        bool b = false;
        const wf_gguf_kv *kv = wf_gguf_find(g, rows[i].key);
        CHECK(kv != NULL && kv->type == rows[i].type && kv->key.length == strlen(rows[i].key), "%s",
              rows[i].key);
        CHECK(wf_gguf_get_u64(g, rows[i].key, &u) == rows[i].is_u64, "%s as u64", rows[i].key);
        CHECK(u == (rows[i].is_u64 ? rows[i].u : 12345), "%s", rows[i].key);
        CHECK(wf_gguf_get_f64(g, rows[i].key, &f) == rows[i].is_f64, "%s as f64", rows[i].key);
        CHECK(f == (rows[i].is_f64 ? rows[i].f : 0.25), "%s: %g", rows[i].key, f);
        CHECK(wf_gguf_get_bool(g, rows[i].key, &b) == rows[i].is_bool && b == rows[i].is_bool,
              "%s as bool", rows[i].key);
        CHECK(wf_gguf_get_string(g, rows[i].key) == NULL, "%s as string", rows[i].key);
    }
    double d = 0;
    CHECK(wf_gguf_get_f64(g, "f64", &d) && d == -1e300);
}

WF_TEST(items) {
    for (int i = 0; i < ROWS; i++) {
        char key[32];
        uint64_t u = 0;
        double f = 0;
        bool boolean = rows[i].type == WF_GGUF_BOOL;
        snprintf(key, sizeof key, "a.%s", rows[i].key);
        const wf_gguf_kv *kv = wf_gguf_find(g, key);
        CHECK(kv != NULL && kv->type == WF_GGUF_ARRAY && kv->element == rows[i].type &&
                  kv->count == 1,
              "%s", key);
        CHECK(wf_gguf_item_u64(kv, 0, &u) == (rows[i].is_u64 || boolean) && u == rows[i].u, "%s",
              key);
        CHECK(wf_gguf_item_f64(kv, 0, &f) && f == (boolean ? 1 : rows[i].f), "%s: %g", key, f);
        CHECK(!wf_gguf_item_u64(kv, 1, &u) && !wf_gguf_item_f64(kv, 1, &f), "%s past its end", key);
        CHECK(wf_gguf_item_string(kv, 0) == NULL);
    }
}

WF_TEST(what_is_absent_or_of_another_kind_gives_nothing) {
    uint64_t u;
    double f;
    bool b;
    CHECK(!wf_gguf_get_u64(g, "nope", &u) && !wf_gguf_get_f64(g, "nope", &f) &&
          !wf_gguf_get_bool(g, "nope", &b));
    CHECK(wf_gguf_get_string(g, "nope") == NULL && wf_gguf_find(g, "") == NULL &&
          wf_gguf_find_tensor(g, "u8") == NULL);
    CHECK(!wf_gguf_item_u64(NULL, 0, &u) && !wf_gguf_item_f64(NULL, 0, &f) &&
          wf_gguf_item_string(NULL, 0) == NULL);
    CHECK(!wf_gguf_item_u64(wf_gguf_find(g, "u8"), 0, &u), "a scalar has no items");
    CHECK(!wf_gguf_get_u64(g, "a.u8", &u), "an array is no scalar");
}

int main(void) {
    blob b = {NULL, 0, 0};
    wf_gguf_reader *r;
    wf_error err;
    size_t used;
    blob_text(&b, "GGUF");
    blob_int(&b, 3, 4);
    blob_int(&b, 0, 8);
    blob_int(&b, 2 * ROWS + 1, 8);
    for (int i = 0; i < ROWS; i++) {
        put(&b, rows[i].key, rows[i].type, rows[i].bits, rows[i].bytes);
    }
    for (int i = 0; i < ROWS; i++) {
        char key[32];
        snprintf(key, sizeof key, "a.%s", rows[i].key);
        put_array(&b, key, rows[i].type, rows[i].bits, rows[i].bytes);
    }
    put(&b, "f64", WF_GGUF_F64, double_bits(-1e300), 8);
    wf_error_clear(&err);
    if (wf_gguf_reader_create(b.n, &r, &err) != WF_OK ||
        wf_gguf_reader_feed(r, b.bytes, b.n, &used, &g, &err) != WF_OK || g == NULL) {
        printf("not ok the sample is read: %s\n", err.text);
        return 1;
    }
    RUN(scalars);
    RUN(items);
    RUN(what_is_absent_or_of_another_kind_gives_nothing);
    wf_gguf_reader_free(r);
    blob_free(&b);
    return wf_test_done();
}
