/* I8 matrices in graphs: who hands bytes to whom, where a tap or a second reader stops that, the same numbers with and without it;
   steps and gains that go into float matrices in whatever order they arrive; and every refusal. */
#include "base/alloc.h"
#include "check.h"
#include "graph/plan.h"

enum { C = 24, H = 40, ROWS = 5 };

typedef struct store {
    bool is_static, gains, no_steps, i8_bias;
} store;

static bool ends(const char *name, const char *with) {
    size_t n = strlen(name), m = strlen(with);
    return n >= m && strcmp(name + n - m, with) == 0;
}

/* up [H, C] and down [C, H] as I8 with what belongs to them, a norm of C. */
static bool find(void *user, const char *name, wf_stored *out) {
    const store *s = user;
    uint32_t rows = strncmp(name, "up", 2) == 0 ? H : C, k = strncmp(name, "up", 2) == 0 ? C : H;
    bool matrix = ends(name, ".weight") && strncmp(name, "norm", 4) != 0;
    memset(out, 0, sizeof *out);
    out->type = matrix || (s->i8_bias && ends(name, "up.bias")) ? WF_I8 : WF_F32;
    out->n_dims = 2;
    out->dims[0] = matrix ? k : rows;
    out->dims[1] = matrix ? rows : 1;
    out->dims[2] = out->dims[3] = 1;
    if (ends(name, "in_scale") || ends(name, "in_zero")) {
        out->dims[0] = 1;
        return s->is_static;
    }
    if (ends(name, "in_gain")) {
        out->dims[0] = k;
        return s->gains;
    }
    return !(ends(name, ".scale") && s->no_steps);
}

typedef struct bench {
    wf_arena arena;
    wf_weights weights;
    wf_graph graph;
    wf_plan plan;
    wf_error err;
    wf_id norm, up, act, down;
    float out[ROWS * 32];
} bench;

/* norm → up → gelu → down → + x. */
static wf_status build(bench *b, store *s, bool int8_rows, const char *kept) {
    memset(b, 0, sizeof *b);
    wf_error_clear(&b->err);
    wf_arena_init(&b->arena);
    wf_weights_init(&b->weights, &b->arena, WF_BACKEND_SIMD);
    b->weights.find = find;
    b->weights.find_user = s;
    b->weights.int8_rows = int8_rows;
    wf_graph *g = &b->graph;
    wf_graph_init(g, &b->arena, &b->weights);
    g->kept_names = &kept;
    g->kept_count = kept != NULL;
    wf_id x = wf_graph_input(g, "x", (wf_shape){1, ROWS, 1, C, WF_LAYOUT_ROWS});
    b->norm = wf_node_layer_norm(g, x, "norm", 1e-5f);
    b->up = wf_node_linear(g, b->norm, "up", H, true);
    b->act = wf_node_gelu(g, b->up, "act");
    b->down = wf_node_linear(g, b->act, "down", C, true);
    b->down = wf_node_residual(g, x, b->down, "sum", WF_NONE);
    wf_graph_output(g, "output", "nlc", b->down);
    return wf_plan_make(&b->plan, g, WF_BACKEND_SIMD, 1, &b->err);
}

static void finish(bench *b) {
    wf_plan_free(&b->plan);
    wf_weights_free(&b->weights);
    wf_arena_free(&b->arena);
}

static void check_leaks(void) {
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
}

static void feed(bench *b, uint32_t id) {
    wf_weight_entry *e = &b->weights.entries[id];
    static float values[H * C];
    static int8_t q[H * C];
    uint32_t seed = 7; /* by name: the same values in every graph */
    for (const char *c = e->name; *c != 0; c++) {
        seed = seed * 31 + (uint32_t)*c;
    }
    wf_test_seed(seed);
    wf_test_fill(values, H * C, 0.5f, 1.5f);
    for (int i = 0; i < H * C; i++) {
        q[i] = (int8_t)(wf_test_u32() % 255 - 127);
    }
    if (ends(e->name, ".scale")) {
        wf_test_fill(values, e->view.k, 0.0005f, 0.003f);
    } else if (ends(e->name, "in_scale")) {
        values[0] = 0.04f;
    } else if (ends(e->name, "in_zero")) {
        values[0] = e->name[0] == 'u' ? 128 : 5;
    }
    const char *src = e->stored.type == WF_I8 ? (const char *)q : (const char *)values;
    size_t row = e->stored.type == WF_I8 ? e->view.k : e->view.k * sizeof(float);
    for (uint32_t r = 0; r < e->view.n; r += WF_PANEL) {
        uint32_t n = e->view.n - r < WF_PANEL ? e->view.n - r : WF_PANEL;
        CHECK_OK(wf_weights_rows(&b->weights, id, r, src + r * row, n, &b->err), b->err);
    }
}

