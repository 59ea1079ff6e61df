/* What the writer writes, the reader reads: every value type, every dtype, in pieces of every
   awkward size; and the writer's refusals. */
#include "memory.h"

typedef struct sink_state {
    const wf_gguf *g;
    blob data[16]; /* by tensor index */
    uint32_t last_place;
    bool out_of_order;
} sink_state;

static wf_status keep(void *user, uint32_t tensor, uint64_t at, const void *bytes, size_t n,
                      wf_error *err) {
    sink_state *s = user;
    (void)err;
    if (tensor >= 16 || at != s->data[tensor].n || n == 0) {
        s->out_of_order = true;
        return WF_OK;
    }
    for (uint32_t place = 0; place < s->g->tensor_count; place++) {
        if (s->g->by_offset[place] == tensor) {
            s->out_of_order |= place < s->last_place;
            s->last_place = place;
        }
    }
    blob_put(&s->data[tensor], bytes, n);
    return WF_OK;
}

static const struct {
    const char *name;
    wf_dtype type;
    uint32_t n_dims;
    uint64_t dims[4];
} tensors[] = {
    {"first.weight", WF_F32, 2, {3, 5, 1, 1}}, {"scalar", WF_F64, 0, {1, 1, 1, 1}},
    {"quantized", WF_Q8_0, 3, {64, 3, 2, 1}},  {"half", WF_F16, 1, {7, 1, 1, 1}},
    {"brain", WF_BF16, 4, {2, 3, 4, 5}},       {"i8", WF_I8, 1, {33, 1, 1, 1}},
    {"i64", WF_I64, 1, {2, 1, 1, 1}},          {"i32", WF_I32, 1, {1, 1, 1, 1}},
    {"i16", WF_I16, 2, {1, 9, 1, 1}},
};
enum { TENSORS = sizeof tensors / sizeof tensors[0] };

static uint64_t bytes_of(int i) {
    uint64_t rows = tensors[i].dims[1] * tensors[i].dims[2] * tensors[i].dims[3];
    return wf_dtype_row_bytes(tensors[i].type, tensors[i].dims[0]) * rows;
}

static uint8_t content(int tensor, uint64_t at) {
    return (uint8_t)(tensor * 37 + (int)(at * 11 % 251));
}

static void write_sample(blob *out) {
    static const int32_t i32s[] = {-1, 0, 7};
    static const float f32s[] = {0.5f, -2.0f};
    static const char *const words[] = {"", "zwei", "drei\n"};
    static const uint8_t bools[] = {1, 0, 1, 1};
    static const uint64_t u64s[] = {UINT64_MAX};
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_writer *w;
    CHECK_OK(wf_gguf_writer_create(&w, &err), err);
    CHECK_OK(wf_gguf_add_string(w, "general.architecture", "wf.metaformer", &err), err);
    CHECK_OK(wf_gguf_add_u32(w, "a.u32", 4000000000u, &err), err);
    CHECK_OK(wf_gguf_add_u64(w, "a.u64", UINT64_MAX, &err), err);
    CHECK_OK(wf_gguf_add_f32(w, "a.f32", -0.1f, &err), err);
    CHECK_OK(wf_gguf_add_bool(w, "a.bool", true, &err), err);
    CHECK_OK(wf_gguf_add_string(w, "a.empty", "", &err), err);
    CHECK_OK(wf_gguf_add_array(w, "b.i32", WF_GGUF_I32, i32s, 3, &err), err);
    CHECK_OK(wf_gguf_add_array(w, "b.f32", WF_GGUF_F32, f32s, 2, &err), err);
    CHECK_OK(wf_gguf_add_array(w, "b.words", WF_GGUF_STRING, words, 3, &err), err);
    CHECK_OK(wf_gguf_add_array(w, "b.bools", WF_GGUF_BOOL, bools, 4, &err), err);
    CHECK_OK(wf_gguf_add_array(w, "b.u64", WF_GGUF_U64, u64s, 1, &err), err);
    CHECK_OK(wf_gguf_add_array(w, "b.none", WF_GGUF_STRING, words, 0, &err), err);
    for (int i = 0; i < TENSORS; i++) {
        CHECK_OK(wf_gguf_add_tensor(w, tensors[i].name, tensors[i].type, tensors[i].n_dims,
                                    tensors[i].dims, &err),
                 err);
    }
    CHECK_OK(wf_gguf_write_header(w, blob_sink(out), &err), err);
    for (int i = 0; i < TENSORS; i++) {
        for (uint64_t at = 0; at < bytes_of(i); at++) {
            uint8_t c = content(i, at);
            CHECK_OK(wf_gguf_write_data(w, &c, 1, &err), err);
        }
    }
    CHECK_OK(wf_gguf_write_end(w, &err), err);
    wf_gguf_writer_free(w);
}

