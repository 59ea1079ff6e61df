/* Hashes and pins: a flipped bit anywhere in the data is an error that names its chunk, before any
   result; a weight is used only when its chunks are verified; the header's pin and the whole
   file's; no memory beyond the table of hashes. */
#include "base/alloc.h"
#include "base/sha256.h"
#include "runtime/model.h"
#include "runtime/tiny_model.h"

enum { MIB = 1 << 20 };

/* Where a file's parts are. */
typedef struct place {
    size_t data_start, first,
        last; /* data section; bytes of the first and behind the last tensor that the model reads */
} place;

static void add_hashes(wf_gguf_writer *w, const tiny_file *data, wf_error *err) {
    uint8_t digests[32 * 16];
    uint32_t count = 0;
    for (size_t at = 0; at < data->size; at += MIB) {
        wf_sha256 h;
        wf_sha256_init(&h);
        wf_sha256_add(&h, data->bytes + at, data->size - at < MIB ? data->size - at : MIB);
        wf_sha256_digest(&h, digests + 32 * count++);
    }
    wf_gguf_add_array(w, "wf.chunks", WF_GGUF_U8, digests, 32 * count, err);
}

/* The tiny model written anew with two tensors of 1.2 and 1.6 MB that it does not read, so that its
 * data are several chunks. */
static wf_gguf_writer *declare(const wf_gguf *g, bool sealed, wf_error *err) {
    wf_gguf_writer *w = NULL;
    wf_gguf_writer_create(&w, err);
    if (sealed) {
        wf_gguf_add_seal(w, WF_HEADER_KEY, err);
    }
    for (uint64_t i = 0; i < g->kv_count; i++) {
        wf_gguf_add_kv(w, &g->kvs[i], err);
    }
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *t = &g->tensors[i];
        wf_gguf_add_tensor(w, t->name.text, t->type, t->n_dims, t->dims, err);
        uint64_t unread = i == 5 ? 300001 : i == 20 ? 400000 : 0;
        if (unread != 0) {
            wf_gguf_add_tensor(w, i == 5 ? "unread.a" : "unread.b", WF_F32, 1, &unread, err);
        }
    }
    return w;
}

static void write_data(wf_gguf_writer *w, const wf_gguf *g, const unsigned char *old,
                       wf_error *err) {
    static float unread[400000];
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *t = &g->tensors[i];
        wf_gguf_write_data(w, old + g->data_start + t->offset, (size_t)t->bytes, err);
        if (i == 5 || i == 20) {
            wf_test_fill(unread, 400000, -1, 1);
            wf_gguf_write_data(w, unread, i == 5 ? 300001 * 4 : 400000 * 4, err);
        }
    }
    wf_gguf_write_end(w, err);
}

static tiny_file make(wf_dtype type, bool hashed, place *where) {
    tiny_file plain = tiny_make(type), data = {NULL, 0, 0}, out = {NULL, 0, 0};
    wf_gguf_reader *r = NULL;
    const wf_gguf *g = NULL;
    size_t used;
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_reader_create(plain.size, &r, &err);
    wf_gguf_reader_feed(r, plain.bytes, plain.size, &used, &g, &err);
    CHECK(g != NULL && used == g->data_start, "the header is not everything before the data: %zu",
          used);
    for (int pass = 0; pass < 2; pass++) {
        wf_gguf_writer *w = declare(g, pass == 1 && hashed, &err);
        if (pass == 1 && hashed) {
            add_hashes(w, &data, &err);
        }
        wf_byte_sink sink = {&out, tiny_write};
        wf_gguf_write_header(w, sink, &err);
        where->data_start = out.size;
        wf_test_seed(5);
        write_data(w, g, plain.bytes, &err);
        wf_gguf_writer_free(w);
        if (pass == 0) {
            data.bytes = malloc(out.size);
            data.size = out.size - where->data_start;
            memcpy(data.bytes, out.bytes + where->data_start, data.size);
            out.size = 0;
        }
    }
    const wf_gguf_tensor *last = &g->tensors[g->tensor_count - 1];
    where->first = where->data_start;
    where->last = out.size - (32 - (size_t)(last->bytes % 32));
    CHECK(last->bytes % 32 != 0, "the last tensor has no padding behind it");
    CHECK(err.code == WF_OK, "%s", err.text);
    wf_gguf_reader_free(r);
    free(plain.bytes);
    free(data.bytes);
    return out;
}

