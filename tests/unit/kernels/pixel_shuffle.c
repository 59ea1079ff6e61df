/* pixel_shuffle: each number by hand, patches taken apart and put together again, and its refusals. */
#include "kernel_case.h"

WF_TEST(cells_in_order) {
    kc_spec s = {.op = WF_OP_PIXEL_SHUFFLE, .p = {.kernel_h = 3}, .in = {{2, 2, 1, 9 * 2, WF_LAYOUT_ROWS}}};
    kernel_case c;
    float in[2 * 2 * 18];
    for (int i = 0; i < 72; i++) {
        in[i] = (float)i; /* row n·2 + y, channel (i·3 + j)·2 + k */
    }
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 2 && c.out.h == 6 && c.out.w == 3 && c.out.c == 2, "%u %u %u %u", c.out.n, c.out.h, c.out.w, c.out.c);
    kc_set_input(&c, 0, in);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t row = 0; row < 2 * 6 * 3; row++) {
            size_t x = row % 3, y = row / 3 % 6, n = row / 18;
            for (size_t k = 0; k < 2; k++) {
                double want = (double)((n * 2 + y / 3) * 18 + (y % 3 * 3 + x % 3) * 2 + k);
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, row * WF_LANES + k), want, 0);
            }
        }
    }
    kc_free(&c);
}

WF_TEST(pixel_shuffle_refuses) {
    kc_spec s = {.op = WF_OP_PIXEL_SHUFFLE, .p = {.kernel_h = 2}, .in = {{1, 2, 2, 6, WF_LAYOUT_ROWS}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "pixel_shuffle \"a.b\": 6 channels are no whole number of 2 x 2 cells");
    s.p.kernel_h = 0;
    kc_expect_refusal(&s, WF_E_SHAPE, "pixel_shuffle \"a.b\": 6 channels are no whole number of 0 x 0 cells");
    s.p.kernel_h = 1024;
    s.in[0] = (wf_shape){1, 1 << 23, 1, 1 << 20, WF_LAYOUT_ROWS};
    kc_expect_refusal(&s, WF_E_SHAPE, "pixel_shuffle \"a.b\": a tensor of 1 x 8388608 x 1 x 1048576 (n, h, w, channels) is above 2^29 "
                                      "elements; use a smaller input or a smaller batch");
}

int main(void) {
    RUN(cells_in_order);
    RUN(pixel_shuffle_refuses);
    return wf_test_done();
}
