/* head_norm: each head against the formula in double, heads that are not named untouched, head sizes that are no multiple of four. */
#include "kernel_case.h"

static void check(uint32_t first, uint32_t heads, uint32_t dim, uint32_t channels) {
    kc_spec s = {.op = WF_OP_HEAD_NORM,
                 .p = {.first = first, .heads = heads, .head_dim = dim, .eps = 1e-6f},
                 .in = {{2, 7, 1, channels, WF_LAYOUT_ROWS}},
                 .w = {{1, dim, WF_PACK_VECTOR}, {1, dim, WF_PACK_VECTOR}},
                 .offset = 3};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
    }
    const wf_op_call *call = &c.call[KC_F64];
    size_t stride = wf_round_up(channels, WF_LANES);
    for (size_t row = 0; row < 14; row++) {
        const double *x = (const double *)call->in[0].data + row * stride, *y = (const double *)call->out.data + row * stride;
        const double *w = call->w[0].data, *b = call->w[1].data;
        for (uint32_t i = 0; i < channels; i++) {
            uint32_t head = i / dim;
            double mean = 0, variance = 0, want = x[i];
            if (head >= first && head < first + heads) {
                for (uint32_t j = 0; j < dim; j++) {
                    mean += x[head * dim + j] / dim;
                }
                for (uint32_t j = 0; j < dim; j++) {
                    variance += (x[head * dim + j] - mean) * (x[head * dim + j] - mean) / dim;
                }
                want = (x[i] - mean) / sqrt(variance + 1e-6) * w[i % dim] + b[i % dim];
            }
            CHECK_NEAR(y[i], want, 1e-12);
        }
    }
    CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 5e-7, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
    CHECK(kc_error(&c, KC_SIMD, KC_F64) < 1e-6, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
    kc_check_segment(&c, 1);
    kc_free(&c);
}

WF_TEST(heads_are_normalised_one_by_one) {
    check(0, 3, 16, 144);
    check(3, 3, 16, 144);
    check(1, 2, 13, 65);
    check(0, 1, 3, 3);
}

WF_TEST(head_norm_refuses) {
    kc_spec s = {.op = WF_OP_HEAD_NORM,
                 .p = {.first = 2, .heads = 2, .head_dim = 8, .eps = 1e-6f},
                 .in = {{1, 2, 1, 24, WF_LAYOUT_ROWS}},
                 .w = {{1, 8, WF_PACK_VECTOR}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "head_norm \"a.b\": heads 2 to 4 of size 8 do not lie in rows of 24 channels");
}

int main(void) {
    RUN(heads_are_normalised_one_by_one);
    RUN(head_norm_refuses);
    return wf_test_done();
}