static void check_metadata(const wf_gguf *g) {
    uint64_t u = 0;
    double d = 0;
    bool b = false;
    CHECK(g->kv_count == 12 && g->alignment == 32, "%d keys", (int)g->kv_count);
    CHECK(strcmp(wf_gguf_get_string(g, "general.architecture"), "wf.metaformer") == 0);
    CHECK(wf_gguf_get_u64(g, "a.u32", &u) && u == 4000000000u);
    CHECK(wf_gguf_get_u64(g, "a.u64", &u) && u == UINT64_MAX);
    CHECK(wf_gguf_get_f64(g, "a.f32", &d) && d == (double)-0.1f);
    CHECK(wf_gguf_get_bool(g, "a.bool", &b) && b);
    CHECK(strcmp(wf_gguf_get_string(g, "a.empty"), "") == 0);
    const wf_gguf_kv *words = wf_gguf_find(g, "b.words");
    CHECK(words != NULL && words->count == 3 &&
          strcmp(wf_gguf_item_string(words, 2), "drei\n") == 0);
    CHECK(strcmp(wf_gguf_item_string(words, 0), "") == 0 && wf_gguf_item_string(words, 3) == NULL);
    const wf_gguf_kv *none = wf_gguf_find(g, "b.none");
    CHECK(none != NULL && none->count == 0 && none->element == WF_GGUF_STRING);
    CHECK(wf_gguf_item_u64(wf_gguf_find(g, "b.u64"), 0, &u) && u == UINT64_MAX);
    CHECK(wf_gguf_item_f64(wf_gguf_find(g, "b.i32"), 0, &d) && d == -1);
    CHECK(!wf_gguf_item_u64(wf_gguf_find(g, "b.i32"), 0, &u));
}

/* Feeds `file` in pieces and compares all of it with what was written. */
static void read_back(const blob *file, size_t piece, uint64_t known_size) {
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_reader *r;
    const wf_gguf *g = NULL;
    sink_state state;
    memset(&state, 0, sizeof state);
    CHECK_OK(wf_gguf_reader_create(known_size, &r, &err), err);
    for (size_t at = 0; at < file->n;) {
        size_t n = piece < file->n - at ? piece : file->n - at, used;
        const wf_gguf *before = g;
        CHECK_OK(wf_gguf_reader_feed(r, file->bytes + at, n, &used, &g, &err), err);
        if (before == NULL && g != NULL) {
            state.g = g;
            wf_gguf_sink sink = {&state, keep};
            wf_gguf_reader_set_sink(r, sink);
            CHECK(wf_gguf_reader_position(r) <= g->data_start);
        } else {
            CHECK(used == n, "%zu of %zu bytes used", used, n);
        }
        at += used;
        CHECK(wf_gguf_reader_position(r) == at);
        if (err.code != WF_OK || (used == 0 && before == g)) {
            break;
        }
    }
    CHECK_OK(wf_gguf_reader_finish(r, &err), err);
    if (g != NULL && err.code == WF_OK) {
        check_metadata(g);
        CHECK(g->tensor_count == TENSORS && !state.out_of_order);
        CHECK(g->total_bytes <= file->n && file->n - g->total_bytes < 32);
        for (int i = 0; i < TENSORS; i++) {
            const wf_gguf_tensor *t = wf_gguf_find_tensor(g, tensors[i].name);
            CHECK(t == &g->tensors[i] && t->type == tensors[i].type &&
                  t->n_dims == tensors[i].n_dims);
            CHECK(t->bytes == bytes_of(i) && state.data[i].n == t->bytes, "tensor %d", i);
            for (uint64_t at = 0; at < state.data[i].n; at++) {
                CHECK(state.data[i].bytes[at] == content(i, at), "tensor %d, byte %d", i, (int)at);
            }
        }
    }
    for (int i = 0; i < 16; i++) {
        blob_free(&state.data[i]);
    }
    wf_gguf_reader_free(r);
}

