/* position: torch's interpolations of the table's grid, rows in front of the grid, and its refusals. */
#include "golden.h"

static kc_spec position(wf_op_params p, uint32_t n, uint32_t c) {
    kc_spec s = {.op = WF_OP_POSITION,
                 .p = p,
                 .in = {{n, p.first + p.map_h * p.map_w, 1, c, WF_LAYOUT_ROWS}},
                 .w = {{p.first + p.grid_h * p.grid_w, c, WF_PACK_TABLE}}};
    return s;
}

static void set_zero_input(kernel_case *c) {
    float *zero = calloc((size_t)wf_shape_elements(&c->spec.in[0]), sizeof *zero);
    kc_set_input(c, 0, zero);
    free(zero);
}

/* The pack's picture [b, c, h, w] as b tables of one picture each. */
static void check_vector(const char *name, wf_position_resample rule) {
    golden x = golden_of(name, "in/x"), want = golden_of(name, "out/y_f64");
    golden_channels_last(&x);
    golden_channels_last(&want);
    wf_op_params p = {.grid_h = x.dims[2], .grid_w = x.dims[3], .map_h = want.dims[2], .map_w = want.dims[3], .resample = rule};
    kc_spec s = position(p, 1, x.dims[1]);
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    size_t cells = (size_t)x.dims[2] * x.dims[3] * x.dims[1];
    float *table = malloc(cells * sizeof *table);
    for (size_t i = 0; i < cells; i++) {
        table[i] = (float)x.values[i];
    }
    kc_set_weight(&c, 0, table);
    free(table);
    free(x.values);
    set_zero_input(&c);
    want.count = (size_t)want.dims[1] * want.dims[2] * want.dims[3];
    golden_check(&c, want, 1e-13, 5e-7);
    kc_free(&c);
}

WF_TEST(bilinear_equals_torch) {
    check_vector("interp_bilinear_up", WF_POSITION_BILINEAR);
    check_vector("interp_bilinear_down", WF_POSITION_BILINEAR);
}

WF_TEST(bicubic_equals_torch) {
    check_vector("interp_bicubic_up", WF_POSITION_BICUBIC);
    check_vector("interp_bicubic_down", WF_POSITION_BICUBIC);
}

/* A 7 × 7 product of two vectors and what torch 2.11's interpolate(mode="bicubic", antialias=True) makes of it, in float64. */
static const float across[7] = {0.3f, -1.2f, 2.5f, 0.7f, -0.4f, 1.1f, 0.2f}, down[7] = {1, 0.5f, -0.25f, 2, 1, -1, 0.5f};
static const double three_by_three[9] = {0.067878105, 0.44448937,  0.207837295,  0.127140937,  0.83256294,
                                         0.389295315, -0.003676184, -0.024072925, -0.011256178};
static const double first_rows_of_ten_by_five[10] = {-0.346855179, 0.938348628, 0.937752159, 0.226108103, 0.559393372,
                                                     -0.26326744,  0.712218401, 0.711765674, 0.171618892, 0.424586599};

static void check_antialias(uint32_t h, uint32_t w, const double *want, uint32_t count) {
    wf_op_params p = {.grid_h = 7, .grid_w = 7, .map_h = h, .map_w = w, .resample = WF_POSITION_BICUBIC_ANTIALIAS};
    kc_spec s = position(p, 1, 1);
    kernel_case c;
    float table[49];
    for (int i = 0; i < 49; i++) {
        table[i] = down[i / 7] * across[i % 7];
    }
    if (!kc_init(&c, &s)) {
        return;
    }
    kc_set_weight(&c, 0, table);
    set_zero_input(&c);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (uint32_t i = 0; i < count; i++) { /* the float table and nine printed digits leave 2e-7 */
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, (size_t)i * WF_LANES), want[i], 3e-7);
        }
    }
    kc_free(&c);
}

WF_TEST(antialiased_bicubic_equals_torch) {
    check_antialias(3, 3, three_by_three, 9);
    check_antialias(10, 5, first_rows_of_ten_by_five, 10);
}

/* Rows in front of the grid get their own row, every segment the same, and the forms agree at awkward shapes. */
WF_TEST(the_front_rows_are_not_resampled) {
    wf_op_params p = {.first = 2, .grid_h = 5, .grid_w = 4, .map_h = 3, .map_w = 9, .resample = WF_POSITION_BICUBIC};
    kc_spec s = position(p, 3, 37);
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        const wf_op_call *call = &c.call[form];
        for (size_t i = 0; i < 2 * 64; i++) {
            double x = kc_get(call->in[0].data, (kc_form)form, i), t = kc_get(call->w[0].data, (kc_form)form, i);
            CHECK_NEAR(kc_get(call->out.data, (kc_form)form, i), x + t, 2e-7);
        }
    }
    CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 2e-7, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
    CHECK(kc_error(&c, KC_SIMD, KC_F64) < 5e-7, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
    kc_check_segment(&c, 2);
    kc_free(&c);
}

WF_TEST(position_refuses) {
    wf_op_params p = {.first = 1, .grid_h = 4, .grid_w = 4, .map_h = 3, .map_w = 3};
    kc_spec s = position(p, 1, 8);
    s.w[0].n = 16;
    kc_expect_refusal(&s, WF_E_SHAPE, "position \"a.b\": a table of 16 rows of 8 cannot be resampled from 1 + 4 x 4 to 1 + 3 x 3 rows "
                                      "of 8 channels");
    p = (wf_op_params){.grid_h = 64, .grid_w = 64, .map_h = 1, .map_w = 1, .resample = WF_POSITION_BICUBIC_ANTIALIAS};
    s = position(p, 1, 8);
    kc_expect_refusal(&s, WF_E_SHAPE, "position \"a.b\": the table's grid of 64 x 64 is too large for a map of 1 x 1; use a larger "
                                      "picture");
}

int main(void) {
    RUN(bilinear_equals_torch);
    RUN(bicubic_equals_torch);
    RUN(antialiased_bicubic_equals_torch);
    RUN(the_front_rows_are_not_resampled);
    RUN(position_refuses);
    return wf_test_done();
}