static wf_model *open_model(const char *pin, wf_error *err) {
    wf_options o = wf_options_default();
    wf_model *m = NULL;
    o.file_name = "tiny.gguf";
    o.integrity = pin;
    CHECK_OK(wf_model_open(&o, &m, err), *err);
    return m;
}

/* Every weight whose use a result may show lies within what is verified after `fed` bytes. */
static void check_trust(const wf_model *m, size_t fed, size_t size, const place *where) {
    uint64_t verified = fed >= size               ? fed
                        : fed < where->data_start ? 0
                                                  : fed - (fed - where->data_start) % MIB;
    for (uint32_t i = 0; i < m->weights.count; i++) {
        const wf_weight_entry *e = &m->weights.entries[i];
        const wf_gguf_tensor *t = &m->gguf->tensors[e->stored.index];
        CHECK(!e->trusted || m->gguf->data_start + t->offset + t->bytes <= verified,
              "%s is trusted after %zu bytes", e->name, fed);
    }
}

typedef struct outcome {
    wf_status status; /* of the feed that failed, or of finish */
    wf_error error;
    bool done;    /* a run came to its end before the error */
    bool too_soon; /* … and before the last byte was there and verified */
    double early; /* share of the nodes that ran before the last byte */
} outcome;

static outcome stream(const tiny_file *f, size_t piece, const char *pin, const place *where,
                      bool hashed) {
    outcome o = {WF_OK, {0}, false, false, 0};
    wf_session *s = NULL;
    wf_progress p = WF_NEED_BYTES;
    wf_error ignored;
    wf_error_clear(&o.error);
    wf_error_clear(&ignored);
    wf_model *m = open_model(pin, &o.error);
    for (size_t at = 0; at < f->size && o.status == WF_OK; at += piece) {
        size_t n = f->size - at < piece ? f->size - at : piece;
        o.status = wf_model_feed(m, f->bytes + at, n, &o.error);
        if (o.status == WF_OK && hashed && wf_model_has_header(m)) {
            check_trust(m, at + n, f->size, where);
        }
        if (o.status == WF_OK && s == NULL && wf_model_has_header(m)) {
            CHECK_OK(wf_session_create(m, NULL, 0, &s, &o.error), o.error);
            CHECK_OK(wf_session_prepare(s, 1, 32, 32, &o.error), o.error);
            wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
        }
        if (s != NULL && wf_session_step(s, 0, &p, &ignored) == WF_OK) {
            o.done |= p == WF_DONE;
            o.too_soon |= p == WF_DONE && (at + n < f->size || (pin != NULL && !hashed));
            o.early = at + n < f->size ? wf_session_fraction(s) : o.early;
        }
    }
    if (o.status == WF_OK) {
        o.status = wf_model_finish(m, &o.error);
    }
    wf_error_clear(&ignored);
    bool steps = s != NULL && wf_session_step(s, 0, &p, &ignored) == WF_OK;
    CHECK(s == NULL || steps == (o.status == WF_OK),
          "a run goes on although the model failed, or the reverse: %s", ignored.text);
    o.done |= steps && p == WF_DONE;
    wf_session_free(s);
    wf_model_free(m);
    return o;
}

WF_TEST(results_wait_for_verified_chunks) {
    static const size_t pieces[] = {997, 65536, MIB, 1 << 24};
    place where;
    tiny_file f = make(WF_Q8_0, true, &where);
    CHECK(f.size - where.data_start > 2 * MIB + MIB / 2, "%zu bytes of data",
          f.size - where.data_start);
    for (int i = 0; i < 4; i++) {
        outcome o = stream(&f, pieces[i], NULL, &where, true);
        CHECK(o.status == WF_OK && o.done && !o.too_soon, "pieces of %zu: %s", pieces[i], o.error.text);
        CHECK(i > 1 || o.early > 0.2, "only %g of the nodes ran before the last byte", o.early);
    }
    free(f.bytes);
}

