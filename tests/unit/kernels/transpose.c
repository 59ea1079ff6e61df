/* transpose: element by element, and twice is the identity. */
#include "kernel_case.h"

WF_TEST(rows_become_channels) {
    kc_spec s = {.op = WF_OP_TRANSPOSE, .in = {{2, 5, 7, 33, WF_LAYOUT_ROWS}}};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 2 && c.out.h == 33 && c.out.w == 1 && c.out.c == 35, "%u x %u x %u x %u",
          (unsigned)c.out.n, (unsigned)c.out.h, (unsigned)c.out.w, (unsigned)c.out.c);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t n = 0; n < 2; n++) {
            for (size_t row = 0; row < 35; row++) {
                for (size_t channel = 0; channel < 33; channel++) {
                    double x = kc_get(c.call[form].in[0].data, (kc_form)form, (n * 35 + row) * 64 + channel);
                    double y = kc_get(c.call[form].out.data, (kc_form)form, (n * 33 + channel) * 64 + row);
                    CHECK(x == y, "segment %u row %u channel %u", (unsigned)n, (unsigned)row,
                          (unsigned)channel);
                }
            }
        }
    }
    kc_free(&c);
}

WF_TEST(twice_is_the_identity) {
    kc_spec s = {.op = WF_OP_TRANSPOSE, .in = {{1, 14, 14, 45, WF_LAYOUT_ROWS}}};
    kernel_case there, back;
    if (!kc_init(&there, &s)) {
        return;
    }
    kc_run(&there, KC_SIMD);
    s.in[0] = there.out;
    if (kc_init(&back, &s)) {
        memcpy(back.call[KC_SIMD].in[0].data, there.call[KC_SIMD].out.data, kc_out_bytes(&there, KC_SIMD));
        kc_run(&back, KC_SIMD);
        CHECK(kc_out_bytes(&back, KC_SIMD) == 196 * 64 * sizeof(float), "size");
        CHECK(memcmp(back.call[KC_SIMD].out.data, there.call[KC_SIMD].in[0].data, 196 * 64 * sizeof(float)) ==
                  0,
              "differs");
        kc_free(&back);
    }
    kc_free(&there);
}

WF_TEST(transpose_refuses) {
    /* One row of 2^24 + 1 channels is small; as many rows of one channel, padded to 32, are not. */
    kc_spec s = {.op = WF_OP_TRANSPOSE, .in = {{1, 1, 1, 16777217, WF_LAYOUT_ROWS}}};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "transpose \"a.b\": a tensor of 1 x 16777217 x 1 x 1 (n, h, w, channels) is above 2^29 "
                      "elements; use a smaller input or a smaller batch");
}

int main(void) {
    RUN(rows_become_channels);
    RUN(twice_is_the_identity);
    RUN(transpose_refuses);
    return wf_test_done();
}
