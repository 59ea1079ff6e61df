/* conv2d: torch's vectors from a picture and from a map, a 1 × 1 convolution as a linear layer, and
   its refusals. */
#include "golden.h"

static const struct {
    const char *name;
    uint32_t stride, pad;
} vectors[] = {{"conv7_s4_p2_odd", 4, 2},
               {"conv3_s2_p1_odd", 2, 1},
               {"conv3_s1_p1", 1, 1},
               {"conv4_s4_remainder", 4, 0}};

static void check_vector(int v, wf_layout layout) {
    golden x = golden_of(vectors[v].name, "in/x"), w = golden_of(vectors[v].name, "in/w");
    golden want = golden_of(vectors[v].name, "out/y_f64");
    uint32_t stride = vectors[v].stride, pad = vectors[v].pad, co = w.dims[0], ci = w.dims[1];
    kc_spec s = {.op = WF_OP_CONV2D,
                 .p = {.kernel_h = w.dims[2],
                       .kernel_w = w.dims[3],
                       .stride_h = stride,
                       .stride_w = stride,
                       .pad_h = pad,
                       .pad_w = pad},
                 .in = {{x.dims[0], x.dims[2], x.dims[3], ci, layout}},
                 .w = {{co, ci * w.dims[2] * w.dims[3], WF_PACK_DENSE}, {1, co, WF_PACK_VECTOR}}};
    golden_channels_last(&w);
    golden_channels_last(&want);
    if (layout == WF_LAYOUT_ROWS) {
        golden_channels_last(&x);
    }
    kernel_case c;
    if (kc_init(&c, &s)) {
        CHECK(c.out.n == want.dims[0] && c.out.c == want.dims[1] && c.out.h == want.dims[2] &&
                  c.out.w == want.dims[3],
              "output is %u x %u x %u x %u", (unsigned)c.out.n, (unsigned)c.out.h, (unsigned)c.out.w,
              (unsigned)c.out.c);
        golden_set_input(&c, 0, x);
        golden_set_weight(&c, 0, w);
        golden_set_weight(&c, 1, golden_of(vectors[v].name, "in/b"));
        golden_check(&c, want, 1e-13, 1e-6);
        kc_free(&c);
    }
}

WF_TEST(a_convolution_of_1x1_is_a_linear_layer) {
    kc_spec s = {.op = WF_OP_CONV2D,
                 .p = {.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1},
                 .in = {{2, 5, 7, 48, WF_LAYOUT_ROWS}},
                 .w = {{33, 48, WF_PACK_DENSE}}};
    kernel_case conv, linear;
    if (!kc_init(&conv, &s)) {
        return;
    }
    s.op = WF_OP_LINEAR;
    if (kc_init(&linear, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            wf_op_call own = linear.call[form];
            linear.call[form].in[0] = conv.call[form].in[0];
            linear.call[form].w[0] = conv.call[form].w[0];
            kc_run(&conv, (kc_form)form);
            kc_run(&linear, (kc_form)form);
            CHECK(memcmp(conv.call[form].out.data, linear.call[form].out.data,
                         kc_out_bytes(&conv, (kc_form)form)) == 0,
                  "form %d differs", form);
            linear.call[form].in[0] = own.in[0];
            linear.call[form].w[0] = own.w[0];
        }
        kc_free(&linear);
    }
    kc_free(&conv);
}

WF_TEST(conv2d_refuses) {
    kc_spec s = {.op = WF_OP_CONV2D,
                 .p = {.kernel_h = 7, .kernel_w = 7, .stride_h = 4, .stride_w = 4, .pad_h = 2, .pad_w = 2},
                 .in = {{1, 2, 9, 3, WF_LAYOUT_NCHW}},
                 .w = {{64, 147, WF_PACK_DENSE}}};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "conv2d \"a.b\": a map of 2x9 is smaller than the 7x7 kernel; use a larger input");
    s.in[0].h = 3;
    CHECK(kc_inferred(&s).h == 1, "3 + 2 · 2 is just enough");
    s.in[0].c = 1;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "conv2d \"a.b\": input has 1 channels, so a 7x7 kernel has 49 weights an output, but "
                      "the weight has 147");
    s.w[0].n = 0;
    kc_expect_refusal(&s, WF_E_MISSING, "conv2d \"a.b\": its weight is missing");
    s.w[0].n = 64;
    s.p.stride_w = 0;
    kc_expect_refusal(&s, WF_E_ARGUMENT,
                      "conv2d \"a.b\": kernel 7x7, stride 4x0, padding 2x2; kernel and stride must be at "
                      "least 1 and the padding smaller than the kernel");
    s.p.stride_w = 4;
    s.p.pad_h = 4294967295u;
    kc_expect_refusal(&s, WF_E_ARGUMENT,
                      "conv2d \"a.b\": kernel 7x7, stride 4x4, padding 4294967295x2; kernel and stride "
                      "must be at least 1 and the padding smaller than the kernel");
}

int main(void) {
    for (int v = 0; v < 4; v++) {
        for (int layout = 0; layout < 2; layout++) {
            wf_test_begin();
            check_vector(v, (wf_layout)layout);
            wf_test_end("%s from a %s", vectors[v].name, layout == WF_LAYOUT_NCHW ? "picture" : "map");
        }
    }
    RUN(a_convolution_of_1x1_is_a_linear_layer);
    RUN(conv2d_refuses);
    return wf_test_done();
}
