/* Models in several files: what convert/split.c writes and what gguf-split writes compute the same as one file, streamed in pieces
   of any size, with weights used as they arrive; a damaged, missing, foreign or misplaced part is an error that says so. */
#include "base/alloc.h"
#include "convert/split.h"
#include "format/memory.h"
#include "runtime/model.h"
#include "runtime/tiny_model.h"

enum { MOST = 16 };

typedef struct parts {
    blob file[MOST];
    uint32_t count;
    char pin[WF_SHA256_TEXT];
} parts;

static parts split_it(const tiny_file *f, uint64_t limit) {
    parts p;
    wf_error err;
    wf_split *s = NULL;
    blob source = {f->bytes, f->size, f->size};
    wf_file view = blob_file(&source);
    wf_split_options o = {limit, "tiny.gguf", NULL, NULL, NULL, NULL};
    memset(&p, 0, sizeof p);
    wf_error_clear(&err);
    CHECK_OK(wf_split_create(&view, &o, &s, &err), err);
    for (uint32_t i = 0; s != NULL && i < wf_split_count(s) && i < MOST; i++, p.count++) {
        CHECK_OK(wf_split_write(s, i, blob_sink(&p.file[i]), &err), err);
        CHECK(p.file[i].n == wf_split_bytes(s, i) && p.file[i].n <= limit, "part %u has %zu bytes, not %llu", i, p.file[i].n,
              (unsigned long long)wf_split_bytes(s, i));
        wf_split_integrity(s, p.pin);
    }
    wf_split_free(s);
    return p;
}

/* As gguf-split writes: `cut` tensors in the first part, the rest in the second; keys as given (0: left out). */
typedef struct keys {
    uint64_t no, count, tensors;
    const char *arch;
} keys;

static void write_part(const tiny_file *f, const wf_gguf *g, uint64_t from, uint64_t to, bool metadata, const keys *k, blob *out) {
    wf_gguf_writer *w = NULL;
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_writer_create(&w, &err);
    for (uint64_t i = 0; i < g->kv_count && metadata; i++) {
        wf_gguf_add_kv(w, &g->kvs[i], &err);
    }
    if (k->count != 0) {
        wf_gguf_add_u32(w, "split.no", (uint32_t)k->no, &err);
        wf_gguf_add_u32(w, "split.count", (uint32_t)k->count, &err);
        wf_gguf_add_u32(w, "split.tensors.count", (uint32_t)k->tensors, &err);
    }
    if (k->arch != NULL) {
        wf_gguf_add_string(w, "general.architecture", k->arch, &err);
    }
    for (uint64_t i = from; i < to; i++) {
        const wf_gguf_tensor *t = &g->tensors[i];
        wf_gguf_add_tensor(w, t->name.text, t->type, t->n_dims, t->dims, &err);
    }
    wf_gguf_write_header(w, blob_sink(out), &err);
    for (uint64_t i = from; i < to; i++) {
        const wf_gguf_tensor *t = &g->tensors[i];
        wf_gguf_write_data(w, f->bytes + g->data_start + t->offset, (size_t)t->bytes, &err);
    }
    wf_gguf_write_end(w, &err);
    wf_gguf_writer_free(w);
    CHECK(err.code == WF_OK, "%s", err.text);
}

static parts foreign(const tiny_file *f, uint64_t cut, uint64_t again, keys first, keys second) {
    parts p;
    wf_error err;
    size_t used;
    wf_gguf_reader *r = NULL;
    const wf_gguf *g = NULL;
    memset(&p, 0, sizeof p);
    wf_error_clear(&err);
    wf_gguf_reader_create(f->size, &r, &err);
    wf_gguf_reader_feed(r, f->bytes, f->size, &used, &g, &err);
    uint64_t n = g->tensor_count;
    first.tensors = first.tensors != 0 ? first.tensors : n;
    second.tensors = second.tensors != 0 ? second.tensors : n;
    write_part(f, g, 0, cut, true, &first, &p.file[0]);
    write_part(f, g, again, n, false, &second, &p.file[1]);
    p.count = 2;
    wf_gguf_reader_free(r);
    return p;
}

static void drop(parts *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        blob_free(&p->file[i]);
    }
}