WF_TEST(one_flipped_bit_is_an_error_before_any_result) {
    static const size_t pieces[] = {4099, 1 << 24};
    place where;
    tiny_file f = make(WF_F16, true, &where);
    const size_t spots[] = {where.data_start,
                            where.data_start + 1,
                            where.data_start + 4000,
                            where.data_start + 100000,
                            where.data_start + MIB - 1,
                            where.data_start + MIB,
                            where.data_start + 1250000,
                            where.data_start + 2 * MIB,
                            where.last - 1,
                            where.last,
                            f.size - 1};
    for (size_t i = 0; i < sizeof spots / sizeof spots[0]; i++) {
        for (int j = 0; j < 2; j++) {
            char chunk[64];
            f.bytes[spots[i]] ^= (unsigned char)(1 << (i % 8));
            outcome o = stream(&f, pieces[j], NULL, &where, true);
            f.bytes[spots[i]] ^= (unsigned char)(1 << (i % 8));
            snprintf(chunk, sizeof chunk, "chunk %zu of 3 of tiny.gguf (bytes %zu to ",
                     (spots[i] - where.data_start) / MIB + 1,
                     spots[i] - (spots[i] - where.data_start) % MIB);
            CHECK(o.status == WF_E_INTEGRITY, "byte %zu: status %d %s", spots[i], (int)o.status,
                  o.error.text);
            CHECK(strstr(o.error.text, chunk) != NULL, "byte %zu: %s, not %s", spots[i],
                  o.error.text, chunk);
            CHECK(strstr(o.error.text, "download it again") != NULL, "%s", o.error.text);
            CHECK(!o.done, "byte %zu: there was a result", spots[i]);
        }
    }
    free(f.bytes);
}

WF_TEST(a_file_without_its_last_padding_is_cut_off) {
    place where;
    tiny_file f = make(WF_F32, true, &where);
    f.size--;
    outcome o = stream(&f, 70000, NULL, &where, false);
    CHECK(o.status == WF_E_TRUNCATED && !o.done, "status %d: %s", (int)o.status, o.error.text);
    free(f.bytes);
}

static void pin_of(const unsigned char *bytes, size_t n, char text[WF_SHA256_TEXT]) {
    wf_sha256 h;
    uint8_t digest[32];
    wf_sha256_init(&h);
    wf_sha256_add(&h, bytes, n);
    wf_sha256_digest(&h, digest);
    wf_sha256_text(digest, text);
}

WF_TEST(the_pin_of_a_file_with_hashes_is_its_headers) {
    place where;
    char pin[WF_SHA256_TEXT], list[200];
    tiny_file f = make(WF_F32, true, &where);
    pin_of(f.bytes, where.data_start, pin);
    for (size_t piece = 13; piece < 1 << 22; piece *= 40) {
        outcome o = stream(&f, piece, pin, &where, true);
        CHECK(o.status == WF_OK && o.done, "pieces of %zu: %s", piece, o.error.text);
    }
    snprintf(list, sizeof list,
             "sha512-abc sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n %s?x ", pin);
    CHECK(stream(&f, 9999, list, &where, true).status == WF_OK, "one of several");
    const size_t spots[] = {8, 24 + 8 + 3, where.data_start / 2, where.data_start - 60,
                            where.data_start - 1};
    for (int i = 0; i < 5;
         i++) { /* a count, a letter of a key, metadata, the tensor table, padding */
        f.bytes[spots[i]] ^= 1;
        outcome o = stream(&f, 777, pin, &where, false);
        f.bytes[spots[i]] ^= 1;
        CHECK(o.status != WF_OK && !o.done, "byte %zu of the header may change", spots[i]);
        CHECK(i != 1 && i < 4 ? true : o.status == WF_E_INTEGRITY, "byte %zu: %s", spots[i],
              o.error.text);
    }
    pin[10] = pin[10] == 'A' ? 'B' : 'A';
    outcome o = stream(&f, 1000, pin, &where, false);
    CHECK(o.status == WF_E_INTEGRITY && strstr(o.error.text, pin) != NULL &&
              strstr(o.error.text, ", got sha256-") != NULL,
          "%s", o.error.text);
    free(f.bytes);
}

