/* pool2d: torch's vectors, PoolFormer's pool(x) − x as their difference, a map of one cell, and its
   refusals. */
#include "golden.h"

static kc_spec pool(wf_shape in, uint32_t kernel, bool minus_input) {
    kc_spec s = {.op = WF_OP_POOL2D,
                 .in = {in},
                 .p = {.kernel_h = kernel,
                       .kernel_w = kernel,
                       .pad_h = kernel / 2,
                       .pad_w = kernel / 2,
                       .minus_input = minus_input}};
    return s;
}

static void check_vector(const char *name, uint32_t kernel, bool minus_input) {
    golden x = golden_of(name, "in/x"), want = golden_of(name, "out/y_f64");
    kc_spec s =
        pool((wf_shape){x.dims[0], x.dims[2], x.dims[3], x.dims[1], WF_LAYOUT_ROWS}, kernel, minus_input);
    golden_channels_last(&x);
    golden_channels_last(&want);
    for (size_t i = 0; minus_input && i < want.count; i++) {
        want.values[i] -= x.values[i];
    }
    kernel_case c;
    if (kc_init(&c, &s)) {
        golden_set_input(&c, 0, x);
        golden_check(&c, want, 1e-13, 3e-7);
        kc_free(&c);
    }
}

WF_TEST(pool3_equals_torch) { check_vector("avgpool3_s1_nopadcount", 3, false); }
WF_TEST(pool5_equals_torch) { check_vector("avgpool5_s1_nopadcount", 5, false); }
WF_TEST(pool3_minus_input) { check_vector("avgpool3_s1_nopadcount", 3, true); }
WF_TEST(pool5_minus_input) { check_vector("avgpool5_s1_nopadcount", 5, true); }

/* Every window of a single cell is that cell. */
WF_TEST(a_map_of_one_cell_pools_to_itself) {
    for (uint32_t kernel = 1; kernel <= 7; kernel += 2) {
        for (int minus_input = 0; minus_input < 2; minus_input++) {
            kc_spec s = pool((wf_shape){2, 1, 1, 5, WF_LAYOUT_ROWS}, kernel, minus_input);
            kernel_case c;
            if (!kc_init(&c, &s)) {
                continue;
            }
            for (int form = 0; form < KC_FORMS; form++) {
                kc_run(&c, (kc_form)form);
                for (size_t i = 0; i < 2 * WF_LANES; i++) {
                    double x = kc_get(c.call[form].in[0].data, (kc_form)form, i);
                    CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i), minus_input ? 0 : x, 0);
                }
            }
            kc_free(&c);
        }
    }
}

/* Windows wider and higher than the map: every cell is the mean of the whole. */
WF_TEST(a_window_above_the_map_is_the_mean) {
    kc_spec s = pool((wf_shape){1, 2, 3, 1, WF_LAYOUT_ROWS}, 9, false);
    const float x[6] = {1, 2, 3, 4, 5, 9};
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, x);
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 6; i++) {
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i * WF_LANES), 4, 1e-6);
            }
        }
        kc_free(&c);
    }
}

WF_TEST(pool2d_refuses) {
    kc_spec s = pool((wf_shape){1, 4, 4, 3, WF_LAYOUT_ROWS}, 4, false);
    kc_expect_refusal(&s, WF_E_ARGUMENT,
                      "pool2d \"a.b\": kernel 4x4; only odd kernels keep the size of the map");
    s = pool((wf_shape){1, 4, 4, 3, WF_LAYOUT_ROWS}, 3, false);
    s.p.pad_w = 0;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "pool2d \"a.b\": a 3x3 kernel needs padding 1x1, not 1x0");
}

int main(void) {
    RUN(pool3_equals_torch);
    RUN(pool5_equals_torch);
    RUN(pool3_minus_input);
    RUN(pool5_minus_input);
    RUN(a_map_of_one_cell_pools_to_itself);
    RUN(a_window_above_the_map_is_the_mean);
    RUN(pool2d_refuses);
    return wf_test_done();
}