typedef struct outcome {
    wf_error error;
    wf_status status;
    float logits[10];
    double early; /* share of the run that was done when the last part began */
    char verified[8];
} outcome;

static wf_status feed_part(wf_model *m, const blob *b, size_t piece, wf_session *s, wf_progress *p, wf_error *err) {
    for (size_t at = 0; at < b->n && !wf_model_wants_next(m); at += piece) {
        WF_TRY(wf_model_feed(m, b->bytes + at, b->n - at < piece ? b->n - at : piece, err));
        if (s != NULL && *p != WF_DONE) {
            WF_TRY(wf_session_step(s, 0, p, err));
        }
    }
    return WF_OK;
}

/* Loads and runs; `order` lists the files by place, NULL: as they are. */
static outcome load(const parts *p, size_t piece, const char *pin, const uint32_t *order, uint32_t given) {
    outcome o;
    wf_options options = wf_options_default();
    wf_model *m = NULL;
    wf_session *s = NULL;
    wf_progress progress = WF_NEED_BYTES;
    char name[32];
    memset(&o, 0, sizeof o);
    wf_error_clear(&o.error);
    options.file_name = "m-00001.gguf";
    options.integrity = pin;
    o.status = wf_model_open(&options, &m, &o.error);
    for (uint32_t turn = 0; o.status == WF_OK && turn < 2 * given; turn++) {
        uint32_t i = turn % given, at = order != NULL ? order[i] : i;
        snprintf(name, sizeof name, "m-%05u.gguf", at + 1);
        if (turn > 0) {
            o.status = wf_model_next(m, i, name, p->file[at].n, &o.error);
        }
        if (o.status == WF_OK && turn == given) {
            CHECK(wf_model_has_header(m) && wf_model_total_bytes(m) > 0 && wf_model_position(m) == 0, "the headers are not enough");
            o.status = wf_session_create(m, NULL, 0, &s, &o.error);
            o.status = o.status == WF_OK ? wf_session_prepare(s, 1, 32, 32, &o.error) : o.status;
            if (o.status == WF_OK) {
                wf_test_seed(3);
                wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
            }
        }
        if (o.status == WF_OK && turn + 1 == 2 * given) {
            o.early = wf_session_fraction(s);
        }
        o.status = o.status == WF_OK ? feed_part(m, &p->file[at], piece, s, &progress, &o.error) : o.status;
    }
    o.status = o.status == WF_OK ? wf_model_finish(m, &o.error) : o.status;
    if (o.status == WF_OK) {
        snprintf(o.verified, sizeof o.verified, "%s", wf_model_verified(m));
        CHECK(wf_model_position(m) == wf_model_total_bytes(m), "%llu of %llu bytes", (unsigned long long)wf_model_position(m),
              (unsigned long long)wf_model_total_bytes(m));
        o.status = progress == WF_DONE ? WF_OK : wf_session_step(s, 0, &progress, &o.error);
        o.status = o.status == WF_OK ? wf_session_read_f32(s, 0, o.logits, &o.error) : o.status;
    }
    wf_session_free(s);
    wf_model_free(m);
    return o;
}

static outcome load_whole(const tiny_file *f) {
    outcome o;
    wf_model *m;
    wf_session *s = NULL;
    wf_progress progress;
    memset(&o, 0, sizeof o);
    wf_error_clear(&o.error);
    m = tiny_load(f, WF_BACKEND_SIMD, 1, true, &o.error);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, &o.error), o.error);
    CHECK_OK(wf_session_prepare(s, 1, 32, 32, &o.error), o.error);
    wf_test_seed(3);
    wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
    CHECK_OK(wf_session_step(s, 0, &progress, &o.error), o.error);
    CHECK_OK(wf_session_read_f32(s, 0, o.logits, &o.error), o.error);
    wf_session_free(s);
    wf_model_free(m);
    return o;
}

