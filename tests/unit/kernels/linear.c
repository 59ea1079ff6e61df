/* linear: its epilogue and its int8 grid by hand, a long sum against double, rows that do not
   depend on their neighbours, and its refusals. Shapes and types: check_kernels.c. */
#include "kernel_case.h"

static wf_shape rows_shape(uint32_t n, uint32_t h, uint32_t c) {
    return (wf_shape){n, h, 1, c, WF_LAYOUT_ROWS};
}

static kc_spec layer(wf_shape in, uint32_t out) {
    kc_spec s = {.op = WF_OP_LINEAR, .in = {in}, .w = {{out, in.c, WF_PACK_DENSE}}};
    return s;
}

/* 2 · 3 − 5 = 1; act(1) · 10 + 7. */
static void check_epilogue(wf_act act, double want) {
    kc_spec s = layer(rows_shape(1, 1, 1), 1);
    s.p.act = act;
    s.w[1] = s.w[2] = (kc_weight){1, 1, WF_PACK_VECTOR};
    s.in[1] = rows_shape(1, 1, 1);
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    const float x = 2, w = 3, bias = -5, scale = 10, residual = 7;
    kc_set_input(&c, 0, &x);
    kc_set_input(&c, 1, &residual);
    kc_set_weight(&c, 0, &w);
    kc_set_weight(&c, 1, &bias);
    kc_set_weight(&c, 2, &scale);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, 0), want, 1e-6);
    }
    kc_free(&c);
}

WF_TEST(epilogue_is_bias_activation_scale_residual) {
    check_epilogue(WF_ACT_NONE, 17);
    check_epilogue(WF_ACT_GELU_ERF, 10 * 0.5 * (1 + erf(sqrt(0.5))) + 7);
}

/* A row of largest 127 has step 1: 1.4 becomes 1, −2.6 becomes −3, and halves go to even. Weights
   of 127 are exact in Q8_0. */
WF_TEST(int8_rows_are_rounded_to_their_grid) {
    kc_spec s = layer(rows_shape(1, 1, 5), 1);
    s.type = WF_Q8_0;
    s.p.int8_rows = 1;
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    const float x[5] = {127, 1.4f, -2.6f, 0.5f, 1.5f}, w[5] = {127, 127, 127, 127, 127};
    kc_set_input(&c, 0, x);
    kc_set_weight(&c, 0, w);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, 0), 127.0 * (127 + 1 - 3 + 0 + 2), 0);
    }
    const float zeros[5] = {0};
    kc_set_input(&c, 0, zeros);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, 0), 0, 0);
    }
    kc_free(&c);
}

/* A float sum of 4608 terms, the longest of PoolFormer-M48's, errs by a few u·√k = 4e-6 at the very
   most. */
WF_TEST(long_sums) {
    kc_spec s = layer(rows_shape(3, 7, 4608), 20);
    kernel_case c;
    if (kc_init(&c, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
        }
        CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 3e-6, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
        CHECK(kc_error(&c, KC_SIMD, KC_F64) < 3e-6, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
        kc_check_segment(&c, 1);
        kc_free(&c);
    }
}

/* 1 to 13 rows: every number of rows meets another tail of the tiles, and row 0 must not notice. */
WF_TEST(rows_do_not_depend_on_their_neighbours) {
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_Q8_0, WF_Q8_0};
    for (int i = 0; i < 4; i++) {
        for (uint32_t rows = 2; rows <= 13; rows++) {
            kc_spec s = layer(rows_shape(rows, 1, 100), 50);
            s.type = types[i];
            s.p.int8_rows = i == 3;
            kernel_case c;
            if (kc_init(&c, &s)) {
                kc_run(&c, KC_SIMD);
                kc_check_segment(&c, rows / 2);
                kc_free(&c);
            }
        }
    }
}

/* A row alone reads its weights in several streams; with few and many panels, and the last stream a short one. */
WF_TEST(a_row_alone_is_the_row_among_others) {
    static const uint32_t outs[] = {5, 8, 40, 72, 333};
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_Q8_0, WF_Q8_0, WF_Q4_0};
    for (int i = 0; i < 25; i++) {
        kc_spec s = layer(rows_shape(2, 1, i % 2 ? 650 : 96), outs[i / 5]);
        s.type = types[i % 5];
        s.p.int8_rows = i % 5 == 3;
        kernel_case c;
        if (kc_init(&c, &s)) {
            kc_run(&c, KC_SIMD);
            kc_check_segment(&c, 0);
            kc_check_segment(&c, 1);
            kc_free(&c);
        }
    }
}

WF_TEST(a_residual_restores_the_map) {
    kc_spec s = layer(rows_shape(2, 35, 8), 4);
    s.in[1] = (wf_shape){2, 5, 7, 4, WF_LAYOUT_ROWS};
    wf_shape out = kc_inferred(&s);
    CHECK(out.n == 2 && out.h == 5 && out.w == 7 && out.c == 4, "%u x %u x %u x %u", (unsigned)out.n,
          (unsigned)out.h, (unsigned)out.w, (unsigned)out.c);
}

WF_TEST(linear_refuses) {
    kc_spec s = layer(rows_shape(1, 9, 64), 16);
    s.w[0].k = 32;
    kc_expect_refusal(&s, WF_E_SHAPE, "linear \"a.b\": input has 64 channels but the weight expects 32");
    s.w[0] = (kc_weight){0};
    kc_expect_refusal(&s, WF_E_MISSING, "linear \"a.b\": its weight is missing");
    s = layer(rows_shape(1, 9, 64), 16);
    s.w[1] = (kc_weight){1, 15, WF_PACK_VECTOR};
    kc_expect_refusal(&s, WF_E_SHAPE, "linear \"a.b\": bias is 1 x 15 but a vector of 16 is expected");
    s.w[1] = (kc_weight){0};
    s.w[2] = (kc_weight){16, 1, WF_PACK_VECTOR};
    kc_expect_refusal(&s, WF_E_SHAPE, "linear \"a.b\": scale is 16 x 1 but a vector of 16 is expected");
    s.w[2] = (kc_weight){0};
    s.in[1] = rows_shape(1, 8, 16);
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "linear \"a.b\": residual is 1 x 8 x 1 x 16 (n, h, w, channels) but 1 x 9 x 1 x 16 is "
                      "expected");
    s.in[1] = (wf_shape){0};
    s.p.act = 7;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "linear \"a.b\": activation 7 does not exist");
}

int main(void) {
    RUN(epilogue_is_bias_activation_scale_residual);
    RUN(int8_rows_are_rounded_to_their_grid);
    RUN(long_sums);
    RUN(rows_do_not_depend_on_their_neighbours);
    RUN(a_row_alone_is_the_row_among_others);
    RUN(a_residual_restores_the_map);
    RUN(linear_refuses);
    return wf_test_done();
}