/* Weights in order or backwards, then one run. The input is the same for all. */
static void run(bench *b, bool backwards) {
    wf_exec e;
    uint32_t count = b->weights.count;
    CHECK_OK(wf_weights_reserve(&b->weights, &b->err), b->err);
    for (uint32_t i = 0; i < count; i++) {
        feed(b, backwards ? count - 1 - i : i);
    }
    for (uint32_t i = 0; i < count; i++) {
        CHECK(b->weights.entries[i].resident, "%s is not resident", b->weights.entries[i].name);
    }
    void *memory = wf_alloc(b->plan.total_bytes);
    wf_plan_bind(&b->plan, memory);
    float *x = b->plan.calls[0].out.data;
    memset(x, 0, ROWS * 32 * sizeof *x);
    wf_test_seed(3);
    for (int r = 0; r < ROWS; r++) {
        wf_test_fill(x + 32 * r, C, -2, 2);
    }
    wf_exec_start(&e, &b->plan, NULL);
    CHECK(wf_exec_step(&e, 0) == WF_DONE, "the run did not end");
    memcpy(b->out, b->plan.calls[b->down].out.data, sizeof b->out);
    wf_free(memory);
}

static double error(const bench *a, const bench *b) {
    double difference = 0, size = 0;
    for (int i = 0; i < ROWS * 32; i++) {
        difference += (a->out[i] - b->out[i]) * (double)(a->out[i] - b->out[i]);
        size += b->out[i] * (double)b->out[i];
    }
    return sqrt(difference / size);
}

static const wf_op_params *params(const bench *b, wf_id id) { return &b->plan.graph.nodes[id].p; }

WF_TEST(bytes_between_products) {
    for (int gains = 0; gains < 2; gains++) {
        bench fused, tapped, floats;
        store s = {.is_static = true, .gains = gains};
        CHECK_OK(build(&fused, &s, true, NULL), fused.err);
        CHECK(params(&fused, fused.norm)->out_u8 && params(&fused, fused.act)->in_u8, "norm to up");
        CHECK(params(&fused, fused.act)->out_u8 && params(&fused, fused.down)->in_u8, "up to down");
        CHECK(!params(&fused, fused.down)->out_u8, "the output is bytes");
        CHECK_OK(build(&tapped, &s, true, "act"), tapped.err);
        CHECK(params(&tapped, tapped.norm)->out_u8 && !params(&tapped, tapped.act)->out_u8 && !params(&tapped, tapped.down)->in_u8,
              "a tap is no barrier");
        CHECK(fused.plan.activation_bytes < tapped.plan.activation_bytes, "bytes take %llu, floats %llu",
              (unsigned long long)fused.plan.activation_bytes, (unsigned long long)tapped.plan.activation_bytes);
        CHECK_OK(build(&floats, &s, false, NULL), floats.err);
        CHECK(!params(&floats, floats.norm)->out_u8 && !params(&floats, floats.down)->int8_rows, "int8 without int8 rows");
        run(&fused, false);
        run(&tapped, false);
        run(&floats, false);
        CHECK(error(&fused, &tapped) < 5e-3, "bytes handed on differ by %.2g", error(&fused, &tapped));
        CHECK(error(&fused, &floats) < 5e-2, "int8 differs by %.2g from its floats", error(&fused, &floats));
        finish(&fused);
        finish(&tapped);
        finish(&floats);
    }
    check_leaks();
}

WF_TEST(dynamic_rows) {
    bench dynamic, floats;
    store s = {0};
    CHECK_OK(build(&dynamic, &s, true, NULL), dynamic.err);
    CHECK(!params(&dynamic, dynamic.norm)->out_u8 && params(&dynamic, dynamic.down)->int8_rows, "flags");
    CHECK_OK(build(&floats, &s, false, NULL), floats.err);
    run(&dynamic, false);
    run(&floats, false);
    CHECK(error(&dynamic, &floats) < 2e-2, "int8 rows differ by %.2g", error(&dynamic, &floats));
    finish(&dynamic);
    finish(&floats);
    check_leaks();
}

/* A matrix becomes resident with the last of its parts, and is then the same whatever came first. */
WF_TEST(order_of_arrival) {
    bench forwards, backwards;
    store s = {.is_static = true, .gains = true};
    CHECK_OK(build(&forwards, &s, false, NULL), forwards.err);
    CHECK_OK(build(&backwards, &s, false, NULL), backwards.err);
    run(&forwards, false);
    run(&backwards, true);
    CHECK(memcmp(forwards.out, backwards.out, sizeof forwards.out) == 0, "the order of arrival changes bits");
    finish(&forwards);
    finish(&backwards);
    check_leaks();
}

WF_TEST(refusals) {
    static const struct {
        store s;
        wf_status code;
        const char *says;
    } cases[] = {
        {{.no_steps = true}, WF_E_MISSING, "tensor \"up.weight.scale\" is not in model"},
        {{.i8_bias = true}, WF_E_UNSUPPORTED, "tensor \"up.bias\" has type I8, which holds no weights"},
        {{.gains = true}, WF_E_FORMAT, "\"up.in_gain\" is there, but \"up.in_scale\" is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench b;
        store s = cases[i].s;
        CHECK_FAILS(build(&b, &s, true, NULL), cases[i].code, b.err);
        CHECK(strstr(b.err.text, cases[i].says) != NULL, "\"%s\"", b.err.text);
        finish(&b);
    }
    check_leaks();
}

int main(void) {
    RUN(bytes_between_products);
    RUN(dynamic_rows);
    RUN(order_of_arrival);
    RUN(refusals);
    return wf_test_done();
}
