/* The planner and the passes on small graphs: no two live activations overlap, fusion happens where it may and stops where it
   must, budgets and guards are obeyed. */
#include "base/alloc.h"
#include "check.h"
#include "graph/plan.h"

/* A weight store in memory: every tensor asked for exists, F32, with the shape that its name announces; a bias belongs to rows, of a
   "window" to the k channels. */
static bool find(void *user, const char *name, wf_stored *out) {
    unsigned rows = 1, k = 0;
    const char *at = strchr(name, '@'); /* NAME@ROWSxK.weight or NAME@K */
    (void)user;
    if (at == NULL || (sscanf(at, "@%ux%u", &rows, &k) != 2 && (rows = 1, sscanf(at, "@%u", &k) != 1))) {
        return false;
    }
    bool bias = strstr(name, ".bias") != NULL;
    memset(out, 0, sizeof *out);
    out->type = WF_F32;
    out->n_dims = 2;
    out->dims[0] = bias && strncmp(name, "window", 6) != 0 ? rows : k;
    out->dims[1] = bias ? 1 : rows;
    out->dims[2] = out->dims[3] = 1;
    return true;
}

typedef struct bench {
    wf_arena arena;
    wf_weights weights;
    wf_graph graph;
    wf_error err;
} bench;

static void begin(bench *b) {
    memset(b, 0, sizeof *b);
    wf_error_clear(&b->err);
    wf_arena_init(&b->arena);
    wf_weights_init(&b->weights, &b->arena, WF_BACKEND_SIMD);
    b->weights.find = find;
    wf_graph_init(&b->graph, &b->arena, &b->weights);
}

static void end(bench *b, wf_plan *plan) {
    wf_plan_free(plan);
    wf_weights_free(&b->weights);
    wf_arena_free(&b->arena);
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
}

static void fill_weights(bench *b) {
    CHECK_OK(wf_weights_reserve(&b->weights, &b->err), b->err);
    for (uint32_t i = 0; i < b->weights.count; i++) {
        for (uint32_t r = 0; r < b->weights.entries[i].view.n; r += WF_PANEL) {
            uint32_t k = b->weights.entries[i].view.k, n = b->weights.entries[i].view.n - r;
            float rows[WF_PANEL * 64];
            n = n < WF_PANEL ? n : WF_PANEL;
            wf_test_fill(rows, (size_t)n * k, -0.3f, 0.3f);
            CHECK_OK(wf_weights_rows(&b->weights, i, r, rows, n, &b->err), b->err);
        }
    }
}

/* x → up → gelu → down (+ scale, + x) → norm: an MLP block. */
static wf_id mlp(wf_graph *g, wf_id x) {
    wf_id y = wf_node_linear(g, x, "up@40x24", 40, true);
    y = wf_node_gelu(g, y, "act");
    y = wf_node_linear(g, y, "down@24x40", 24, true);
    return wf_node_residual(g, x, y, "sum", wf_graph_vector(g, "scale@24", 24));
}

static wf_shape rows_of(uint32_t rows, uint32_t c) { return (wf_shape){1, rows, 1, c, WF_LAYOUT_ROWS}; }

static uint32_t live(const wf_plan *p, wf_op op) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->graph.count; i++) {
        n += !p->graph.nodes[i].dead && p->graph.nodes[i].op == op;
    }
    return n;
}

/* x → a depthwise convolution of a map of five cells → gelu → + x */
static wf_id convolution(wf_graph *g, wf_id x) {
    return wf_node_residual(g, x, wf_node_gelu(g, wf_node_depthwise(g, x, "window@9x24", 3), "act"), "sum", WF_NONE);
}

static void run_part(wf_id (*part)(wf_graph *, wf_id), const char *const *kept, uint32_t kept_count, float *out, uint32_t *gelus, uint32_t *residuals) {
    bench b;
    wf_plan plan;
    wf_exec e;
    begin(&b);
    b.graph.kept_names = kept;
    b.graph.kept_count = kept_count;
    wf_id x = wf_graph_input(&b.graph, "x", rows_of(5, 24));
    wf_graph_output(&b.graph, "output", "nlc", part(&b.graph, x));
    CHECK_OK(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, 1, &b.err), b.err);
    wf_test_seed(5);
    fill_weights(&b);
    void *memory = wf_alloc_zero(plan.total_bytes);
    wf_plan_bind(&plan, memory);
    for (int r = 0; r < 5; r++) {
        wf_test_fill((float *)plan.calls[0].out.data + r * 32, 24, -1, 1);
    }
    wf_exec_start(&e, &plan, NULL);
    CHECK(wf_exec_step(&e, 0) == WF_DONE, "not done");
    memcpy(out, plan.calls[plan.graph.outputs[0].node].out.data, 5 * 32 * sizeof *out);
    *gelus = live(&plan, WF_OP_GELU);
    *residuals = live(&plan, WF_OP_RESIDUAL);
    wf_free(memory);
    end(&b, &plan);
}