WF_TEST(parts_compute_what_one_file_does) {
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_Q8_0};
    static const uint64_t limits[] = {18000, 10000, 6500};
    static const size_t pieces[] = {61, 4096, 1 << 20};
    for (int t = 0; t < 3; t++) {
        tiny_file f = tiny_make(types[t]);
        outcome whole = load_whole(&f);
        parts p = split_it(&f, limits[t]);
        CHECK(p.count > 2, "only %u parts", p.count);
        for (int i = 0; i < 3; i++) {
            outcome o = load(&p, pieces[i], i == 1 ? p.pin : NULL, NULL, p.count);
            CHECK(o.status == WF_OK && strcmp(o.verified, "chunks") == 0, "%s (%s)", o.error.text, o.verified);
            CHECK(memcmp(o.logits, whole.logits, sizeof o.logits) == 0, "other logits than of one file");
            CHECK(o.early > 0.3, "only %g of the run before the last part", o.early);
        }
        drop(&p);
        free(f.bytes);
    }
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
}

WF_TEST(parts_of_gguf_split_load_and_can_be_pinned) {
    tiny_file f = tiny_make(WF_F32);
    outcome whole = load_whole(&f);
    for (uint64_t cut = 0; cut < 12; cut += 11) { /* 0: --no-tensor-first-split */
        parts p = foreign(&f, cut, cut, (keys){0, 2, 0, NULL}, (keys){1, 2, 0, NULL});
        char pins[2 * WF_SHA256_TEXT] = "", text[WF_SHA256_TEXT];
        for (uint32_t i = 0; i < 2; i++) {
            wf_sha256 h;
            uint8_t digest[WF_SHA256_BYTES];
            wf_sha256_init(&h);
            wf_sha256_add(&h, p.file[i].bytes, p.file[i].n);
            wf_sha256_digest(&h, digest);
            wf_sha256_text(digest, text);
            strcat(strcat(pins, i == 0 ? "" : " "), text);
        }
        outcome o = load(&p, 1000, NULL, NULL, 2);
        CHECK(o.status == WF_OK && strcmp(o.verified, "none") == 0, "%s (%s)", o.error.text, o.verified);
        CHECK(memcmp(o.logits, whole.logits, sizeof o.logits) == 0, "other logits than of one file");
        o = load(&p, 1000, pins, NULL, 2);
        CHECK(o.status == WF_OK && strcmp(o.verified, "file") == 0, "%s (%s)", o.error.text, o.verified);
        p.file[1].bytes[p.file[1].n - 100] ^= 1;
        o = load(&p, 1000, pins, NULL, 2);
        CHECK(o.status == WF_E_INTEGRITY && strstr(o.error.text, "the content of m-00002.gguf is not what was promised") != NULL,
              "%d %s", o.status, o.error.text);
        o = load(&p, 1000, text, NULL, 2);
        CHECK(o.status == WF_E_ARGUMENT && strstr(o.error.text, "integrity takes 2 values") != NULL, "%s", o.error.text);
        drop(&p);
    }
    free(f.bytes);
}

static void expect(const parts *p, const uint32_t *order, uint32_t given, wf_status code, const char *sentence) {
    outcome o = load(p, 500, NULL, order, given);
    CHECK(o.status == code && strcmp(o.error.text, sentence) == 0, "%d: \"%s\", not \"%s\"", o.status, o.error.text, sentence);
}

