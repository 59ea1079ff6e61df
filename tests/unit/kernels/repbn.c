/* repbn: torch's vectors of a batch norm and of RepBN, by hand, Unified Normalization by its definition, and its refusals. */
#include "golden.h"

static kc_spec repbn(wf_shape in) {
    kc_weight v = {1, in.c, WF_PACK_VECTOR};
    kc_spec s = {.op = WF_OP_REPBN, .p = {.eps = 0.25f}, .in = {in}, .w = {v, v, v, v, {1, 1, WF_PACK_VECTOR}}};
    return s;
}

/* Variances that make the roots whole numbers: 3.75 + 0.25 = 2², 0 + 0.25 = 0.5². */
WF_TEST(repbn_by_hand) {
    kc_spec s = repbn((wf_shape){1, 2, 1, 3, WF_LAYOUT_ROWS});
    const float x[6] = {1, 2, 3, 4, 5, 6}, gamma[3] = {2, -1, 0.5f}, beta[3] = {10, 0, -3}, mean[3] = {1, 4, -2},
                variance[3] = {3.75f, 0, 0}, alpha = 0.5f;
    const double a[3] = {1 + 0.5, -2 + 0.5, 1 + 0.5}, b[3] = {10 - 1, 0 + 8, -3 + 2};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    kc_set_input(&c, 0, x);
    kc_set_weight(&c, 0, gamma);
    kc_set_weight(&c, 1, beta);
    kc_set_weight(&c, 2, mean);
    kc_set_weight(&c, 3, variance);
    kc_set_weight(&c, 4, &alpha);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 6; i++) {
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 3 * WF_LANES + i % 3), a[i % 3] * x[i] + b[i % 3], 0);
        }
    }
    kc_free(&c);
}

static void set_and_check(const char *name, const kc_spec *s, golden x, golden want, const char *const weights[5]) {
    kernel_case c;
    if (!kc_init(&c, s)) {
        return;
    }
    golden_set_input(&c, 0, x);
    for (int i = 0; i < 5; i++) {
        if (weights[i] != NULL) {
            golden_set_weight(&c, i, golden_of(name, weights[i]));
        }
    }
    golden_check(&c, want, 1e-13, 5e-7);
    kc_free(&c);
}

/* Over dim 1 of [B, C, L]: a map of L × 1 cells. */
WF_TEST(batch_norm_equals_torch) {
    const char *name = "batchnorm_eval";
    golden x = golden_of(name, "in/x"), want = golden_of(name, "out/y_f64");
    const uint32_t dims[4] = {x.dims[1], x.dims[2], x.dims[3], 1};
    memcpy(x.dims, dims, sizeof dims);
    memcpy(want.dims, dims, sizeof dims);
    golden_channels_last(&x);
    golden_channels_last(&want);
    kc_spec s = repbn((wf_shape){dims[0], dims[2], 1, dims[1], WF_LAYOUT_ROWS});
    s.p.eps = 1e-5f;
    s.w[4] = (kc_weight){0};
    set_and_check(name, &s, x, want, (const char *const[]){"in/w", "in/b", "in/m", "in/v", NULL});
}

WF_TEST(repbn_equals_torch) {
    const char *name = "repbn";
    golden x = golden_of(name, "in/x");
    kc_spec s = repbn((wf_shape){x.dims[1], x.dims[2], 1, x.dims[3], WF_LAYOUT_ROWS});
    s.p.eps = 1e-5f;
    set_and_check(name, &s, x, golden_of(name, "out/y_f64"), (const char *const[]){"in/w", "in/b", "in/m", "in/v", "in/a"});
}

/* y = w · x / √(v + ε) + b, v a second moment (the sheet's oracle: with v = w = 1 and b = 0 it is x / √(1 + ε)). */
WF_TEST(unified_norm_by_its_definition) {
    static const uint32_t widths[] = {1, 31, 33, 180};
    static float x[6 * 180], w[180], v[180], b[180];
    for (int i = 0; i < 8; i++) {
        uint32_t n = widths[i / 2];
        bool unit = i % 2 == 1;
        kc_spec s = repbn((wf_shape){2, 3, 1, n, WF_LAYOUT_ROWS});
        kernel_case c;
        s.p.eps = 1e-5f;
        s.w[2] = s.w[4] = (kc_weight){0};
        if (!kc_init(&c, &s)) {
            return;
        }
        wf_test_fill(x, 6 * n, -2, 2);
        wf_test_fill(w, n, unit ? 1 : -1, 1);
        wf_test_fill(v, n, unit ? 1 : 0.25f, unit ? 1 : 4);
        wf_test_fill(b, n, unit ? 0 : -1, unit ? 0 : 1);
        kc_set_input(&c, 0, x);
        kc_set_weight(&c, 0, w);
        kc_set_weight(&c, 1, b);
        kc_set_weight(&c, 3, v);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t k = 0; k < 6 * n; k++) {
                double want = w[k % n] * (double)x[k] / sqrt(v[k % n] + 1e-5) + b[k % n];
                double got = kc_get(c.call[form].out.data, (kc_form)form, k / n * wf_round_up(n, WF_LANES) + k % n);
                CHECK_NEAR(got, want, form == KC_F64 ? 1e-14 : 2e-6);
            }
        }
        kc_free(&c);
    }
}

/* A batch norm has no α; torch's with affine=False has no scale and shift either. */
WF_TEST(batch_norm_by_hand) {
    kc_spec s = repbn((wf_shape){1, 1, 1, 3, WF_LAYOUT_ROWS});
    const float x[3] = {1, 2, 3}, mean[3] = {1, 4, -2}, variance[3] = {3.75f, 0, 0}, gamma[3] = {2, -1, 0.5f}, beta[3] = {10, 0, -3};
    const double plain[3] = {0, -4, 10}, scaled[3] = {10, 4, 2};
    for (int affine = 0; affine < 2; affine++) {
        kernel_case c;
        s.w[0].n = s.w[1].n = affine ? 1 : 0;
        s.w[4].n = 0;
        if (!kc_init(&c, &s)) {
            return;
        }
        kc_set_input(&c, 0, x);
        kc_set_weight(&c, 2, mean);
        kc_set_weight(&c, 3, variance);
        if (affine) {
            kc_set_weight(&c, 0, gamma);
            kc_set_weight(&c, 1, beta);
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 3; i++) {
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i), affine ? scaled[i] : plain[i], 0);
            }
        }
        kc_free(&c);
    }
}

WF_TEST(repbn_refuses) {
    kc_spec s = repbn((wf_shape){1, 2, 2, 3, WF_LAYOUT_ROWS});
    s.w[3].k = 2;
    kc_expect_refusal(&s, WF_E_SHAPE, "repbn \"a.b\": variance is 1 x 2 but a vector of 3 is expected");
    s.w[3].n = 0;
    kc_expect_refusal(&s, WF_E_SHAPE, "repbn \"a.b\": its variance is missing");
}

int main(void) {
    RUN(repbn_by_hand);
    RUN(batch_norm_equals_torch);
    RUN(repbn_equals_torch);
    RUN(unified_norm_by_its_definition);
    RUN(batch_norm_by_hand);
    RUN(repbn_refuses);
    return wf_test_done();
}
