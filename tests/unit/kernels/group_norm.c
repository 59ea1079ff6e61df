/* group_norm: torch's vector, a map whose mean dwarfs its deviation, a constant map, and its
   refusals. */
#include "golden.h"

static kc_spec norm(wf_shape in) {
    kc_spec s = {.op = WF_OP_GROUP_NORM,
                 .p = {.eps = 1e-5f},
                 .in = {in},
                 .w = {{1, in.c, WF_PACK_VECTOR}, {1, in.c, WF_PACK_VECTOR}}};
    return s;
}

WF_TEST(group_norm_equals_torch) {
    golden x = golden_read("groupnorm1_nchw/in/x"), want = golden_read("groupnorm1_nchw/out/y_f64");
    kc_spec s = norm((wf_shape){x.dims[0], x.dims[2], x.dims[3], x.dims[1], WF_LAYOUT_ROWS});
    golden_channels_last(&x);
    golden_channels_last(&want);
    kernel_case c;
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, x);
        golden_set_weight(&c, 0, golden_read("groupnorm1_nchw/in/w"));
        golden_set_weight(&c, 1, golden_read("groupnorm1_nchw/in/b"));
        golden_check(&c, want, 1e-13, 5e-7);
        kc_free(&c);
    }
}

/* Mean 1000, deviation 0.6: a mean kept as one float would already be off by 5e-5 deviations.
   Several blocks, and c with and without padding. */
WF_TEST(a_large_mean_costs_no_digits) {
    static const uint32_t channels[] = {33, 64};
    for (int i = 0; i < 2; i++) {
        kc_spec s = norm((wf_shape){2, 30, 31, channels[i], WF_LAYOUT_ROWS});
        s.offset = 1000;
        kernel_case c;
        if (kc_init(&c, &s)) {
            for (int form = 0; form < KC_FORMS; form++) {
                kc_run(&c, (kc_form)form);
            }
            CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 5e-7, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
            CHECK(kc_error(&c, KC_SIMD, KC_F64) < 5e-7, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
            kc_check_segment(&c, 1);
            kc_free(&c);
        }
    }
}

/* Variance 0: only the bias remains. */
WF_TEST(a_constant_map_gives_the_bias) {
    kc_spec s = norm((wf_shape){1, 2, 2, 3, WF_LAYOUT_ROWS});
    const float x[12] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}, bias[3] = {0.25f, -1, 3};
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, x);
        kc_set_weight(&c, 1, bias);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 12; i++) {
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 3 * WF_LANES + i % 3),
                           bias[i % 3], 0);
            }
        }
        kc_free(&c);
    }
}

WF_TEST(group_norm_refuses) {
    kc_spec s = norm((wf_shape){1, 2, 2, 3, WF_LAYOUT_ROWS});
    s.w[0].k = 4;
    kc_expect_refusal(&s, WF_E_SHAPE, "group_norm \"a.b\": weight is 1 x 4 but a vector of 3 is expected");
    s.w[0].n = 0;
    s.w[1].k = 2;
    kc_expect_refusal(&s, WF_E_SHAPE, "group_norm \"a.b\": bias is 1 x 2 but a vector of 3 is expected");
}

int main(void) {
    RUN(group_norm_equals_torch);
    RUN(a_large_mean_costs_no_digits);
    RUN(a_constant_map_gives_the_bias);
    RUN(group_norm_refuses);
    return wf_test_done();
}
