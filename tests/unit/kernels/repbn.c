/* repbn: by hand, in place, and its refusals. */
#include "kernel_case.h"

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
    RUN(batch_norm_by_hand);
    RUN(repbn_refuses);
    return wf_test_done();
}