WF_TEST(a_foreign_file_is_pinned_whole) {
    place where;
    char pin[WF_SHA256_TEXT];
    tiny_file f = make(WF_F32, false, &where);
    pin_of(f.bytes, f.size, pin);
    outcome o = stream(&f, 50000, pin, &where, false);
    CHECK(o.status == WF_OK && o.done && !o.too_soon, "a result left before the pin was checked: %s", o.error.text);
    o = stream(&f, 50000, NULL, &where, false);
    CHECK(o.status == WF_OK && o.early > 0.2, "without a pin it runs as it arrives: %g", o.early);
    const size_t spots[] = {where.data_start, where.data_start + MIB, f.size - 1};
    for (int i = 0; i < 3; i++) {
        f.bytes[spots[i]] ^= 4;
        o = stream(&f, 50000, pin, &where, false);
        f.bytes[spots[i]] ^= 4;
        CHECK(o.status == WF_E_INTEGRITY && !o.done, "byte %zu: status %d", spots[i],
              (int)o.status);
    }
    free(f.bytes);
}

/* The caller hashes: after each piece the digests of the chunks that have ended, `late` chunks later; `flip` spoils one. */
static wf_status digests(wf_model *m, const tiny_file *f, const place *where, size_t fed, size_t late, int flip, size_t *given,
                         wf_error *err) {
    size_t ended = fed >= f->size ? 3 : fed < where->data_start ? 0 : (fed - where->data_start) / MIB;
    for (; *given + (fed >= f->size ? 0 : late) < ended; (*given)++) {
        size_t at = where->data_start + *given * MIB;
        wf_sha256 h;
        uint8_t digest[32];
        wf_sha256_init(&h);
        wf_sha256_add(&h, f->bytes + at, f->size - at < MIB ? f->size - at : MIB);
        wf_sha256_digest(&h, digest);
        digest[7] ^= (int)*given == flip;
        WF_TRY(wf_model_digest(m, digest, err));
    }
    return WF_OK;
}

WF_TEST(digests_may_come_from_outside) {
    place where;
    tiny_file f = make(WF_Q8_0, true, &where);
    for (int flip = -1; flip < 3; flip++) {
        wf_options o = wf_options_default();
        wf_model *m = NULL;
        wf_session *s = NULL;
        wf_error err, ignored;
        wf_progress p = WF_YIELD;
        uint8_t digest[32] = {0};
        size_t given = 0;
        wf_error_clear(&err);
        wf_error_clear(&ignored);
        o.file_name = "tiny.gguf";
        o.digests_outside = true;
        CHECK_OK(wf_model_open(&o, &m, &err), err);
        wf_status status = WF_OK;
        for (size_t at = 0; at < f.size && status == WF_OK; at += 50000) {
            size_t n = f.size - at < 50000 ? f.size - at : 50000;
            status = wf_model_feed(m, f.bytes + at, n, &err);
            if (status == WF_OK && at + n < f.size) {
                status = digests(m, &f, &where, at + n, 1, flip, &given, &err);
            }
        }
        if (status == WF_OK) {
            CHECK(wf_model_chunks_at(m) == where.data_start, "chunks at %llu", (unsigned long long)wf_model_chunks_at(m));
            CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
            CHECK_OK(wf_session_prepare(s, 1, 32, 32, &err), err);
            wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
            CHECK(wf_session_step(s, 0, &p, &ignored) == WF_OK && p == WF_NEED_BYTES, "a result before the digests");
            status = digests(m, &f, &where, f.size, 0, flip, &given, &err);
        }
        if (status == WF_OK) {
            status = wf_model_finish(m, &err);
        }
        if (flip < 0) {
            CHECK_OK(status, err);
            CHECK(wf_session_step(s, 0, &p, &ignored) == WF_OK && p == WF_DONE, "no result: %s", ignored.text);
            CHECK_FAILS(wf_model_digest(m, digest, &ignored), WF_E_STATE, ignored);
        } else {
            char chunk[32];
            snprintf(chunk, sizeof chunk, "chunk %d of 3", flip + 1);
            CHECK(status == WF_E_INTEGRITY && strstr(err.text, chunk) != NULL, "digest %d: %s", flip, err.text);
            CHECK(s == NULL || wf_session_step(s, 0, &p, &ignored) != WF_OK, "a result in spite of a wrong digest");
        }
        wf_session_free(s);
        wf_model_free(m);
    }
    free(f.bytes);
}

