/* concat: each number by hand, and its refusals. */
#include "kernel_case.h"

WF_TEST(side_by_side) {
    kc_spec s = {.op = WF_OP_CONCAT, .in = {{2, 1, 2, 33, WF_LAYOUT_ROWS}, {2, 2, 1, 3, WF_LAYOUT_ROWS}}};
    kernel_case c;
    float a[4 * 33], b[4 * 3];
    for (int i = 0; i < 4 * 33; i++) {
        a[i] = (float)i;
    }
    for (int i = 0; i < 4 * 3; i++) {
        b[i] = (float)(1000 + i);
    }
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 2 && c.out.h == 1 && c.out.w == 2 && c.out.c == 36, "%u %u %u %u", c.out.n, c.out.h, c.out.w, c.out.c);
    kc_set_input(&c, 0, a);
    kc_set_input(&c, 1, b);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 4 * 36; i++) {
            size_t row = i / 36, k = i % 36;
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, row * 64 + k), (double)(k < 33 ? row * 33 + k : 1000 + row * 3 + k - 33), 0);
        }
    }
    kc_free(&c);
}

WF_TEST(concat_refuses) {
    kc_spec s = {.op = WF_OP_CONCAT, .in = {{1, 2, 2, 8, WF_LAYOUT_ROWS}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "concat \"a.b\": its input is missing");
    s.in[1] = (wf_shape){1, 3, 1, 8, WF_LAYOUT_ROWS};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "concat \"a.b\": the second input is 1 x 3 x 1 x 8 (n, h, w, channels) but 1 x 2 x 2 x 8 is expected");
}

int main(void) {
    RUN(side_by_side);
    RUN(concat_refuses);
    return wf_test_done();
}
