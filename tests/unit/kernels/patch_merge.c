/* patch_merge: each number of a small map by hand, odd sides, and its refusal. */
#include "kernel_case.h"

WF_TEST(four_neighbours_in_order) {
    kc_spec s = {.op = WF_OP_PATCH_MERGE, .in = {{2, 3, 5, 2, WF_LAYOUT_ROWS}}};
    kernel_case c;
    float in[2 * 3 * 5 * 2];
    for (int i = 0; i < 60; i++) {
        in[i] = (float)(i + 1); /* cell (n, y, x), channel k: ((n·3 + y)·5 + x)·2 + k + 1 */
    }
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 2 && c.out.h == 2 && c.out.w == 3 && c.out.c == 8, "%u %u %u %u", c.out.n, c.out.h, c.out.w, c.out.c);
    kc_set_input(&c, 0, in);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (uint32_t i = 0; i < 2 * 2 * 3 * 8; i++) {
            uint32_t k = i % 2, part = i / 2 % 4, x = i / 8 % 3, y = i / 24 % 2, n = i / 48;
            uint32_t from_y = 2 * y + (part == 1 || part == 3), from_x = 2 * x + (part >= 2);
            double want = from_y < 3 && from_x < 5 ? ((n * 3 + from_y) * 5 + from_x) * 2 + k + 1 : 0;
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 8 * WF_LANES + i % 8), want, 0);
        }
    }
    kc_free(&c);
}

WF_TEST(patch_merge_refuses) {
    kc_spec s = {.op = WF_OP_PATCH_MERGE, .in = {{1, 4, 4, 8, WF_LAYOUT_NCHW}}};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "patch_merge \"a.b\": input is a picture (NCHW), which only conv2d reads; put the stem before it");
    s.in[0] = (wf_shape){1, 1 << 14, 1 << 14, 1 << 16, WF_LAYOUT_ROWS};
    wf_op_call shapes = {.p = &s.p};
    shapes.in[0].shape = s.in[0];
    wf_error err = {0};
    wf_shape out;
    CHECK(wf_op_get(s.op)->infer(&shapes, "a.b", &out, &err) == WF_E_SHAPE, "%s", err.text);
}

int main(void) {
    RUN(four_neighbours_in_order);
    RUN(patch_merge_refuses);
    return wf_test_done();
}
