/* A whole model: backends, threads, batches, sizes and streaming all give the same answer; repeated runs allocate nothing. */
#include "base/alloc.h"
#include "runtime/tiny_model.h"

static void run_once(const tiny_file *f, wf_backend backend, uint32_t threads, bool int8_rows, uint32_t n, uint32_t h, uint32_t w,
                     float *logits) {
    wf_error err;
    wf_session *s = NULL;
    wf_error_clear(&err);
    wf_model *m = tiny_load(f, backend, threads, int8_rows, &err);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
    if (s != NULL && backend != WF_BACKEND_F64) {
        tiny_run(s, n, h, w, 3, logits, &err);
    }
    wf_session_free(s);
    wf_model_free(m);
}

WF_TEST(fast_equals_scalar) {
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_Q4_0, WF_Q8_0};
    for (int i = 0; i < 4; i++) {
        tiny_file f = tiny_make(types[i]);
        float fast[20], slow[20];
        run_once(&f, WF_BACKEND_SIMD, 1, false, 2, 37, 45, fast);
        run_once(&f, WF_BACKEND_SCALAR, 1, false, 2, 37, 45, slow);
        /* Float rounding over 16 nodes: measured 4e-7. */
        CHECK(wf_rel_l2(fast, slow, 20) < 3e-6, "%s: %g", wf_dtype_get(types[i])->name, wf_rel_l2(fast, slow, 20));
        free(f.bytes);
    }
}

WF_TEST(int8_rows_stay_near_float) {
    tiny_file f = tiny_make(WF_Q8_0);
    float int8[10], exact[10];
    run_once(&f, WF_BACKEND_SIMD, 1, true, 1, 32, 32, int8);
    run_once(&f, WF_BACKEND_SIMD, 1, false, 1, 32, 32, exact);
    double error = wf_rel_l2(int8, exact, 10);
    CHECK(error < 4e-2, "int8 rows lose %g", error); /* CONTRACT's budget for tiny models */
    CHECK(error > 1e-5, "int8 rows lose nothing (%g): they were not used", error);
    free(f.bytes);
}

WF_TEST(threads_change_no_bit) {
    static const wf_dtype types[] = {WF_F32, WF_Q8_0};
    for (int i = 0; i < 2; i++) {
        tiny_file f = tiny_make(types[i]);
        float one[30], two[30], five[30];
        /* large enough for all kinds of nodes to be shared (wf_plan_threads) */
        run_once(&f, WF_BACKEND_SIMD, 1, true, 3, 320, 250, one);
        run_once(&f, WF_BACKEND_SIMD, 2, true, 3, 320, 250, two);
        run_once(&f, WF_BACKEND_SIMD, 5, true, 3, 320, 250, five);
        CHECK(memcmp(one, two, sizeof one) == 0, "two threads differ from one");
        CHECK(memcmp(one, five, sizeof one) == 0, "five threads differ from one");
        free(f.bytes);
    }
}

/* The nodes of a run are told in its order, and a budget of 1 runs them one by one. */
WF_TEST(nodes_are_told_and_run_one_by_one) {
    tiny_file f = tiny_make(WF_Q8_0);
    wf_error err;
    wf_error_clear(&err);
    wf_model *m = tiny_load(&f, WF_BACKEND_SIMD, 1, true, &err);
    wf_session *s;
    wf_model_info info;
    wf_model_get_info(m, &info);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
    CHECK(wf_session_node_count(s) == 0 && wf_session_nodes_done(s) == 0, "nodes before there is a plan");
    CHECK_OK(wf_session_prepare(s, 1, info.height, info.width, &err), err);
    CHECK(wf_session_bytes(s) == info.activation_bytes, "planned %llu bytes, held %llu", (unsigned long long)info.activation_bytes,
          (unsigned long long)wf_session_bytes(s));
    uint32_t count = wf_session_node_count(s);
    CHECK(count == info.nodes, "%u nodes, the model says %u", count, info.nodes);
    uint64_t products = 0;
    for (uint32_t i = 0; i < count; i++) {
        wf_node_info n;
        CHECK_OK(wf_session_node(s, i, &n, &err), err);
        products += n.multiply_adds;
        CHECK(n.name != NULL && n.bytes > 0 && n.threads == 1, "%s", n.name);
        CHECK((n.type != NULL) == (n.multiply_adds > 0), "%s multiplies by nothing", n.name);
        CHECK(!n.int8 || strcmp(n.type, "Q8_0") == 0, "%s", n.name);
    }
    CHECK(products > 0 && products < info.cost, "products %llu", (unsigned long long)products);
    wf_node_info none;
    CHECK_FAILS(wf_session_node(s, count, &none, &err), WF_E_ARGUMENT, err);
    wf_error_clear(&err);
    wf_progress progress = WF_YIELD;
    wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(wf_session_nodes_done(s) == i, "%u done, not %u", wf_session_nodes_done(s), i);
        CHECK_OK(wf_session_step(s, 1, &progress, &err), err);
    }
    CHECK(progress == WF_DONE && wf_session_nodes_done(s) == count, "%u done", wf_session_nodes_done(s));
    char *text = wf_session_describe_nodes(s);
    CHECK(text != NULL && strstr(text, "\"name\":\"stem\",\"op\":\"conv2d\",\"type\":\"Q8_0\"") != NULL, "%.100s", text);
    wf_free(text);
    wf_session_free(s);
    wf_model_free(m);
    free(f.bytes);
}