/* Bit for bit; with relaxed SIMD a multiplication and an addition that meet in an epilogue may become one fused operation. */
static bool equal(const float *a, const float *b) {
#if defined(WF_RELAXED)
    return wf_rel_l2(a, b, 160) < 1e-6;
#else
    return memcmp(a, b, 160 * sizeof *a) == 0;
#endif
}

WF_TEST(fusion_is_exact_and_stops_at_kept_nodes) {
    static const char *const keep_act[] = {"act"}, *const keep_all[] = {"up@40x24", "act", "down@24x40"};
    float fused[160], half[160], plain[160];
    uint32_t gelus, residuals;
    run_part(mlp, NULL, 0, fused, &gelus, &residuals);
    CHECK(gelus == 0 && residuals == 0, "%u gelu and %u residual nodes are left", gelus, residuals);
    run_part(mlp, keep_act, 1, half, &gelus, &residuals);
    CHECK(gelus == 0 && residuals == 0, "gelu itself may be kept as the product's epilogue");
    run_part(mlp, keep_all, 3, plain, &gelus, &residuals);
    CHECK(gelus == 1 && residuals == 1, "a kept product was fused away");
    CHECK(equal(fused, plain), "fusion changes the result by %g", wf_rel_l2(fused, plain, 160));
    CHECK(equal(fused, half), "a tap changes the result by %g", wf_rel_l2(fused, half, 160));
}

WF_TEST(a_depthwise_convolution_takes_gelu_alone) {
    static const char *const keep[] = {"window@9x24"};
    float fused[160], plain[160];
    uint32_t gelus, residuals;
    run_part(convolution, NULL, 0, fused, &gelus, &residuals);
    CHECK(gelus == 0 && residuals == 1, "%u gelu and %u residual nodes are left", gelus, residuals);
    run_part(convolution, keep, 1, plain, &gelus, &residuals);
    CHECK(gelus == 1 && residuals == 1, "a kept convolution was fused away");
    CHECK(equal(fused, plain), "fusion changes the result by %g", wf_rel_l2(fused, plain, 160));
}

/* Every pair of activations that are alive at the same node must lie apart; checked from the graph itself. */
WF_TEST(live_activations_never_overlap) {
    for (uint32_t seed = 1; seed <= 60; seed++) {
        bench b;
        wf_plan plan;
        begin(&b);
        wf_test_seed(seed);
        wf_id ids[24];
        ids[0] = wf_graph_input(&b.graph, "x", rows_of(3 + seed % 7, 16));
        for (uint32_t i = 1; i < 24; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%u", i);
            wf_id a = ids[wf_test_u32() % i], c = ids[wf_test_u32() % i];
            ids[i] = wf_test_u32() % 3 == 0 ? wf_node_gelu(&b.graph, a, name) : wf_node_residual(&b.graph, a, c, name, WF_NONE);
        }
        wf_graph_output(&b.graph, "output0", "nlc", ids[23]);
        wf_graph_output(&b.graph, "output1", "nlc", ids[5]);
        CHECK_OK(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, 1, &b.err), b.err);
        uint32_t count = plan.graph.count;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t last[2] = {i, 0};
            uint64_t bytes = wf_shape_elements(&plan.graph.nodes[i].shape) * sizeof(float);
            CHECK(plan.at[i] % 64 == 0 && plan.at[i] + bytes <= plan.activation_bytes, "node %u outside the block", i);
            for (uint32_t j = i + 1; j < count; j++) { /* j: written while i is still needed? */
                for (uint32_t k = j; k < count; k++) {
                    for (int s = 0; s < WF_OP_INPUTS; s++) {
                        last[0] = plan.graph.nodes[k].in[s] == i ? k : last[0];
                    }
                }
                bool needed = last[0] >= j || plan.graph.nodes[i].kept;
                uint64_t other = wf_shape_elements(&plan.graph.nodes[j].shape) * sizeof(float);
                bool apart = plan.at[i] + bytes <= plan.at[j] || plan.at[j] + other <= plan.at[i];
                CHECK(!needed || apart, "seed %u: node %u is overwritten by node %u", seed, i, j);
            }
        }
        end(&b, &plan);
    }
}

WF_TEST(memory_is_reused) {
    bench b;
    wf_plan plan;
    begin(&b);
    wf_id x = wf_graph_input(&b.graph, "x", rows_of(100, 32));
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        x = wf_node_gelu(&b.graph, x, name);
    }
    wf_graph_output(&b.graph, "output", "nlc", x);
    CHECK_OK(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, 1, &b.err), b.err);
    CHECK(plan.activation_bytes == 2 * 100 * 32 * sizeof(float), "a chain of 50 needs two buffers, not %llu bytes",
          (unsigned long long)plan.activation_bytes);
    end(&b, &plan);
}