WF_TEST(round_trip_in_pieces_of_1_7_4096_and_whole) {
    static const size_t pieces[] = {1, 2, 7, 24, 4096, 1 << 20};
    blob file = {NULL, 0, 0};
    write_sample(&file);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        read_back(&file, pieces[i], file.n);
        read_back(&file, pieces[i], 0);
    }
    blob_free(&file);
}

WF_TEST(metadata_copied_from_another_file_is_the_same_bytes) {
    blob file = {NULL, 0, 0}, copy = {NULL, 0, 0};
    wf_error err;
    wf_error_clear(&err);
    write_sample(&file);
    wf_gguf_reader *r;
    wf_gguf_writer *w;
    const wf_gguf *g = NULL;
    size_t used;
    CHECK_OK(wf_gguf_reader_create(file.n, &r, &err), err);
    CHECK_OK(wf_gguf_reader_feed(r, file.bytes, file.n, &used, &g, &err), err);
    CHECK_OK(wf_gguf_writer_create(&w, &err), err);
    for (uint64_t i = 0; g != NULL && i < g->kv_count; i++) {
        CHECK_OK(wf_gguf_add_kv(w, &g->kvs[i], &err), err);
    }
    for (int i = 0; i < TENSORS; i++) {
        CHECK_OK(wf_gguf_add_tensor(w, tensors[i].name, tensors[i].type, tensors[i].n_dims,
                                    tensors[i].dims, &err),
                 err);
    }
    CHECK_OK(wf_gguf_write_header(w, blob_sink(&copy), &err), err);
    CHECK(copy.n == g->data_start && memcmp(copy.bytes, file.bytes, copy.n) == 0);
    wf_gguf_writer_free(w);
    wf_gguf_reader_free(r);
    blob_free(&file);
    blob_free(&copy);
}

#define REFUSED(call, code_, sentence)                                           \
    do {                                                                         \
        wf_error_clear(&err);                                                    \
        CHECK((call) == (code_), "%s", err.text);                                \
        CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text); \
    } while (0)