WF_TEST(batch_equals_one_by_one) {
    tiny_file f = tiny_make(WF_Q8_0);
    wf_error err;
    wf_session *s = NULL;
    float batch[30], single[10];
    float *pictures = malloc(3 * 3 * 40 * 36 * sizeof *pictures);
    wf_progress p;
    wf_error_clear(&err);
    wf_model *m = tiny_load(&f, WF_BACKEND_SIMD, 1, true, &err);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
    wf_test_seed(11);
    wf_test_fill(pictures, 3 * 3 * 40 * 36, -2, 2);
    CHECK_OK(wf_session_prepare(s, 3, 40, 36, &err), err);
    memcpy(wf_session_input(s), pictures, 3 * 3 * 40 * 36 * sizeof *pictures);
    CHECK_OK(wf_session_step(s, 0, &p, &err), err);
    CHECK_OK(wf_session_read_f32(s, 0, batch, &err), err);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(wf_session_prepare(s, 1, 40, 36, &err), err);
        memcpy(wf_session_input(s), pictures + i * 3 * 40 * 36, 3 * 40 * 36 * sizeof *pictures);
        CHECK_OK(wf_session_step(s, 0, &p, &err), err);
        CHECK_OK(wf_session_read_f32(s, 0, single, &err), err);
        CHECK(memcmp(single, batch + 10 * i, sizeof single) == 0, "picture %d differs in a batch", i);
    }
    free(pictures);
    wf_session_free(s);
    wf_model_free(m);
    free(f.bytes);
}

WF_TEST(repeated_runs_allocate_nothing) {
    static const uint32_t sizes[4][3] = {{1, 32, 32}, {2, 40, 32}, {1, 64, 64}, {1, 33, 47}};
    tiny_file f = tiny_make(WF_F32);
    wf_error err;
    wf_session *s = NULL;
    float logits[20];
    wf_error_clear(&err);
    wf_model *m = tiny_load(&f, WF_BACKEND_SIMD, 2, true, &err);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
    for (int i = 0; i < 4; i++) {
        tiny_run(s, sizes[i][0], sizes[i][1], sizes[i][2], 3, logits, &err);
    }
    uint64_t before = wf_alloc_get_stats().calls;
    for (int i = 0; i < 12; i++) { /* four classes stay planned */
        tiny_run(s, sizes[i % 4][0], sizes[i % 4][1], sizes[i % 4][2], 3, logits, &err);
    }
    CHECK(wf_alloc_get_stats().calls == before, "%llu allocations", (unsigned long long)(wf_alloc_get_stats().calls - before));
    tiny_run(s, 1, 48, 48, 3, logits, &err);
    CHECK(wf_alloc_get_stats().calls > before, "a fifth class must be planned anew: the counter does not count");
    wf_session_free(s);
    wf_model_free(m);
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
    free(f.bytes);
}

WF_TEST(streamed_equals_loaded_and_waits_for_bytes) {
    static const size_t chunks[] = {1, 7, 100, 4096};
    tiny_file f = tiny_make(WF_Q8_0);
    float whole[10], streamed[10];
    run_once(&f, WF_BACKEND_SIMD, 1, true, 1, 32, 32, whole);
    for (int c = 0; c < 4; c++) {
        wf_options o = wf_options_default();
        wf_model *m = NULL;
        wf_session *s = NULL;
        wf_error err;
        wf_progress p = WF_NEED_BYTES;
        double early = 0;
        wf_error_clear(&err);
        CHECK_OK(wf_model_open(&o, &m, &err), err);
        for (size_t at = 0; at < f.size && err.code == WF_OK; at += chunks[c]) {
            size_t n = f.size - at < chunks[c] ? f.size - at : chunks[c];
            CHECK_OK(wf_model_feed(m, f.bytes + at, n, &err), err);
            if (s == NULL && wf_model_has_header(m)) {
                CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
                CHECK_OK(wf_session_prepare(s, 1, 32, 32, &err), err);
                wf_test_seed(3);
                wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
                CHECK_OK(wf_session_start(s, &err), err);
            }
            if (s != NULL && p != WF_DONE) {
                CHECK_OK(wf_session_step(s, 0, &p, &err), err);
                early = at + n < f.size && p != WF_DONE ? wf_session_fraction(s) : early;
            }
        }
        CHECK_OK(wf_model_finish(m, &err), err);
        CHECK_OK(wf_session_step(s, 0, &p, &err), err);
        CHECK(p == WF_DONE, "progress %d", (int)p);
        CHECK_OK(wf_session_read_f32(s, 0, streamed, &err), err);
        CHECK(memcmp(whole, streamed, sizeof whole) == 0, "chunks of %zu change the answer", chunks[c]);
        CHECK(chunks[c] > 100 || early > 0.8, "only %g of the nodes ran before the last byte", early);
        wf_session_free(s);
        wf_model_free(m);
    }
    free(f.bytes);
}

