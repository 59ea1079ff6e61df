/* prefix: token rows in front of every segment, bit for bit, and a width that does not fit. */
#include "kernel_case.h"

WF_TEST(rows_in_front_of_every_segment) {
    kc_spec s = {.op = WF_OP_PREFIX, .in = {{3, 2, 3, 33, WF_LAYOUT_ROWS}}, .w = {{5, 33, WF_PACK_TABLE}}};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 3 && c.out.h == 11 && c.out.w == 1 && c.out.c == 33, "shape");
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        const wf_op_call *call = &c.call[form];
        size_t stride = 64;
        for (size_t i = 0; i < 3 * 11 * stride; i++) {
            size_t segment = i / (11 * stride), row = i / stride % 11, lane = i % stride;
            double want = row < 5 ? kc_get(call->w[0].data, (kc_form)form, row * stride + lane)
                                  : kc_get(call->in[0].data, (kc_form)form, (segment * 6 + row - 5) * stride + lane);
            CHECK_NEAR(kc_get(call->out.data, (kc_form)form, i), want, 0);
        }
    }
    kc_check_segment(&c, 1);
    kc_free(&c);
}

WF_TEST(prefix_refuses) {
    kc_spec s = {.op = WF_OP_PREFIX, .in = {{1, 2, 3, 33, WF_LAYOUT_ROWS}}, .w = {{5, 32, WF_PACK_TABLE}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "prefix \"a.b\": 5 rows of 32 do not go in front of rows of 33 channels");
}

int main(void) {
    RUN(rows_in_front_of_every_segment);
    RUN(prefix_refuses);
    return wf_test_done();
}