WF_TEST(writer_refuses_misuse) {
    wf_error err;
    wf_gguf_writer *w;
    blob out = {NULL, 0, 0};
    uint64_t dims[4] = {4, 0, 1, 1}, odd[1] = {33}, one[1] = {1}, two[1] = {2};
    CHECK(wf_gguf_writer_create(&w, NULL) == WF_OK);
    CHECK(wf_gguf_add_u32(w, "k", 1, NULL) == WF_OK);
    REFUSED(wf_gguf_add_string(w, "k", "v", &err), WF_E_ARGUMENT,
            "the metadata key \"k\" was added twice: add it once");
    REFUSED(
        wf_gguf_add_u32(w, "", 1, &err), WF_E_ARGUMENT,
        "the metadata key \"\" is 0 bytes long, and GGUF allows 1 … 65535: choose a shorter name");
    REFUSED(wf_gguf_add_seal(w, "h", &err), WF_E_STATE,
            "the header's own hash must be its first key: add \"h\" before the others");
    REFUSED(wf_gguf_add_u32(w, "general.alignment", 64, &err), WF_E_ARGUMENT,
            "this writer aligns to 32, GGUF's default: leave general.alignment out");
    REFUSED(
        wf_gguf_add_tensor(w, "t", WF_F32, 2, dims, &err), WF_E_SHAPE,
        "dimension 1 of tensor \"t\" is 0, which is nothing or too much: leave such a tensor out");
    REFUSED(wf_gguf_add_tensor(w, "t", WF_Q8_0, 1, odd, &err), WF_E_SHAPE,
            "tensor \"t\" has rows of 33 elements, and Q8_0 is stored in blocks of 32: pad the "
            "rows or choose another type");
    REFUSED(wf_gguf_add_tensor(w, "t", WF_F32, 5, dims, &err), WF_E_SHAPE,
            "tensor \"t\" has 5 dimensions, and GGUF allows 4: merge some");
    CHECK(wf_gguf_add_tensor(w, "t", WF_F32, 1, two, NULL) == WF_OK);
    REFUSED(wf_gguf_add_tensor(w, "t", WF_F32, 1, one, &err), WF_E_ARGUMENT,
            "the tensor \"t\" was added twice: add it once");
    REFUSED(wf_gguf_write_data(w, "x", 1, &err), WF_E_STATE,
            "tensor data belong between the header and the end of the file");
    CHECK(wf_gguf_write_header(w, blob_sink(&out), NULL) == WF_OK);
    REFUSED(wf_gguf_add_u32(w, "late", 1, &err), WF_E_STATE,
            "the header is written already: add \"late\" before wf_gguf_write_header");
    CHECK(wf_gguf_write_data(w, "abc", 3, NULL) == WF_OK);
    REFUSED(wf_gguf_write_end(w, &err), WF_E_STATE,
            "tensor \"t\" got 3 of its 8 bytes: write all of them before the end");
    REFUSED(wf_gguf_write_data(w, "defghijkl", 9, &err), WF_E_STATE,
            "4 bytes more than the declared tensors hold: declare all tensors first");
    CHECK(wf_gguf_write_end(w, NULL) == WF_OK);
    wf_gguf_writer_free(w);
    blob_free(&out);
}

WF_TEST(many_keys_and_tensors) {
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_writer *w;
    wf_gguf_reader *r;
    const wf_gguf *g = NULL;
    blob file = {NULL, 0, 0};
    size_t used;
    uint64_t one[1] = {1}, v;
    char name[32];
    CHECK_OK(wf_gguf_writer_create(&w, &err), err);
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "k%u", i * 7919 % 3000);
        CHECK_OK(wf_gguf_add_u32(w, name, i * 7919 % 3000, &err), err);
        CHECK_OK(wf_gguf_add_tensor(w, name, WF_I8, 1, one, &err), err);
    }
    CHECK_OK(wf_gguf_write_header(w, blob_sink(&file), &err), err);
    CHECK_OK(wf_gguf_reader_create(0, &r, &err), err);
    CHECK_OK(wf_gguf_reader_feed(r, file.bytes, file.n, &used, &g, &err), err);
    for (uint32_t i = 0; g != NULL && i < 3000; i++) {
        snprintf(name, sizeof name, "k%u", i);
        CHECK(wf_gguf_get_u64(g, name, &v) && v == i);
        CHECK(wf_gguf_find_tensor(g, name) != NULL &&
              strcmp(wf_gguf_find_tensor(g, name)->name.text, name) == 0);
    }
    CHECK(g != NULL && wf_gguf_find(g, "k3000") == NULL && wf_gguf_find_tensor(g, "") == NULL);
    wf_gguf_reader_free(r);
    wf_gguf_writer_free(w);
    blob_free(&file);
}

int main(void) {
    RUN(round_trip_in_pieces_of_1_7_4096_and_whole);
    RUN(metadata_copied_from_another_file_is_the_same_bytes);
    RUN(writer_refuses_misuse);
    RUN(many_keys_and_tensors);
    return wf_test_done();
}
