/* average: exact at awkward widths, and shapes that differ. */
#include "kernel_case.h"

WF_TEST(half_the_sum) {
    kc_spec s = {.op = WF_OP_AVERAGE, .in = {{3, 5, 1, 45, WF_LAYOUT_ROWS}, {3, 5, 1, 45, WF_LAYOUT_ROWS}}};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        const wf_op_call *call = &c.call[form];
        for (size_t i = 0; i < 15 * 64; i++) {
            double a = kc_get(call->in[0].data, (kc_form)form, i), b = kc_get(call->in[1].data, (kc_form)form, i);
            CHECK_NEAR(kc_get(call->out.data, (kc_form)form, i), (a + b) / 2, form == KC_F64 ? 0 : 7e-8);
        }
    }
    kc_check_segment(&c, 2);
    kc_free(&c);
}

WF_TEST(average_refuses) {
    kc_spec s = {.op = WF_OP_AVERAGE, .in = {{1, 2, 1, 4, WF_LAYOUT_ROWS}, {1, 1, 1, 4, WF_LAYOUT_ROWS}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "average \"a.b\": second input is 1 x 1 x 1 x 4 (n, h, w, channels) but 1 x 2 x 1 x 4 is expected");
}

int main(void) {
    RUN(half_the_sum);
    RUN(average_refuses);
    return wf_test_done();
}
