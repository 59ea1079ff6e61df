/* relu: by hand, with and without a slope, NaN, and its refusal. */
#include "kernel_case.h"

WF_TEST(relu_by_hand) {
    kc_spec s = {.op = WF_OP_RELU, .in = {{1, 1, 1, 5, WF_LAYOUT_ROWS}}};
    const float x[5] = {-2, -0.5f, 0, 0.25f, 1e30f};
    for (int leaky = 0; leaky < 2; leaky++) {
        const double want[5] = {leaky ? -0.25 : 0, leaky ? -0.0625 : 0, 0, 0.25, 1e30f};
        kernel_case c;
        s.p.scale = leaky ? 0.125f : 0;
        if (!kc_init(&c, &s)) {
            return;
        }
        kc_set_input(&c, 0, x);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 5; i++) {
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i), want[i], 0);
            }
        }
        kc_free(&c);
    }
}

WF_TEST(relu_refuses) {
    kc_spec s = {.op = WF_OP_RELU, .in = {{1, 4, 4, 3, WF_LAYOUT_NCHW}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "relu \"a.b\": input is a picture (NCHW), which only conv2d reads; put the stem before it");
}

int main(void) {
    RUN(relu_by_hand);
    RUN(relu_refuses);
    return wf_test_done();
}