WF_TEST(bad_sets_of_parts_get_sentences) {
    tiny_file f = tiny_make(WF_F32), g = tiny_make(WF_F16);
    parts p = split_it(&f, 18000), q = split_it(&g, 10000);
    CHECK(p.count == 3 && q.count == 3, "%u and %u parts", p.count, q.count);
    expect(&p, (uint32_t[]){0, 2, 1}, 3, WF_E_FORMAT,
           "m-00003.gguf is part 3 of 3, and stands where part 2 belongs: give the parts in their order, under their own names");
    expect(&p, (uint32_t[]){1, 0, 2}, 3, WF_E_ARGUMENT,
           "m-00001.gguf is part 2 of 3 of a split model: begin with part 1, whose name ends in -00001-of-00003.gguf");
    expect(&p, NULL, 2, WF_E_MISSING,
           "m-00001.gguf is part 1 of 3 of a split model, and part 3 is missing: give all 3 files in their order, or the path or address "
           "of a file whose name ends in -00001-of-00003.gguf, with the others beside it");
    expect(&p, (uint32_t[]){0, 1, 2, 2}, 4, WF_E_ARGUMENT,
           "m-00001.gguf is one of 3 parts, and m-00003.gguf was given besides: give the 3 files of one model");
    blob own = p.file[1];
    p.file[1] = q.file[1];
    expect(&p, NULL, 3, WF_E_INTEGRITY,
           "the header of m-00002.gguf is not the one that m-00001.gguf vouches for: it is damaged or of another model; put the parts "
           "of one download together again");
    p.file[1] = own;
    p.file[1].bytes[p.file[1].n - 1] ^= 1;
    outcome o = load(&p, 500, NULL, NULL, 3);
    CHECK(o.status == WF_E_INTEGRITY && strstr(o.error.text, "chunk 1 of 1 of m-00002.gguf (bytes ") == o.error.text, "%s",
          o.error.text);
    p.file[1].bytes[p.file[1].n - 1] ^= 1;
    p.file[1].n -= 40;
    o = load(&p, 500, NULL, NULL, 3);
    CHECK(o.status == WF_E_TRUNCATED && strstr(o.error.text, "m-00002.gguf") != NULL, "%s", o.error.text);
    p.file[1].n += 40;
    drop(&p);
    drop(&q);

    p = foreign(&f, 11, 10, (keys){0, 2, 33, NULL}, (keys){1, 2, 33, NULL});
    outcome twice = load(&p, 500, NULL, NULL, 2);
    CHECK(twice.status == WF_E_FORMAT, "%s", twice.error.text);
    drop(&p);
    p = foreign(&f, 11, 11, (keys){0, 2, 0, NULL}, (keys){1, 3, 0, NULL});
    expect(&p, NULL, 2, WF_E_FORMAT,
           "m-00002.gguf is one of 3 parts, and m-00001.gguf one of 2: they belong to different models; put the parts of one download "
           "together again");
    drop(&p);
    p = foreign(&f, 11, 11, (keys){0, 2, 0, NULL}, (keys){0, 0, 0, NULL});
    expect(&p, NULL, 2, WF_E_FORMAT,
           "m-00002.gguf is no part of a split model, and stands where part 2 of 2 of m-00001.gguf belongs: put the parts of one "
           "download together again");
    drop(&p);
    p = foreign(&f, 11, 11, (keys){0, 2, 0, NULL}, (keys){1, 2, 77, NULL});
    expect(&p, NULL, 2, WF_E_FORMAT,
           "m-00002.gguf and m-00001.gguf disagree on how many tensors their model has (split.tensors.count): they belong to different "
           "models; put the parts of one download together again");
    drop(&p);
    p = foreign(&f, 11, 11, (keys){0, 2, 0, NULL}, (keys){1, 2, 0, "llama"});
    expect(&p, NULL, 2, WF_E_FORMAT,
           "m-00002.gguf is of architecture \"llama\", and m-00001.gguf of \"poolformer\": they belong to different models; put the parts "
           "of one download together again");
    drop(&p);
    p = foreign(&f, 11, 12, (keys){0, 2, 0, NULL}, (keys){1, 2, 0, NULL});
    o = load(&p, 500, NULL, NULL, 2);
    CHECK(o.status == WF_E_FORMAT && strstr(o.error.text, "a part belongs to another model") != NULL, "%s", o.error.text);
    drop(&p);
    p = foreign(&f, 11, 11, (keys){0, 5000, 0, NULL}, (keys){1, 2, 0, NULL});
    expect(&p, NULL, 2, WF_E_FORMAT,
           "m-00001.gguf does not say of how many parts it is one (split.count must be a whole number up to 1024): it is damaged; "
           "download it again");
    drop(&p);
    free(f.bytes);
    free(g.bytes);
}

WF_TEST(a_tensor_in_two_parts_is_named) {
    tiny_file f = tiny_make(WF_F32);
    parts p = foreign(&f, 11, 10, (keys){0, 2, 31, NULL}, (keys){1, 2, 31, NULL});
    wf_error err;
    wf_error_clear(&err);
    wf_gguf_reader *r;
    const wf_gguf *g;
    size_t used;
    wf_gguf_reader_create(f.size, &r, &err);
    wf_gguf_reader_feed(r, f.bytes, f.size, &used, &g, &err);
    uint64_t n = g->tensor_count + 1;
    char sentence[300];
    snprintf(sentence, sizeof sentence,
             "tensor \"%s\" is in m-00001.gguf and again in m-00002.gguf: they belong to different models; put the parts of one download "
             "together again", g->tensors[10].name.text);
    drop(&p);
    p = foreign(&f, 11, 10, (keys){0, 2, n, NULL}, (keys){1, 2, n, NULL});
    expect(&p, NULL, 2, WF_E_FORMAT, sentence);
    drop(&p);
    wf_gguf_reader_free(r);
    free(f.bytes);
}

