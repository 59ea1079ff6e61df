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

WF_TEST(rms_norm_equals_torch) {
    golden x = golden_of("rmsnorm_eps1e-5", "in/x");
    uint32_t rows = x.dims[0] * x.dims[1] * x.dims[2];
    kc_spec s = norm((wf_shape){1, rows, 1, x.dims[3], WF_LAYOUT_ROWS}, 1e-5f);
    s.p.norm_by = WF_BY_RMS;
    s.w[1] = (kc_weight){0};
    kernel_case c;
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, x);
        golden_set_weight(&c, 0, golden_of("rmsnorm_eps1e-5", "in/w"));
        golden_check(&c, golden_of("rmsnorm_eps1e-5", "out/y_f64"), 1e-13, 5e-7);
        kc_free(&c);
    }
}

/* SSNorm (OSP): one weight g is a vector full of it. LayerNorm scaling: dividing by √ℓ behind scale and shift is dividing both. Each
   with and without a bias, at widths that fill no vector. */
WF_TEST(one_weight_and_the_root_of_the_depth) {
    static const uint32_t widths[] = {1, 3, 33, 77};
    static float weight[77], bias[77], scaled[2][77];
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t n = widths[i / 4], depth = 7;
        float root = sqrtf((float)depth);
        bool rms = i % 2 == 1, with_bias = i % 4 / 2 == 1;
        kc_spec s = norm((wf_shape){2, 5, 1, n, WF_LAYOUT_ROWS}, 1e-5f), plain = s;
        s.p.norm_by = plain.p.norm_by = rms ? WF_BY_RMS : WF_BY_DEVIATION;
        s.p.depth = depth;
        s.w[0].k = rms ? 1 : n;
        s.offset = plain.offset = 2;
        if (!with_bias) {
            s.w[1] = plain.w[1] = (kc_weight){0};
        }
        wf_test_fill(weight, n, -1, 1);
        wf_test_fill(bias, n, -1, 1);
        for (uint32_t k = 0; k < n; k++) {
            scaled[0][k] = weight[rms ? 0 : k] / root;
            scaled[1][k] = bias[k] / root;
        }
        kernel_case a, b;
        if (!kc_init(&a, &s) || !kc_init(&b, &plain)) {
            return;
        }
        float x[2 * 5 * 77];
        wf_test_fill(x, 10 * n, 1, 3);
        kc_set_input(&a, 0, x);
        kc_set_input(&b, 0, x);
        kc_set_weight(&a, 0, weight);
        kc_set_weight(&b, 0, scaled[0]);
        if (with_bias) {
            kc_set_weight(&a, 1, bias);
            kc_set_weight(&b, 1, scaled[1]);
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&a, (kc_form)form);
            kc_run(&b, (kc_form)form);
            for (size_t k = 0; k < 10 * n; k++) {
                size_t at = k / n * wf_round_up(n, WF_LANES) + k % n;
                CHECK_NEAR(kc_get(a.call[form].out.data, (kc_form)form, at), kc_get(b.call[form].out.data, (kc_form)form, at), 1e-6);
            }
        }
        kc_free(&a);
        kc_free(&b);
    }
}

/* By hand: Σx² of 3, 4 is 25; as a compressed row the third element is −7. */
WF_TEST(root_mean_squares_by_hand) {
    static const struct {
        uint32_t norm;
        float square;
    } kinds[] = {{WF_BY_RMS, 25 / 2.0f}, {WF_BY_CRMS, (25 + 49) / 3.0f}};
    for (int kind = 0; kind < 2; kind++) {
        kc_spec s = norm((wf_shape){1, 1, 1, 2, WF_LAYOUT_ROWS}, 0.5f);
        s.p.norm_by = kinds[kind].norm;
        kernel_case c;
        if (!kc_init(&c, &s)) {
            return;
        }
        kc_set_input(&c, 0, (const float[]){3, 4});
        kc_set_weight(&c, 0, (const float[]){2, 1});
        kc_set_weight(&c, 1, (const float[]){0.25f, 0});
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            double root = sqrt(kinds[kind].square + 0.5);
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, 0), 6 / root + 0.25, 1e-6);
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, 1), 4 / root, 1e-6);
        }
        kc_free(&c);
    }
}

