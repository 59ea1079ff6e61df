/* rope_angles: against libm over long sequences, the same bits in the float forms, and its refusals. */
#include "kernel_case.h"

static kc_spec angles(uint32_t tokens, uint32_t turned, float theta) {
    return (kc_spec){.op = WF_OP_ROPE_ANGLES, .p = {.count = turned, .theta = theta}, .in = {{1, tokens, 1, 1, WF_LAYOUT_NCHW}}};
}

/* One rounding to float of what libm gives: half an ulp of 1 is 3e-8, and nothing is added even at positions where float angles would
   be off by a hundredth. */
static void check_angles(uint32_t tokens, uint32_t turned, float theta) {
    kc_spec s = angles(tokens, turned, theta);
    kernel_case c;
    double worst = 0;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (uint32_t p = 0; p < tokens; p++) {
            for (uint32_t j = 0; j < turned / 2; j++) {
                double angle = p * pow((double)theta, -2.0 * j / turned);
                size_t at = (size_t)p * wf_shape_stride(&c.out) + j;
                double cosine = fabs(kc_get(c.call[form].out.data, (kc_form)form, at) - cos(angle));
                double sine = fabs(kc_get(c.call[form].out.data, (kc_form)form, at + turned / 2) - sin(angle));
                worst = fmax(worst, fmax(cosine, sine));
            }
        }
    }
    CHECK(worst <= 3.1e-8, "%u positions of %u elements on %g: off by %.2e", (unsigned)tokens, (unsigned)turned, (double)theta, worst);
    CHECK(memcmp(c.call[KC_SIMD].out.data, c.call[KC_SCALAR].out.data, kc_out_bytes(&c, KC_SIMD)) == 0, "fast and scalar differ");
    kc_free(&c);
}

WF_TEST(angles_equal_libm) {
    check_angles(1, 2, 10000);
    check_angles(7, 16, 10000);
    check_angles(33, 30, 500000);
    check_angles(40000, 8, 10000);
    check_angles(3000, 128, 1e6f);
    check_angles(2500, 6, 1.5f);
    check_angles(70000, 2, 1e12f);
}

WF_TEST(a_shorter_sequence_is_the_beginning_of_a_longer) {
    kc_spec s = angles(50, 20, 10000);
    kernel_case c, d;
    if (kc_init(&c, &s) && (s.in[0].h = 13, kc_init(&d, &s))) {
        kc_run(&c, KC_SIMD);
        kc_run(&d, KC_SIMD);
        CHECK(memcmp(c.call[KC_SIMD].out.data, d.call[KC_SIMD].out.data, kc_out_bytes(&d, KC_SIMD)) == 0, "rows differ");
        kc_free(&c);
        kc_free(&d);
    }
}

WF_TEST(angles_refuse) {
    kc_spec s = angles(5, 7, 10000);
    kc_expect_refusal(&s, WF_E_ARGUMENT, "rope_angles \"a.b\": 7 elements turned on the base 10000; an even number of them and a base above 1, "
                      "up to 1e12, are wanted");
    s = angles(5, 8, NAN);
    kc_expect_refusal(&s, WF_E_ARGUMENT, "rope_angles \"a.b\": 8 elements turned on the base nan; an even number of them and a base above 1, "
                      "up to 1e12, are wanted");
    s = angles((1 << 20) + 1, 8, 10000);
    kc_expect_refusal(&s, WF_E_SHAPE, "rope_angles \"a.b\": 1048577 positions, more than 2^20");
}

int main(void) {
    RUN(angles_equal_libm);
    RUN(a_shorter_sequence_is_the_beginning_of_a_longer);
    RUN(angles_refuse);
    return wf_test_done();
}