WF_TEST(a_part_that_changes_meanwhile_is_noticed) {
    tiny_file f = tiny_make(WF_F32);
    parts p = foreign(&f, 11, 11, (keys){0, 2, 0, NULL}, (keys){1, 2, 0, NULL});
    wf_options options = wf_options_default();
    wf_model *m = NULL;
    wf_error err;
    wf_error_clear(&err);
    options.file_name = "m-00001.gguf";
    CHECK_OK(wf_model_open(&options, &m, &err), err);
    CHECK_OK(wf_model_feed(m, p.file[0].bytes, p.file[0].n, &err), err);
    CHECK_OK(wf_model_next(m, 1, "m-00002.gguf", p.file[1].n, &err), err);
    CHECK_OK(wf_model_feed(m, p.file[1].bytes, p.file[1].n, &err), err);
    CHECK_FAILS(wf_model_finish(m, &err), WF_E_STATE, err);
    wf_model_free(m);
    wf_error_clear(&err);
    CHECK_OK(wf_model_open(&options, &m, &err), err);
    CHECK_OK(wf_model_feed(m, p.file[0].bytes, p.file[0].n, &err), err);
    CHECK_OK(wf_model_next(m, 1, "m-00002.gguf", p.file[1].n, &err), err);
    CHECK_OK(wf_model_feed(m, p.file[1].bytes, p.file[1].n, &err), err);
    CHECK_OK(wf_model_next(m, 0, "m-00001.gguf", p.file[0].n, &err), err);
    p.file[0].bytes[200] ^= 1;
    CHECK_FAILS(wf_model_feed(m, p.file[0].bytes, p.file[0].n, &err), WF_E_INTEGRITY, err);
    CHECK(strcmp(err.text, "m-00001.gguf was changed while the model was loading: load it again") == 0, "%s", err.text);
    wf_model_free(m);
    drop(&p);
    free(f.bytes);
}

WF_TEST(every_failed_allocation_is_survived) {
    tiny_file f = tiny_make(WF_F32);
    int failures = 0;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        wf_alloc_fail_after(n);
        wf_split *s = NULL;
        wf_error err;
        blob source = {f.bytes, f.size, f.size}, out = {NULL, 0, 0};
        wf_file view = blob_file(&source);
        wf_split_options o = {24000, "tiny.gguf", NULL, NULL, NULL, NULL};
        wf_error_clear(&err);
        done = wf_split_create(&view, &o, &s, &err) == WF_OK && wf_split_write(s, 0, blob_sink(&out), &err) == WF_OK;
        wf_alloc_fail_after(0);
        CHECK(done || err.code == WF_E_MEMORY, "allocation %llu: %s", (unsigned long long)n, err.text);
        failures += !done;
        wf_split_free(s);
        blob_free(&out);
        CHECK(wf_alloc_get_stats().live == 0, "allocation %llu leaks", (unsigned long long)n);
    }
    CHECK(failures > 20, "only %d allocations failed", failures);
    parts p = split_it(&f, 24000);
    done = false;
    for (uint64_t n = 1; !done; n++) {
        wf_alloc_fail_after(n);
        outcome o = load(&p, 1 << 20, p.pin, NULL, p.count);
        wf_alloc_fail_after(0);
        done = o.status == WF_OK;
        CHECK(done || o.status == WF_E_MEMORY, "allocation %llu: %s", (unsigned long long)n, o.error.text);
        CHECK(wf_alloc_get_stats().live == 0, "allocation %llu leaks", (unsigned long long)n);
    }
    drop(&p);
    free(f.bytes);
}

int main(void) {
    RUN(parts_compute_what_one_file_does);
    RUN(parts_of_gguf_split_load_and_can_be_pinned);
    RUN(bad_sets_of_parts_get_sentences);
    RUN(a_tensor_in_two_parts_is_named);
    RUN(a_part_that_changes_meanwhile_is_noticed);
    RUN(every_failed_allocation_is_survived);
    return wf_test_done();
}