/* A row and its mean dropped: the CRMS of the first c − 1 elements of a row that adds up to zero is the RMS of all. */
WF_TEST(a_compressed_row_is_as_good_as_a_whole_one) {
    enum { C = 48 };
    float row[C], last = 0;
    wf_test_fill(row, C - 1, -1, 1);
    for (int i = 0; i < C - 1; i++) {
        last -= row[i];
    }
    row[C - 1] = last;
    kc_spec whole = {.op = WF_OP_LAYER_NORM, .p = {.eps = 1e-5f, .norm_by = WF_BY_RMS}, .in = {{1, 1, 1, C, WF_LAYOUT_ROWS}}};
    kc_spec compressed = whole;
    compressed.p.norm_by = WF_BY_CRMS;
    compressed.in[0].c = C - 1;
    kernel_case a, b;
    if (kc_init(&a, &whole) && kc_init(&b, &compressed)) {
        kc_set_input(&a, 0, row);
        kc_set_input(&b, 0, row);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&a, (kc_form)form);
            kc_run(&b, (kc_form)form);
            for (int i = 0; i < C - 1; i++) {
                double got = kc_get(b.call[form].out.data, (kc_form)form, (size_t)i);
                CHECK_NEAR(got, kc_get(a.call[form].out.data, (kc_form)form, (size_t)i), 1e-6);
            }
        }
        kc_free(&a);
        kc_free(&b);
    }
}

/* A carried mean: the last element of a row enters nothing and comes out as 0; the rest is a compressed row. */
WF_TEST(a_carried_mean_passes_by) {
    static const uint32_t widths[] = {2, 4, 5, 33, 64, 180};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        enum { ROWS = 6, MOST = 180 };
        uint32_t n = widths[i];
        float x[ROWS * MOST], shorter[ROWS * MOST];
        wf_test_fill(x, ROWS * n, -1, 1);
        for (uint32_t r = 0; r < ROWS; r++) {
            x[r * n + n - 1] *= 1000;
            memcpy(shorter + r * (n - 1), x + r * n, (n - 1) * sizeof *x);
        }
        kc_spec carried = {.op = WF_OP_LAYER_NORM, .p = {.eps = 1e-5f, .norm_by = WF_BY_CARRIED, .count = n}, .in = {{2, 3, 1, n, WF_LAYOUT_ROWS}}};
        kc_spec compressed = carried;
        compressed.p.norm_by = WF_BY_CRMS;
        compressed.in[0].c = n - 1;
        kernel_case a, b;
        if (!kc_init(&a, &carried) || !kc_init(&b, &compressed)) {
            return;
        }
        kc_set_input(&a, 0, x);
        kc_set_input(&b, 0, shorter);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&a, (kc_form)form);
            kc_run(&b, (kc_form)form);
            for (size_t r = 0; r < ROWS; r++) {
                for (uint32_t c = 0; c < n; c++) {
                    double got = kc_get(a.call[form].out.data, (kc_form)form, r * wf_round_up(n, WF_LANES) + c);
                    double want = c < n - 1 ? kc_get(b.call[form].out.data, (kc_form)form, r * wf_round_up(n - 1, WF_LANES) + c) : 0;
                    CHECK_NEAR(got, want, 0);
                }
            }
        }
        kc_free(&a);
        kc_free(&b);
    }
}

/* Rows whose variance one element makes, in the sample of the mean or not; rows of one value; tiny and large numbers. */
WF_TEST(layer_norm_of_extreme_rows) {
    enum { ROWS = 7, C = 771 };
    static float x[ROWS * C];
    wf_test_fill(x, ROWS * C, -1, 1);
    x[5] = 300;
    x[C + 700] = -300;
    for (int i = 0; i < C; i++) {
        x[2 * C + i] = 7.25f;
        x[3 * C + i] = i < 32 ? 100.0f + x[3 * C + i] : x[3 * C + i]; /* the sample is not like the rest */
        x[4 * C + i] *= 1e-15f;
        x[5 * C + i] *= 1e15f;
    }
    kc_spec s = norm((wf_shape){1, ROWS, 1, C, WF_LAYOUT_ROWS}, 1e-12f);
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, x);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
        }
        CHECK(kc_error(&c, KC_SIMD, KC_F64) < 1e-6, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
        kc_free(&c);
    }
}

WF_TEST(layer_norm_refuses) {
    kc_spec s = norm((wf_shape){1, 4, 1, 3, WF_LAYOUT_ROWS}, 1e-5f);
    s.w[1].k = 5;
    kc_expect_refusal(&s, WF_E_SHAPE, "layer_norm \"a.b\": bias is 1 x 5 but a vector of 3 is expected");
    s.w[1].k = 3;
    s.p.norm_by = 4;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "layer_norm \"a.b\": there is no kind of norm 4");
}

int main(void) {
    RUN(layer_norm_over_channels_equals_torch);
    RUN(layer_norm_eps_1e5_equals_torch);
    RUN(layer_norm_eps_1e6_equals_torch);
    RUN(layer_norm_eps_1e12_equals_torch);
    RUN(rms_norm_equals_torch);
    RUN(one_weight_and_the_root_of_the_depth);
    RUN(a_large_mean_costs_no_digits);
    RUN(root_mean_squares_by_hand);
    RUN(a_compressed_row_is_as_good_as_a_whole_one);
    RUN(layer_norm_of_extreme_rows);
    RUN(layer_norm_refuses);
    RUN(a_carried_mean_passes_by);
    return wf_test_done();
}
