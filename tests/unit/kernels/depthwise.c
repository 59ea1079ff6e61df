/* depthwise: torch's vectors, windows above the map, odd widths, GELU on the way out, segments alone, some of the channels, stripes and
   residuals, and its refusals. */
#include "golden.h"

static kc_spec depthwise(wf_shape in, uint32_t kernel_h, uint32_t kernel_w, bool bias, uint32_t act) {
    kc_spec s = {.op = WF_OP_DEPTHWISE,
                 .in = {in},
                 .p = {.kernel_h = kernel_h, .kernel_w = kernel_w, .act = act},
                 .w = {{kernel_h * kernel_w, in.c, WF_PACK_TABLE}, {bias ? 1 : 0, in.c, WF_PACK_VECTOR}}};
    return s;
}

/* [c, 1, kh, kw] of torch → [kh · kw, c]. */
static void check_vector(const char *name) {
    golden x = golden_of(name, "in/x"), w = golden_of(name, "in/w"), b = golden_of(name, "in/b"), want = golden_of(name, "out/y_f64");
    uint32_t k = w.dims[2], c = w.dims[0];
    golden_channels_last(&x);
    golden_channels_last(&want);
    kc_spec s = depthwise((wf_shape){x.dims[0], x.dims[2], x.dims[3], c, WF_LAYOUT_ROWS}, k, k, true, WF_ACT_NONE);
    kernel_case kc;
    if (kc_init(&kc, &s)) {
        float *table = kc_alloc(w.count * sizeof *table);
        for (uint32_t i = 0; i < w.count; i++) {
            table[(i % (k * k)) * c + i / (k * k)] = (float)w.values[i];
        }
        kc_set_weight(&kc, 0, table);
        free(table);
        free(w.values);
        golden_set_weight(&kc, 1, b);
        golden_set_input(&kc, 0, x);
        golden_check(&kc, want, 1e-13, 4e-7);
        kc_free(&kc);
    }
}

WF_TEST(dwconv_equals_torch) {
    check_vector("dwconv3_p1");
    check_vector("dwconv5_p2");
}

/* One channel by hand: 1 2 3 / 4 5 6 under a window that counts its cells 1 … 9. */
WF_TEST(a_window_by_hand) {
    kc_spec s = depthwise((wf_shape){1, 2, 3, 1, WF_LAYOUT_ROWS}, 3, 3, true, WF_ACT_NONE);
    const float in[6] = {1, 2, 3, 4, 5, 6}, window[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, bias = 0.5f;
    const double want[6] = {5 * 1 + 6 * 2 + 8 * 4 + 9 * 5 + 0.5,         4 * 1 + 5 * 2 + 6 * 3 + 7 * 4 + 8 * 5 + 9 * 6 + 0.5,
                            4 * 2 + 5 * 3 + 7 * 5 + 8 * 6 + 0.5,         2 * 1 + 3 * 2 + 5 * 4 + 6 * 5 + 0.5,
                            1 * 1 + 2 * 2 + 3 * 3 + 4 * 4 + 5 * 5 + 6 * 6 + 0.5, 1 * 2 + 2 * 3 + 4 * 5 + 5 * 6 + 0.5};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    kc_set_input(&c, 0, in);
    kc_set_weight(&c, 0, window);
    kc_set_weight(&c, 1, &bias);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 6; i++) {
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i * WF_LANES), want[i], 0);
        }
    }
    kc_free(&c);
}

/* Maps of a row, a column and a cell, windows wider than they, widths that no vector divides; with and without bias and GELU. */
WF_TEST(awkward_maps) {
    static const uint32_t cases[][6] = {{2, 5, 7, 33, 3, 3}, {1, 1, 9, 4, 3, 3},  {2, 9, 1, 40, 3, 3}, {1, 1, 1, 5, 3, 3}, {2, 2, 2, 96, 3, 3},
                                        {1, 4, 6, 7, 5, 3},  {1, 3, 2, 12, 7, 9}, {2, 6, 5, 1, 1, 1},  {1, 3, 64, 512, 3, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i];
        kc_spec s = depthwise((wf_shape){v[0], v[1], v[2], v[3], WF_LAYOUT_ROWS}, v[4], v[5], i % 2 == 0,
                              i % 3 == 0 ? WF_ACT_NONE : WF_ACT_GELU_ERF);
        kernel_case c;
        if (!kc_init(&c, &s)) {
            continue;
        }
        kc_check_case(&c, i, 5e-7, 5e-7);
        kc_free(&c);
    }
}