WF_TEST(budget_and_guard) {
    bench b;
    wf_plan plan;
    wf_exec e;
    begin(&b);
    wf_id x = wf_graph_input(&b.graph, "x", rows_of(4, 24));
    x = wf_node_gelu(&b.graph, x, "one");
    wf_id guarded = wf_node_gelu(&b.graph, x, "two");
    x = wf_node_gelu(&b.graph, x, "three");
    wf_graph_output(&b.graph, "output", "nlc", x);
    wf_graph_output(&b.graph, "output1", "nlc", guarded);
    b.graph.nodes[guarded].guard = 3;
    CHECK_OK(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, 1, &b.err), b.err);
    void *memory = wf_alloc_zero(plan.total_bytes);
    wf_plan_bind(&plan, memory);
    float *in = plan.calls[0].out.data, *skipped = plan.calls[guarded].out.data;
    wf_test_fill(in, 24, 1, 2);
    memset(skipped, 0, 4 * 32 * sizeof(float));
    wf_exec_start(&e, &plan, NULL);
    CHECK(wf_exec_step(&e, 1) == WF_YIELD, "a budget of 1 allows one node");
    CHECK(wf_exec_step(&e, 0) == WF_DONE, "then the rest");
    CHECK(skipped[0] == 0, "a guarded node ran without its flag");
    wf_exec_start(&e, &plan, NULL);
    e.flags = 1u << 3;
    wf_test_fill(in, 24, 1, 2);
    CHECK(wf_exec_step(&e, 0) == WF_DONE, "done");
    CHECK(skipped[0] != 0, "a guarded node did not run with its flag");
    wf_free(memory);
    end(&b, &plan);
}

/* Small work stays with one thread, large work is shared; a plan for one thread shares nothing. */
WF_TEST(threads_are_chosen_by_work) {
    static const struct { uint32_t rows, out; bool shared; } cases[] = {{1, 64, false}, {4, 64, false}, {64, 64, false}, {512, 64, true}, {4096, 64, true}};
    for (uint32_t threads = 1; threads <= 4; threads++) {
        for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            bench b;
            wf_plan plan;
            begin(&b);
            wf_id x = wf_graph_input(&b.graph, "x", rows_of(cases[i].rows, 64));
            wf_id product = wf_node_linear(&b.graph, x, "up@64x64", cases[i].out, false);
            wf_id mean = wf_node_segment_mean(&b.graph, product, "mean", 0, 0);
            wf_graph_output(&b.graph, "output", "nc", mean);
            CHECK_OK(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, threads, &b.err), b.err);
            uint32_t wanted = cases[i].shared ? threads : 1;
            CHECK(wf_plan_threads(&plan, x) == 1, "the input is no work");
            CHECK(wf_plan_threads(&plan, product) == wanted, "%u rows: %u of %u threads", cases[i].rows, wf_plan_threads(&plan, product), threads);
            CHECK(wf_plan_threads(&plan, mean) == (cases[i].rows >= 4096 ? threads : 1), "mean of %u rows: %u of %u threads", cases[i].rows,
                  wf_plan_threads(&plan, mean), threads);
            end(&b, &plan);
        }
    }
}

WF_TEST(errors_name_the_node_and_the_shapes) {
    bench b;
    wf_plan plan;
    begin(&b);
    wf_id x = wf_graph_input(&b.graph, "x", rows_of(4, 24));
    uint32_t mark = wf_graph_enter(&b.graph, "stage.%u", 7);
    wf_node_linear(&b.graph, x, "up@40x30", 40, false);
    wf_graph_leave(&b.graph, mark);
    CHECK_FAILS(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, 1, &b.err), WF_E_SHAPE, b.err);
    CHECK(strstr(b.err.text, "stage.7.up@40x30") != NULL && strstr(b.err.text, "30") != NULL, "%s", b.err.text);
    end(&b, &plan);
    begin(&b);
    x = wf_graph_input(&b.graph, "x", rows_of(4, 24));
    x = wf_node_linear(&b.graph, x, "absent", 40, false);
    CHECK(x == WF_NONE, "a node without a weight");
    CHECK_FAILS(wf_plan_make(&plan, &b.graph, WF_BACKEND_SIMD, 1, &b.err), WF_E_MISSING, b.err);
    CHECK(strstr(b.err.text, "absent.weight") != NULL, "%s", b.err.text);
    end(&b, &plan);
}

int main(void) {
    RUN(fusion_is_exact_and_stops_at_kept_nodes);
    RUN(a_depthwise_convolution_takes_gelu_alone);
    RUN(live_activations_never_overlap);
    RUN(memory_is_reused);
    RUN(budget_and_guard);
    RUN(threads_are_chosen_by_work);
    RUN(errors_name_the_node_and_the_shapes);
    return wf_test_done();
}