WF_TEST(digests_neither_come_too_early_nor_are_left_out) {
    place where;
    tiny_file f = make(WF_F32, true, &where);
    for (int early = 0; early < 2; early++) {
        wf_options o = wf_options_default();
        wf_model *m = NULL;
        wf_error err;
        uint8_t digest[32] = {0};
        wf_error_clear(&err);
        o.digests_outside = true;
        CHECK_OK(wf_model_open(&o, &m, &err), err);
        if (early) {
            CHECK_OK(wf_model_feed(m, f.bytes, where.data_start + MIB - 1, &err), err);
            CHECK_FAILS(wf_model_digest(m, digest, &err), WF_E_STATE, err);
        } else {
            CHECK_OK(wf_model_feed(m, f.bytes, f.size, &err), err);
            CHECK_FAILS(wf_model_finish(m, &err), WF_E_STATE, err);
            CHECK(strstr(err.text, "3 of its 3 chunks") != NULL, "%s", err.text);
        }
        wf_model_free(m);
    }
    free(f.bytes);
}

WF_TEST(bad_values_get_sentences) {
    static const char *const bad[] = {"md5-abc", "sha256-short=", "sha512-AAAA",
                                      "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA*"};
    for (int i = 0; i < 4; i++) {
        wf_options o = wf_options_default();
        wf_model *m = NULL;
        wf_error err;
        wf_error_clear(&err);
        o.integrity = bad[i];
        CHECK_FAILS(wf_model_open(&o, &m, &err), WF_E_ARGUMENT, err);
        CHECK(m == NULL, "a model in spite of the error");
    }
}

static void reseal(tiny_file *f, size_t header) {
    wf_sha256 h;
    memset(f->bytes + WF_HEADER_AT, 0, 32);
    wf_sha256_init(&h);
    wf_sha256_add(&h, f->bytes, header);
    wf_sha256_digest(&h, f->bytes + WF_HEADER_AT);
}

/* Whatever comes of `size` bytes in pieces; file_bytes: as told at the beginning. */
static wf_status load_all(const unsigned char *bytes, size_t size, size_t piece, uint64_t file_bytes, wf_error *err) {
    wf_options o = wf_options_default();
    wf_model *m = NULL;
    o.file_name = "tiny.gguf";
    o.file_bytes = file_bytes;
    wf_error_clear(err);
    CHECK_OK(wf_model_open(&o, &m, err), *err);
    wf_status status = WF_OK;
    for (size_t at = 0; at < size && status == WF_OK; at += piece) {
        status = wf_model_feed(m, bytes + at, size - at < piece ? size - at : piece, err);
    }
    status = status == WF_OK ? wf_model_finish(m, err) : status;
    wf_model_free(m);
    return status;
}

WF_TEST(every_flipped_bit_of_the_header_is_an_error) {
    place where;
    wf_error err;
    uint32_t own = 0;
    tiny_file f = make(WF_Q8_0, true, &where);
    const size_t header = where.data_start;
    for (size_t piece = 1; piece < header; piece = piece * 7 + 31) { /* the hash itself in one piece and in many */
        CHECK_OK(load_all(f.bytes, f.size, piece == 1 ? 41 : piece, f.size, &err), err);
    }
    for (int known = 0; known < 2; known++) {
        for (size_t bit = 0; bit < 8 * header; bit++) {
            f.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            wf_options o = wf_options_default();
            wf_model *m = NULL;
            wf_error_clear(&err);
            o.file_name = "tiny.gguf";
            o.file_bytes = known ? f.size : 0;
            CHECK_OK(wf_model_open(&o, &m, &err), err);
            wf_status status = wf_model_feed(m, f.bytes, header, &err);
            bool begun = wf_model_has_header(m);
            wf_model_free(m);
            if (status == WF_OK && !begun) { /* a header that seems longer: it eats data, and then */
                status = load_all(f.bytes, f.size, f.size, known ? f.size : 0, &err);
            }
            f.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            own += status == WF_E_INTEGRITY;
            CHECK(status != WF_OK && !begun, "bit %zu of byte %zu may flip", bit % 8, bit / 8);
            CHECK(strstr(err.text, "tiny.gguf") != NULL, "byte %zu: %s", bit / 8, err.text);
        }
    }
    CHECK(own > 2 * 8 * header / 2, "only %u of the errors are those of the hash", own);
    free(f.bytes);
}