/* Channels from `first` on, onto a residual, in stripes: each number against its definition. */
WF_TEST(channels_and_stripes_onto_a_residual) {
    static const uint32_t cases[][8] = {{2, 8, 8, 12, 24, 3, 2, 1}, {1, 6, 12, 10, 20, 5, 3, 0}, {2, 7, 7, 64, 128, 3, 7, 0}, {1, 4, 4, 42, 84, 3, 1, 1},
                                        {1, 5, 9, 21, 42, 3, 0, 1}, {2, 6, 6, 2, 0, 3, 2, 0},    {1, 12, 8, 6, 5, 3, 4, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i], n = v[0], h = v[1], w = v[2], c = v[3], first = v[4], k = v[5], stripe = v[6];
        kc_spec s = depthwise((wf_shape){n, h, w, first + c, WF_LAYOUT_ROWS}, k, k, true, v[7] ? WF_ACT_GELU_ERF : WF_ACT_NONE);
        s.in[1] = (wf_shape){n, h, w, c, WF_LAYOUT_ROWS};
        s.w[0].k = s.w[1].k = c;
        s.p.first = first, s.p.stripe = stripe;
        kernel_case kc;
        if (!kc_init(&kc, &s)) {
            continue;
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&kc, (kc_form)form);
        }
        const wf_op_call *d = &kc.call[KC_F64];
        const double *x = d->in[0].data, *base = d->in[1].data, *weights = d->w[0].data, *bias = d->w[1].data;
        double worst = 0;
        for (uint32_t at = 0; at < n * h * w * c; at++) {
            uint32_t channel = at % c, cell = at / c % (h * w), segment = at / c / (h * w);
            bool columns = stripe != 0 && channel < c / 2, rows = stripe != 0 && !columns;
            double sum = bias[channel];
            for (int dy = -(int)(k / 2); dy <= (int)(k / 2); dy++) {
                for (int dx = -(int)(k / 2); dx <= (int)(k / 2); dx++) {
                    int y = (int)(cell / w) + dy, z = (int)(cell % w) + dx;
                    bool inside = y >= 0 && z >= 0 && y < (int)h && z < (int)w;
                    if (!inside || (columns && (uint32_t)z / stripe != cell % w / stripe) || (rows && (uint32_t)y / stripe != cell / w / stripe)) {
                        continue;
                    }
                    size_t tap = (size_t)(dy + (int)(k / 2)) * k + (size_t)(dx + (int)(k / 2));
                    size_t from = ((size_t)segment * h * w + (size_t)y * w + (size_t)z) * wf_shape_stride(&s.in[0]) + first + channel;
                    sum += weights[tap * wf_round_up(c, WF_LANES) + channel] * x[from];
                }
            }
            sum = v[7] ? 0.5 * sum * (1 + erf(sum / sqrt(2))) : sum;
            size_t row = (size_t)(at / c) * wf_round_up(c, WF_LANES) + channel;
            double off = fabs(sum + base[row] - kc_get(d->out.data, KC_F64, row));
            worst = off > worst ? off : worst;
        }
        CHECK(worst < 1e-13, "case %zu is off by %.2e", i, worst);
        CHECK(kc_error(&kc, KC_SCALAR, KC_F64) < 5e-7, "case %zu, scalar: %.2e", i, kc_error(&kc, KC_SCALAR, KC_F64));
        CHECK(kc_error(&kc, KC_SIMD, KC_F64) < 5e-7, "case %zu, simd: %.2e", i, kc_error(&kc, KC_SIMD, KC_F64));
        kc_check_segment(&kc, n - 1);
        kc_free(&kc);
    }
}

WF_TEST(depthwise_refuses) {
    const wf_shape in = {1, 4, 4, 3, WF_LAYOUT_ROWS};
    kc_spec s = depthwise(in, 4, 3, true, WF_ACT_NONE);
    kc_expect_refusal(&s, WF_E_ARGUMENT, "depthwise \"a.b\": kernel 4x3; only odd ones up to 255 keep the size of the map");
    s = depthwise(in, 3, 257, true, WF_ACT_NONE);
    kc_expect_refusal(&s, WF_E_ARGUMENT, "depthwise \"a.b\": kernel 3x257; only odd ones up to 255 keep the size of the map");
    s = depthwise(in, 3, 3, true, WF_ACT_NONE);
    s.w[0].n = 8;
    kc_expect_refusal(&s, WF_E_SHAPE, "depthwise \"a.b\": weights are 8 x 3, but a 3x3 window of 3 channels needs 9 x 3");
    s = depthwise(in, 3, 3, true, WF_ACT_NONE);
    s.w[1].k = 4;
    kc_expect_refusal(&s, WF_E_SHAPE, "depthwise \"a.b\": bias is 1 x 4 but a vector of 3 is expected");
    s = depthwise(in, 3, 3, true, WF_ACT_GELU_ERF + 1);
    kc_expect_refusal(&s, WF_E_ARGUMENT, "depthwise \"a.b\": activation 2 does not exist");
    s = depthwise(in, 3, 3, true, WF_ACT_NONE);
    s.p.first = 3;
    kc_expect_refusal(&s, WF_E_SHAPE, "depthwise \"a.b\": channels from 3 on of an input with 3");
    s.p.first = 1;
    kc_expect_refusal(&s, WF_E_SHAPE, "depthwise \"a.b\": weights are 9 x 3, but a 3x3 window of 2 channels needs 9 x 2");
    s = depthwise(in, 3, 3, true, WF_ACT_NONE);
    s.p.stripe = 2;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "depthwise \"a.b\": stripes of 2 on a map of 4 x 4 with 3 channels; stripes divide the map, and channels come in two halves");
    s = depthwise(in, 3, 3, true, WF_ACT_NONE);
    s.in[1] = (wf_shape){1, 4, 4, 2, WF_LAYOUT_ROWS};
    kc_expect_refusal(&s, WF_E_SHAPE, "depthwise \"a.b\": residual is 1 x 4 x 4 x 2 (n, h, w, channels) but 1 x 4 x 4 x 3 is expected");
    s = depthwise((wf_shape){1, 4, 4, 3, WF_LAYOUT_NCHW}, 3, 3, true, WF_ACT_NONE);
    kc_expect_refusal(&s, WF_E_SHAPE, "depthwise \"a.b\": input is a picture (NCHW), which only conv2d reads; put the stem before it");
}

int main(void) {
    RUN(dwconv_equals_torch);
    RUN(a_window_by_hand);
    RUN(awkward_maps);
    RUN(channels_and_stripes_onto_a_residual);
    RUN(depthwise_refuses);
    return wf_test_done();
}
