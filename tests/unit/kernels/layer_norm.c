/* layer_norm: torch's vectors (rows whose variance is as small as eps among them), a large mean,
   and its refusals. */
#include "golden.h"

static kc_spec norm(wf_shape in, float eps) {
    kc_spec s = {.op = WF_OP_LAYER_NORM,
                 .p = {.eps = eps},
                 .in = {in},
                 .w = {{1, in.c, WF_PACK_VECTOR}, {1, in.c, WF_PACK_VECTOR}}};
    return s;
}

static void check_vector(const char *name, float eps, bool picture, double double_tolerance) {
    golden x = golden_of(name, "in/x"), want = golden_of(name, "out/y_f64");
    wf_shape in = {1, x.dims[2], 1, x.dims[3], WF_LAYOUT_ROWS};
    if (picture) {
        in = (wf_shape){x.dims[0], x.dims[2], x.dims[3], x.dims[1], WF_LAYOUT_ROWS};
        golden_channels_last(&x);
        golden_channels_last(&want);
    }
    kc_spec s = norm(in, eps);
    kernel_case c;
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, x);
        golden_set_weight(&c, 0, golden_of(name, "in/w"));
        golden_set_weight(&c, 1, golden_of(name, "in/b"));
        golden_check(&c, want, double_tolerance, 5e-7);
        kc_free(&c);
    }
}

/* LayerNormChannel of MetaFormer: per pixel over the channels. */
WF_TEST(layer_norm_over_channels_equals_torch) {
    check_vector("layernorm_channels_nchw", 1e-5f, true, 1e-13);
}
/* Deviations 1, 1e-2, 1e-3 and 3e-6 with mean 0.5: in the last rows eps decides. Where it does not (1e-12), x − mean
   has lost 0.5 / 3e-6 of the double's digits before anything is computed. */
WF_TEST(layer_norm_eps_1e5_equals_torch) { check_vector("layernorm_smallvar_eps1e-05", 1e-5f, false, 1e-13); }
WF_TEST(layer_norm_eps_1e6_equals_torch) { check_vector("layernorm_smallvar_eps1e-06", 1e-6f, false, 1e-13); }
WF_TEST(layer_norm_eps_1e12_equals_torch) {
    check_vector("layernorm_smallvar_eps1e-12", 1e-12f, false, 1e-10);
}

WF_TEST(a_large_mean_costs_no_digits) {
    kc_spec s = norm((wf_shape){3, 11, 1, 77, WF_LAYOUT_ROWS}, 1e-5f);
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

WF_TEST(layer_norm_refuses) {
    kc_spec s = norm((wf_shape){1, 4, 1, 3, WF_LAYOUT_ROWS}, 1e-5f);
    s.w[1].k = 5;
    kc_expect_refusal(&s, WF_E_SHAPE, "layer_norm \"a.b\": bias is 1 x 5 but a vector of 3 is expected");
}

int main(void) {
    RUN(layer_norm_over_channels_equals_torch);
    RUN(layer_norm_eps_1e5_equals_torch);
    RUN(layer_norm_eps_1e6_equals_torch);
    RUN(layer_norm_eps_1e12_equals_torch);
    RUN(a_large_mean_costs_no_digits);
    RUN(layer_norm_refuses);
    return wf_test_done();
}