WF_TEST(hashes_of_data_need_that_of_the_header) {
    place where;
    wf_error err;
    tiny_file f = make(WF_F32, true, &where);
    f.bytes[WF_HEADER_AT - 17] = 'z'; /* the key's last letter */
    CHECK_FAILS(load_all(f.bytes, f.size, 9999, f.size, &err), WF_E_INTEGRITY, err);
    CHECK(strstr(err.text, "does not begin with its own (wf.header)") != NULL && strstr(err.text, "tiny.gguf") != NULL, "%s", err.text);
    free(f.bytes);
}

WF_TEST(bytes_behind_the_end_are_an_error) {
    wf_error err;
    place where;
    for (int hashed = 0; hashed < 2; hashed++) {
        tiny_file f = make(WF_F32, hashed == 1, &where);
        f.bytes = realloc(f.bytes, f.size + 1);
        f.bytes[f.size] = 0;
        for (int known = 0; known < 2; known++) {
            wf_status status = load_all(f.bytes, f.size + 1, 5000, known ? f.size + 1 : 0, &err);
            CHECK(hashed ? status == WF_E_INTEGRITY : status == WF_OK, "status %d: %s", (int)status, err.text);
            CHECK(!hashed || strstr(err.text, "tiny.gguf goes on behind the ") != NULL, "%s", err.text);
        }
        free(f.bytes);
    }
}

WF_TEST(a_table_of_another_size_is_refused) {
    place where;
    tiny_file f = make(WF_F32, true, &where);
    unsigned char *key = NULL;
    for (size_t i = 0; i + 9 < where.data_start && key == NULL; i++) {
        key = memcmp(f.bytes + i, "wf.chunks", 9) == 0 ? f.bytes + i : NULL;
    }
    key[9 + 4] = WF_GGUF_I8; /* type ARRAY (u32), element (u32) */
    reseal(&f, where.data_start);
    outcome o = stream(&f, 5000, NULL, &where, false);
    CHECK(o.status == WF_E_FORMAT && strstr(o.error.text, "wf.chunks of tiny.gguf") != NULL, "%s",
          o.error.text);
    free(f.bytes);
}

WF_TEST(hashes_take_no_memory) {
    place where;
    uint64_t peaks[2];
    for (int hashed = 0; hashed < 2; hashed++) { /* the peak only grows: the plain file first */
        tiny_file f = make(WF_F32, hashed == 1, &where);
        outcome o = stream(&f, MIB, NULL, &where, false);
        CHECK(o.status == WF_OK, "%s", o.error.text);
        peaks[hashed] = wf_alloc_get_stats().peak_bytes;
        free(f.bytes);
    }
    CHECK(peaks[1] - peaks[0] < 4096, "%llu bytes more", (unsigned long long)(peaks[1] - peaks[0]));
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak",
          (unsigned long long)wf_alloc_get_stats().live);
}

int main(void) {
    RUN(hashes_take_no_memory); /* first: peaks */
    RUN(results_wait_for_verified_chunks);
    RUN(one_flipped_bit_is_an_error_before_any_result);
    RUN(a_file_without_its_last_padding_is_cut_off);
    RUN(the_pin_of_a_file_with_hashes_is_its_headers);
    RUN(a_foreign_file_is_pinned_whole);
    RUN(digests_may_come_from_outside);
    RUN(digests_neither_come_too_early_nor_are_left_out);
    RUN(bad_values_get_sentences);
    RUN(every_flipped_bit_of_the_header_is_an_error);
    RUN(hashes_of_data_need_that_of_the_header);
    RUN(bytes_behind_the_end_are_an_error);
    RUN(a_table_of_another_size_is_refused);
    return wf_test_done();
}
