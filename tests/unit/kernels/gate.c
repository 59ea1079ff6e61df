/* gate: torch's silu, large numbers, in place, and its refusals. */
#include "golden.h"

static kc_spec gate(wf_shape in) { return (kc_spec){.op = WF_OP_GATE, .p = {.act = WF_ACT_SILU}, .in = {in, in}}; }

WF_TEST(gate_by_ones_equals_torch) {
    kc_spec s = gate((wf_shape){1, 1, 1, 1441, WF_LAYOUT_ROWS});
    float ones[1441];
    kernel_case c;
    for (int i = 0; i < 1441; i++) {
        ones[i] = 1;
    }
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, golden_read("silu/in/x"));
        kc_set_input(&c, 1, ones);
        golden_check(&c, golden_read("silu/out/y_f64"), 1e-13, 2e-7);
        kc_free(&c);
    }
}

WF_TEST(gate_of_large_numbers) {
    kc_spec s = gate((wf_shape){1, 1, 1, 6, WF_LAYOUT_ROWS});
    const float x[6] = {-1e30f, -90, -20, 0, 50, 1e30f}, up[6] = {2, 2, 2, 2, 2, 2};
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, x);
        kc_set_input(&c, 1, up);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 6; i++) {
                double want = 2.0 * x[i] / (1 + exp(-(double)x[i]));
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i), want, 2e-7 * fabs((double)x[i]));
            }
        }
        kc_free(&c);
    }
}

WF_TEST(gate_refuses) {
    kc_spec s = gate((wf_shape){1, 2, 2, 3, WF_LAYOUT_ROWS});
    s.p.act = WF_ACT_NONE;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "gate \"a.b\": activation 0 is not SiLU, the only one here");
    s.in[1].c = 4;
    kc_expect_refusal(&s, WF_E_SHAPE, "gate \"a.b\": second input is 1 x 2 x 2 x 4 (n, h, w, channels) but 1 x 2 x 2 x 3 is expected");
    s.in[1].c = 0;
    kc_expect_refusal(&s, WF_E_SHAPE, "gate \"a.b\": its input is missing");
}

int main(void) {
    RUN(gate_by_ones_equals_torch);
    RUN(gate_of_large_numbers);
    RUN(gate_refuses);
    return wf_test_done();
}
