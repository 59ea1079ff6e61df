/* residual: by hand with and without a scale, in place, and its refusals. */
#include "kernel_case.h"

static kc_spec sum(wf_shape in, bool scaled) {
    kc_spec s = {.op = WF_OP_RESIDUAL, .in = {in, in}, .w = {{scaled ? 1 : 0, in.c, WF_PACK_VECTOR}}};
    return s;
}

WF_TEST(residual_by_hand) {
    for (int scaled = 0; scaled < 2; scaled++) {
        kc_spec s = sum((wf_shape){1, 2, 1, 3, WF_LAYOUT_ROWS}, scaled);
        const float x[6] = {1, 2, 3, 4, 5, 6}, branch[6] = {10, 20, 30, 40, 50, 60}, scale[3] = {0.5f, -1, 2};
        kernel_case c;
        if (!kc_init(&c, &s)) {
            continue;
        }
        kc_set_input(&c, 0, x);
        kc_set_input(&c, 1, branch);
        if (scaled) {
            kc_set_weight(&c, 0, scale);
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 6; i++) {
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 3 * WF_LANES + i % 3),
                           x[i] + (scaled ? scale[i % 3] : 1) * branch[i], 0);
            }
        }
        kc_free(&c);
    }
}

/* The contract lets `out` be either input: one tile after another over the same memory gives the
   same sums. */
WF_TEST(residual_in_place) {
    kc_spec s = sum((wf_shape){2, 9, 9, 48, WF_LAYOUT_ROWS}, true);
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    kc_run(&c, KC_SIMD);
    for (int in = 0; in < 2; in++) {
        wf_op_call call = c.call[KC_SIMD];
        size_t bytes = kc_out_bytes(&c, KC_SIMD);
        call.in[in].data = call.out.data = kc_alloc(bytes);
        memcpy(call.out.data, c.call[KC_SIMD].in[in].data, bytes);
        const wf_op_impl *impl = kc_impl(&c, KC_SIMD);
        for (uint32_t tile = 0; tile < impl->tiles(&call, 0); tile++) {
            impl->run(&call, 0, tile, NULL);
        }
        CHECK(memcmp(call.out.data, c.call[KC_SIMD].out.data, bytes) == 0, "in place of input %d", in);
        free(call.out.data);
    }
    kc_free(&c);
}

WF_TEST(residual_refuses) {
    kc_spec s = sum((wf_shape){1, 2, 2, 3, WF_LAYOUT_ROWS}, false);
    s.in[1].c = 4;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "residual \"a.b\": second input is 1 x 2 x 2 x 4 (n, h, w, channels) but 1 x 2 x 2 x 3 "
                      "is expected");
    s.in[1] = (wf_shape){1, 4, 1, 3, WF_LAYOUT_ROWS}; /* the same rows as a sequence */
    wf_shape out = kc_inferred(&s);
    CHECK(out.h == 2 && out.w == 2, "the map of the first input is kept");
    s = sum((wf_shape){1, 2, 2, 3, WF_LAYOUT_ROWS}, true);
    s.w[0].k = 2;
    kc_expect_refusal(&s, WF_E_SHAPE, "residual \"a.b\": scale is 1 x 2 but a vector of 3 is expected");
}

int main(void) {
    RUN(residual_by_hand);
    RUN(residual_in_place);
    RUN(residual_refuses);
    return wf_test_done();
}