WF_TEST(taps_are_a_barrier_and_read_in_source_order) {
    tiny_file f = tiny_make(WF_F32);
    wf_error err;
    wf_session *plain = NULL, *tapped = NULL;
    static const char *const all[] = {"all"};
    static const char *const wrong[] = {"network.9"};
    float a[10], b[10];
    wf_error_clear(&err);
    wf_model *m = tiny_load(&f, WF_BACKEND_SIMD, 1, true, &err);
    CHECK_OK(wf_session_create(m, NULL, 0, &plain, &err), err);
    CHECK_OK(wf_session_create(m, all, 1, &tapped, &err), err);
    tiny_run(plain, 1, 32, 32, 3, a, &err);
    tiny_run(tapped, 1, 32, 32, 3, b, &err);
    CHECK(wf_rel_l2(a, b, 10) < 1e-6, "taps change the output: %g", wf_rel_l2(a, b, 10));
    CHECK(wf_session_output_count(tapped) == 4, "%u outputs", wf_session_output_count(tapped));
    wf_output_info info;
    CHECK_OK(wf_session_output(tapped, 2, &info, &err), err);
    CHECK(strcmp(info.name, "network.0") == 0 && info.is_tap, "%s", info.name);
    CHECK(info.n_dims == 4 && info.dims[0] == 1 && info.dims[1] == 16 && info.dims[2] == 8 && info.dims[3] == 8, "shape");
    wf_session *none = NULL;
    CHECK_FAILS(wf_session_create(m, wrong, 1, &none, &err), WF_E_ARGUMENT, err);
    CHECK(strstr(err.text, "network.0.0.token_mixer") != NULL, "the known taps are not listed: %s", err.text);
    wf_session_free(plain);
    wf_session_free(tapped);
    wf_model_free(m);
    free(f.bytes);
}

WF_TEST(bad_use_and_bad_files_get_sentences) {
    tiny_file f = tiny_make(WF_F32);
    wf_error err;
    wf_session *s = NULL;
    wf_progress p;
    float logits[10];
    wf_error_clear(&err);
    wf_model *m = tiny_load(&f, WF_BACKEND_SIMD, 1, true, &err);
    CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
    CHECK_FAILS(wf_session_step(s, 0, &p, &err), WF_E_STATE, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_session_prepare(s, 1, 0, 5, &err), WF_E_SHAPE, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_session_prepare(s, 1, 2, 2, &err), WF_E_SHAPE, err); /* smaller than the stem's window */
    wf_error_clear(&err);
    CHECK_FAILS(wf_session_prepare(s, 4000000, 1000, 1000, &err), WF_E_SHAPE, err);
    wf_error_clear(&err);
    CHECK_OK(wf_session_prepare(s, 1, 32, 32, &err), err);
    CHECK_FAILS(wf_session_read_f32(s, 0, logits, &err), WF_E_STATE, err);
    wf_session_free(s);
    wf_model_free(m);
    /* Cut anywhere: an error at the end, never a crash; a model that failed stays failed. */
    for (size_t cut = 0; cut < f.size; cut += cut < 4000 ? 13 : 997) {
        wf_options o = wf_options_default();
        wf_error_clear(&err);
        CHECK_OK(wf_model_open(&o, &m, &err), err);
        wf_model_feed(m, f.bytes, cut, &err);
        CHECK_FAILS(wf_model_finish(m, &err), err.code, err);
        CHECK(err.code != WF_OK, "cut at %zu went unnoticed", cut);
        wf_model_free(m);
    }
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
    free(f.bytes);
}

