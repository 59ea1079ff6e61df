/* rope: torch's vectors of both orders of pairs, one order as the other permuted, elements that are not turned, in place, refusals. */
#include "golden.h"

static kc_spec rope(uint32_t n, uint32_t tokens, uint32_t heads, uint32_t dim, uint32_t turned, wf_rope_pairs pairs) {
    return (kc_spec){.op = WF_OP_ROPE,
                     .p = {.heads = heads, .head_dim = dim, .pairs = pairs},
                     .in = {{n, tokens, 1, heads * dim, WF_LAYOUT_ROWS}, {1, tokens, 1, turned, WF_LAYOUT_ROWS}}};
}

/* Fills in1 in double, as rope_angles does. */
static void set_angles(kernel_case *c, double theta) {
    uint32_t tokens = c->spec.in[1].h, turned = c->spec.in[1].c;
    for (int form = 0; form < KC_FORMS; form++) {
        for (uint32_t i = 0; i < tokens * turned / 2; i++) {
            uint32_t p = i / (turned / 2), j = i % (turned / 2);
            double angle = p * pow(theta, -2.0 * j / turned), values[2] = {cos(angle), sin(angle)};
            for (int part = 0; part < 2; part++) {
                size_t at = (size_t)p * wf_shape_stride(&c->spec.in[1]) + (size_t)part * (turned / 2) + j;
                if (form == KC_F64) {
                    ((double *)c->call[form].in[1].data)[at] = values[part];
                } else {
                    ((float *)c->call[form].in[1].data)[at] = (float)values[part];
                }
            }
        }
    }
}

/* [1, heads, tokens, dim] → [tokens][heads][dim]. */
static golden by_rows(golden g) {
    uint32_t heads = g.dims[1], tokens = g.dims[2], dim = g.dims[3];
    double *rows = kc_alloc(g.count * sizeof *rows);
    for (size_t i = 0; i < g.count; i++) {
        size_t head = i / dim / tokens, token = i / dim % tokens;
        rows[(token * heads + head) * dim + i % dim] = g.values[i];
    }
    free(g.values);
    g.values = rows;
    return g;
}

static void check_torch(const char *op, wf_rope_pairs pairs) {
    golden x = by_rows(golden_of(op, "in/x"));
    kc_spec s = rope(1, x.dims[2], x.dims[1], x.dims[3], x.dims[3], pairs);
    kernel_case c;
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, x);
        set_angles(&c, 10000);
        golden_check(&c, by_rows(golden_of(op, "out/y_f64")), 1e-13, 2e-7);
        kc_free(&c);
    }
}

WF_TEST(rope_equals_torch) {
    check_torch("rope_half", WF_ROPE_HALVES);
    check_torch("rope_interleaved", WF_ROPE_NEIGHBOURS);
}

/* Elements in pairs (llama.cpp) give what halves (transformers) give, in pairs; the rest of a head is copied. */
static void check_orders(uint32_t tokens, uint32_t dim, uint32_t turned) {
    enum { HEADS = 3 };
    kc_spec s = rope(2, tokens, HEADS, dim, turned, WF_ROPE_HALVES), t = rope(2, tokens, HEADS, dim, turned, WF_ROPE_NEIGHBOURS);
    kernel_case a, b;
    if (!kc_init(&a, &s) || !kc_init(&b, &t)) {
        return;
    }
    uint32_t stride = wf_shape_stride(&a.out), rows = 2 * tokens;
    set_angles(&a, 500);
    set_angles(&b, 500);
    for (int form = 0; form < KC_FORMS; form++) {
        for (int pass = 0; pass < 2; pass++) { /* the inputs, then the outputs */
            for (uint32_t i = 0; i < rows * HEADS * dim; i++) {
                uint32_t row = i / (HEADS * dim), head = i / dim % HEADS, e = i % dim;
                uint32_t half = e >= turned ? e : e % 2 * (turned / 2) + e / 2;
                size_t to = (size_t)row * stride + head * dim + e, from = (size_t)row * stride + head * dim + half;
                if (pass == 0) {
                    kc_put(b.call[form].in[0].data, (kc_form)form, to, (float)kc_get(a.call[form].in[0].data, (kc_form)form, from));
                } else {
                    CHECK_NEAR(kc_get(b.call[form].out.data, (kc_form)form, to), kc_get(a.call[form].out.data, (kc_form)form, from), 0);
                }
            }
            if (pass == 0) {
                kc_run(&a, (kc_form)form);
                kc_run(&b, (kc_form)form);
            }
        }
    }
    CHECK(kc_error(&a, KC_SIMD, KC_F64) < 2e-7, "%.2e", kc_error(&a, KC_SIMD, KC_F64));
    kc_check_segment(&a, 1);
    kc_check_segment(&b, 1);
    kc_free(&a);
    kc_free(&b);
}

WF_TEST(both_orders_agree) {
    static const uint32_t shapes[][3] = {{1, 2, 2}, {7, 8, 8}, {33, 16, 16}, {5, 30, 30}, {3, 11, 6}, {4, 64, 32}, {2, 10, 10}, {9, 14, 12}};
    for (int i = 0; i < 8; i++) {
        check_orders(shapes[i][0], shapes[i][1], shapes[i][2]);
    }
}

WF_TEST(rope_may_work_in_place) {
    for (uint32_t pairs = 0; pairs < 2; pairs++) {
        kc_spec s = rope(2, 5, 2, 11, 10, (wf_rope_pairs)pairs);
        kernel_case c;
        if (kc_init(&c, &s)) {
            wf_op_call *call = &c.call[KC_SIMD];
            void *x = call->in[0].data;
            kc_run(&c, KC_SIMD);
            char *want = call->out.data;
            call->out.data = x;
            for (uint32_t tile = 0; tile < wf_op_get(WF_OP_ROPE)->simd->tiles(call, 0); tile++) {
                wf_op_get(WF_OP_ROPE)->simd->run(call, 0, tile, NULL);
            }
            CHECK(memcmp(x, want, kc_out_bytes(&c, KC_SIMD)) == 0, "in place gives other bits");
            call->out.data = want;
            kc_free(&c);
        }
    }
}

WF_TEST(rope_refuses) {
    kc_spec s = rope(1, 4, 2, 8, 8, WF_ROPE_HALVES);
    s.in[0].c = 15;
    kc_expect_refusal(&s, WF_E_SHAPE, "rope \"a.b\": input has 15 channels but 2 heads of size 8 need 16");
    s = rope(1, 4, 2, 8, 10, WF_ROPE_HALVES);
    kc_expect_refusal(&s, WF_E_SHAPE, "rope \"a.b\": angles of 1 x 4 x 1 x 10 do not fit segments of 4 rows and heads of size 8");
    s = rope(1, 4, 2, 8, 8, WF_ROPE_HALVES);
    s.in[1].h = 5;
    kc_expect_refusal(&s, WF_E_SHAPE, "rope \"a.b\": angles of 1 x 5 x 1 x 8 do not fit segments of 4 rows and heads of size 8");
    s.in[1].c = 0;
    kc_expect_refusal(&s, WF_E_SHAPE, "rope \"a.b\": its input is missing");
}

int main(void) {
    RUN(rope_equals_torch);
    RUN(both_orders_agree);
    RUN(rope_may_work_in_place);
    RUN(rope_refuses);
    return wf_test_done();
}
