/* segment_mean: by hand, and a large map whose mean dwarfs its deviation. */
#include "kernel_case.h"

WF_TEST(segment_mean_by_hand) {
    kc_spec s = {.op = WF_OP_SEGMENT_MEAN, .in = {{2, 2, 2, 2, WF_LAYOUT_ROWS}}};
    const float x[16] = {1, 10, 2, 20, 3, 30, 6, -60, 0, 1, 0, 1, 0, 1, 8, 1};
    const double want[4] = {3, 0, 2, 1};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 2 && c.out.h == 1 && c.out.w == 1 && c.out.c == 2, "shape");
    kc_set_input(&c, 0, x);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 4; i++) {
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 2 * WF_LANES + i % 2), want[i], 0);
        }
    }
    kc_free(&c);
}

/* One float sum over 12100 rows would be off by about 1e-6; blocks of 32 rows keep it within a few
   roundings. */
WF_TEST(large_maps_keep_their_digits) {
    kc_spec s = {.op = WF_OP_SEGMENT_MEAN, .in = {{2, 110, 110, 40, WF_LAYOUT_ROWS}}, .offset = 100};
    kernel_case c;
    if (kc_init(&c, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
        }
        CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 6e-8, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
        CHECK(kc_error(&c, KC_SIMD, KC_F64) < 1e-6, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
        kc_check_segment(&c, 1);
        kc_free(&c);
    }
}

/* The mean of some rows, and one row alone exactly. */
WF_TEST(rows_can_be_left_out) {
    kc_spec s = {.op = WF_OP_SEGMENT_MEAN, .p = {.first = 2, .count = 0}, .in = {{2, 7, 1, 35, WF_LAYOUT_ROWS}}};
    const uint32_t counts[] = {0, 1, 3};
    for (int i = 0; i < 3; i++) {
        s.p.count = counts[i];
        uint32_t rows = counts[i] != 0 ? counts[i] : 5;
        kernel_case c;
        if (!kc_init(&c, &s)) {
            return;
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t j = 0; j < 2 * 35; j++) {
                double sum = 0;
                for (size_t r = 0; r < rows; r++) {
                    sum += kc_get(c.call[form].in[0].data, (kc_form)form, (j / 35 * 7 + 2 + r) * 64 + j % 35);
                }
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, j / 35 * 64 + j % 35), sum / rows, rows == 1 ? 0 : 2e-7);
            }
        }
        kc_check_segment(&c, 1);
        kc_free(&c);
    }
    s.p.count = 6;
    kc_expect_refusal(&s, WF_E_SHAPE, "segment_mean \"a.b\": rows 2 to 8 of a segment of 7");
}

int main(void) {
    RUN(segment_mean_by_hand);
    RUN(large_maps_keep_their_digits);
    RUN(rows_can_be_left_out);
    return wf_test_done();
}