WF_TEST(every_failed_allocation_is_survived) {
    tiny_file f = tiny_make(WF_F32);
    int failures = 0;
    for (uint64_t n = 1; n < 400; n++) {
        wf_options o = wf_options_default();
        wf_model *m = NULL;
        wf_session *s = NULL;
        wf_error err;
        wf_error_clear(&err);
        wf_alloc_fail_after(n);
        bool ok = wf_model_open(&o, &m, &err) == WF_OK && wf_model_feed(m, f.bytes, f.size, &err) == WF_OK &&
                  wf_model_finish(m, &err) == WF_OK && wf_session_create(m, NULL, 0, &s, &err) == WF_OK &&
                  wf_session_prepare(s, 1, 32, 32, &err) == WF_OK;
        wf_alloc_fail_after(0);
        if (!ok) {
            failures++;
            CHECK(err.code == WF_E_MEMORY, "allocation %llu: %s", (unsigned long long)n, err.text);
        }
        wf_session_free(s);
        wf_model_free(m);
        CHECK(wf_alloc_get_stats().live == 0, "allocation %llu leaks %llu blocks", (unsigned long long)n,
              (unsigned long long)wf_alloc_get_stats().live);
    }
    CHECK(failures > 40, "only %d allocations failed", failures);
    free(f.bytes);
}

/* One run during the load: the same bits, with memory for some of the weights only. */
WF_TEST(one_run_drops_what_it_has_used) {
    static const wf_backend backends[] = {WF_BACKEND_SIMD, WF_BACKEND_SCALAR, WF_BACKEND_SIMD};
    for (int i = 0; i < 3; i++) {
        bool int8_rows = i == 2;
        tiny_file f = tiny_make(int8_rows ? WF_Q8_0 : WF_F32);
        wf_options o = wf_options_default();
        wf_model *m = NULL;
        wf_session *s = NULL;
        wf_error err;
        wf_progress p = WF_NEED_BYTES;
        float whole[10], passing[10];
        uint64_t peak = 0, before = wf_alloc_get_stats().live_bytes;
        run_once(&f, backends[i], 1, int8_rows, 1, 32, 32, whole);
        wf_error_clear(&err);
        o.backend = backends[i];
        o.int8_rows = int8_rows;
        o.one_run = true;
        CHECK_OK(wf_model_open(&o, &m, &err), err);
        uint64_t planned = 0, held = 0;
        for (size_t at = 0; at < f.size && err.code == WF_OK; at += 100) {
            CHECK_OK(wf_model_feed(m, f.bytes + at, f.size - at < 100 ? f.size - at : 100, &err), err);
            if (s == NULL && wf_model_has_header(m)) {
                wf_model_info info;
                CHECK(wf_model_get_info(m, &info) == WF_OK, "no info");
                planned = info.weight_bytes;
                CHECK_OK(wf_session_create(m, NULL, 0, &s, &err), err);
                CHECK_OK(wf_session_prepare(s, 1, 32, 32, &err), err);
                wf_test_seed(3);
                wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
                held = wf_alloc_get_stats().live_bytes;
            }
            if (s != NULL) {
                CHECK_OK(wf_session_step(s, 0, &p, &err), err);
                uint64_t live = wf_alloc_get_stats().live_bytes;
                peak = live > held && live - held > peak ? live - held : peak;
            }
        }
        CHECK_OK(wf_model_finish(m, &err), err);
        CHECK_OK(wf_session_step(s, 0, &p, &err), err);
        CHECK(p == WF_DONE, "progress %d", (int)p);
        CHECK_OK(wf_session_read_f32(s, 0, passing, &err), err);
        CHECK(memcmp(whole, passing, sizeof whole) == 0, "case %d: other bits than the whole model's", i);
        CHECK(peak > 0 && peak < planned * 3 / 5, "case %d: %llu bytes of %llu at once", i, (unsigned long long)peak,
              (unsigned long long)planned);
        CHECK_OK(wf_session_start(s, &err), err);
        CHECK(wf_session_step(s, 0, &p, &err) == WF_E_TRUNCATED, "a second run: %s", err.text);
        wf_session_free(s);
        wf_model_free(m);
        CHECK(wf_alloc_get_stats().live_bytes == before, "memory leaks");
        free(f.bytes);
    }
}

int main(void) {
    RUN(fast_equals_scalar);
    RUN(int8_rows_stay_near_float);
    RUN(threads_change_no_bit);
    RUN(nodes_are_told_and_run_one_by_one);
    RUN(batch_equals_one_by_one);
    RUN(repeated_runs_allocate_nothing);
    RUN(streamed_equals_loaded_and_waits_for_bytes);
    RUN(taps_are_a_barrier_and_read_in_source_order);
    RUN(bad_use_and_bad_files_get_sentences);
    RUN(one_run_drops_what_it_has_used);
    RUN(every_failed_allocation_is_survived);
    return wf_test_done();
}
