/* gelu: torch's vector, the accuracy of the scalar kernels' own exp and erf against libm, and its
   refusals. */
#include "golden.h"
#include "kernels/scalar/real.h"

WF_TEST(gelu_equals_torch) {
    kc_spec s = {.op = WF_OP_GELU, .in = {{1, 1, 1, 1441, WF_LAYOUT_ROWS}}};
    kernel_case c;
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, golden_read("gelu_erf/in/x"));
        golden_check(&c, golden_read("gelu_erf/out/y_f64"), 1e-13, 2e-7);
        kc_free(&c);
    }
}

/* Half an ulp is 6.0e-8; the rest is the double arithmetic's own error. */
WF_TEST(scalar_exp_and_erf_are_correctly_rounded_nearly) {
    for (int i = -2000000; i <= 2000000; i++) {
        float x = (float)i * 2.5e-6f, y = (float)i * 4.3e-5f;
        double erf_want = erf((double)x), exp_want = exp((double)y);
        CHECK(fabs(wf_real_erf(x) - erf_want) <= 6.1e-8 * fabs(erf_want), "erf(%.9g)", (double)x);
        CHECK(fabs(wf_real_exp(y) - exp_want) <= 6.1e-8 * exp_want, "exp(%.9g)", (double)y);
    }
    CHECK(wf_real_exp(-INFINITY) == 0 && wf_real_exp(-1e30f) == 0 && wf_real_exp(0) == 1, "exp at its ends");
    CHECK(wf_real_exp(1000) == INFINITY && wf_real_exp(INFINITY) == INFINITY, "exp above its range");
    CHECK(wf_real_erf(INFINITY) == 1 && wf_real_erf(-9) == -1 && wf_real_erf(0) == 0, "erf at its ends");
    CHECK(wf_real_exp(NAN) != wf_real_exp(NAN) && wf_real_erf(NAN) != wf_real_erf(NAN), "NaN stays NaN");
}

WF_TEST(gelu_of_large_numbers) {
    kc_spec s = {.op = WF_OP_GELU, .in = {{1, 1, 1, 6, WF_LAYOUT_ROWS}}};
    const float x[6] = {-1e30f, -50, -6, 0, 50, 1e30f};
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, x);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            const void *y = c.call[form].out.data;
            for (size_t i = 0; i < 6; i++) {
                /* Left of −5.65 the fast form clamps its argument: what remains is x times the tail
                   there. */
                CHECK_NEAR(kc_get(y, (kc_form)form, i), x[i] > 0 ? x[i] : 0, 2e-7 * fabs((double)x[i]));
            }
        }
        kc_free(&c);
    }
}

WF_TEST(gelu_refuses) {
    kc_spec s = {.op = WF_OP_GELU};
    kc_expect_refusal(&s, WF_E_SHAPE, "gelu \"a.b\": its input is missing");
    s.in[0] = (wf_shape){1, 2, 2, 3, WF_LAYOUT_NCHW};
    kc_expect_refusal(
        &s, WF_E_SHAPE,
        "gelu \"a.b\": input is a picture (NCHW), which only conv2d reads; put the stem before it");
    s.in[0] = (wf_shape){1, 0, 2, 3, WF_LAYOUT_ROWS};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "gelu \"a.b\": input of 1 x 0 x 2 x 3 (n, h, w, channels) has an empty axis");
    s.in[0] = (wf_shape){4294967295u, 4294967295u, 4294967295u, 4294967295u, WF_LAYOUT_ROWS};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "gelu \"a.b\": a tensor of 4294967295 x 4294967295 x 4294967295 x 4294967295 "
                      "(n, h, w, channels) is "
                      "above 2^29 elements; use a smaller input or a smaller batch");
}

int main(void) {
    RUN(gelu_equals_torch);
    RUN(scalar_exp_and_erf_are_correctly_rounded_nearly);
    RUN(gelu_of_large_numbers);
    RUN(gelu_refuses);
    return wf_test_done();
}
