/* sla: by hand, against the quadratic form, more tokens than a block, queries without a positive lane, windows and stripes as segments
   of their own, keys and values of fewer rows, and its refusals. */
#include "cut_map.h"
#include "golden.h"

static kc_spec sla(uint32_t n, uint32_t h, uint32_t w, uint32_t heads, uint32_t dim, uint32_t window) {
    kc_spec s = {.op = WF_OP_SLA,
                 .p = {.heads = heads, .head_dim = dim, .kernel_h = window, .kernel_w = window, .eps = 1e-6f},
                 .in = {{n, h, w, 3 * heads * dim, WF_LAYOUT_ROWS}},
                 .w = {{h * w, heads * dim, WF_PACK_TABLE}, {window * window, dim, WF_PACK_TABLE}, {1, dim, WF_PACK_VECTOR}}};
    return s;
}

/* Two cells of one channel, a window of three: q 2 and −1, k + position 1 and 3, v 10 and 20. */
WF_TEST(sla_by_hand) {
    kc_spec s = sla(1, 1, 2, 1, 1, 3);
    const float in[6] = {2, 0.5f, 10, -1, 4, 20}, position[2] = {0.5f, -1}, bias = 7;
    const float window[9] = {9, 9, 9, 0.5f, 1, 2, 9, 9, 9}; /* only its middle row meets the map */
    const double want[2] = {2 * 70 / (2 * 4 + 1e-6) + 10 + 2 * 20 + 7, 0 + 0.5 * 10 + 20 + 7};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    kc_set_input(&c, 0, in);
    kc_set_weight(&c, 0, position);
    kc_set_weight(&c, 1, window);
    kc_set_weight(&c, 2, &bias);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 2; i++) {
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i * WF_LANES), want[i], form == KC_F64 ? 1e-12 : 1e-5);
        }
    }
    kc_free(&c);
}

/* (q⁺ k⁺ᵀ) v token by token in double: what linear attention only regroups. */
static double quadratic(const wf_op_call *call, uint32_t row, uint32_t head, uint32_t e) {
    const uint32_t dim = call->p->head_dim, width = call->p->heads * dim, tokens = call->in[0].shape.h * call->in[0].shape.w;
    const double *in = call->in[0].data, *position = call->w[0].data;
    const size_t stride = wf_shape_stride(&call->in[0].shape), table = wf_round_up(width, WF_LANES), first = row / tokens * tokens;
    double mixed = 0, size = 1e-6;
    for (uint32_t j = 0; j < tokens; j++) {
        double score = 0;
        for (uint32_t i = head * dim; i < (head + 1) * dim; i++) {
            score += fmax(in[row * stride + i], 0) * fmax(in[(first + j) * stride + width + i] + position[j * table + i], 0);
        }
        mixed += score * in[(first + j) * stride + 2 * width + head * dim + e];
        size += score;
    }
    return mixed / size;
}

WF_TEST(equals_the_quadratic_form) {
    kc_spec s = sla(2, 9, 11, 3, 10, 5);
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    float zeros[25 * 10] = {0};
    kc_set_weight(&c, 1, zeros);
    kc_set_weight(&c, 2, zeros);
    kc_run(&c, KC_F64);
    double worst = 0;
    for (uint32_t i = 0; i < 2 * 99 * 30; i++) {
        double want = quadratic(&c.call[KC_F64], i / 30, i % 30 / 10, i % 10);
        double d = fabs(kc_get(c.call[KC_F64].out.data, KC_F64, i / 30 * WF_LANES + i % 30) - want);
        worst = d > worst ? d : worst;
    }
    CHECK(worst < 1e-13, "off by %.2e", worst);
    kc_free(&c);
}

/* More tokens than a block of 64, rows that no group of queries divides, heads of odd sizes, and segments alone. */
WF_TEST(awkward_maps) {
    static const uint32_t cases[][6] = {{2, 13, 17, 3, 20, 5}, {1, 56, 56, 1, 64, 5}, {3, 1, 9, 2, 5, 3}, {2, 3, 1, 4, 33, 7}, {2, 8, 8, 2, 7, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i];
        kc_spec s = sla(v[0], v[1], v[2], v[3], v[4], v[5]);
        kernel_case c;
        if (!kc_init(&c, &s)) {
            continue;
        }
        kc_check_case(&c, i, 3e-6, 3e-6);
        kc_free(&c);
    }
}

/* `rows` × `columns` of a weight of the whole case from (row, column) on → weight i of the part. */
static void copy_block(const kernel_case *whole, kernel_case *part, int i, uint32_t row, uint32_t column) {
    const kc_weight *from = &whole->spec.w[i], *to = &part->spec.w[i];
    float *values = kc_alloc((size_t)to->n * to->k * sizeof *values);
    for (uint32_t r = 0; r < to->n; r++) {
        for (uint32_t c = 0; c < to->k; c++) {
            size_t at = (size_t)(row + r) * wf_round_up(from->k, WF_LANES) + column + c;
            values[r * to->k + c] = (float)kc_get(whole->call[KC_SCALAR].w[i].data, KC_SCALAR, at);
        }
    }
    kc_set_weight(part, i, values);
    free(values);
}

static void check_cut(kernel_case *whole, const cut_map *cut, uint32_t half) {
    const kc_spec *w = &whole->spec;
    wf_shape in = cut_shape(w, cut);
    kc_spec s = sla(in.n, in.h, in.w, cut->heads, w->p.head_dim, w->p.kernel_h);
    kernel_case part;
    if (!kc_init(&part, &s)) {
        return;
    }
    cut_input(whole, &part, cut);
    copy_block(whole, &part, 0, half == 0 ? 0 : w->w[0].n - in.h * in.w, 0);
    copy_block(whole, &part, 1, 0, half * w->p.head_dim);
    copy_block(whole, &part, 2, 0, half * w->p.head_dim);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&part, (kc_form)form);
    }
    cut_check(whole, &part, cut);
    kc_free(&part);
}

/* h, w, heads, dim, kernel, window_h, window_w, shift_h, shift_w; or the stripe's side instead of a window. */
WF_TEST(windows_and_stripes_are_segments) {
    static const uint32_t cases[][10] = {
        {14, 14, 2, 12, 5, 7, 7, 3, 3, 0}, {6, 20, 3, 5, 3, 3, 4, 0, 1, 0}, {8, 8, 1, 33, 3, 8, 8, 0, 0, 0}, {24, 12, 2, 10, 5, 12, 12, 6, 6, 0},
        {8, 8, 4, 12, 5, 0, 0, 0, 0, 2},   {6, 12, 2, 15, 3, 0, 0, 0, 0, 3}, {4, 4, 6, 7, 5, 0, 0, 0, 0, 1},  {5, 5, 2, 20, 5, 0, 0, 0, 0, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i], stripe = v[9], halves = stripe != 0 ? 2 : 1;
        kc_spec s = sla(2, v[0], v[1], v[2], v[3], v[4]);
        s.p.window_h = v[5], s.p.window_w = v[6], s.p.shift_h = v[7], s.p.shift_w = v[8], s.p.stripe = stripe;
        s.w[0].n = stripe != 0 ? stripe * (v[0] + v[1]) : v[5] * v[6];
        s.w[0].k /= halves, s.w[1].k *= halves, s.w[2].k *= halves;
        kernel_case c;
        if (!kc_init(&c, &s)) {
            continue;
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
        }
        CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 3e-6, "case %zu, scalar: %.2e", i, kc_error(&c, KC_SCALAR, KC_F64));
        CHECK(kc_error(&c, KC_SIMD, KC_F64) < 3e-6, "case %zu, simd: %.2e", i, kc_error(&c, KC_SIMD, KC_F64));
        kc_check_segment(&c, 1);
        if (stripe == 0) {
            check_cut(&c, &(cut_map){v[5], v[6], v[7], v[8], 0, v[2]}, 0);
        } else {
            check_cut(&c, &(cut_map){v[0], stripe, 0, 0, 0, v[2] / 2}, 0);
            check_cut(&c, &(cut_map){stripe, v[1], 0, 0, v[2] / 2, v[2] / 2}, 1);
        }
        kc_free(&c);
    }
}

WF_TEST(sla_refuses) {
    kc_spec s = sla(1, 2, 2, 2, 8, 5);
    s.in[0].c = 50;
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": input has 50 channels but q, k and v of 2 heads of size 8 need 3 x 16");
    s = sla(1, 2, 2, 2, 8, 4);
    kc_expect_refusal(&s, WF_E_ARGUMENT,
                      "sla \"a.b\": 2 heads of size 8 with a kernel of 4 x 4; it takes one head at least and an odd kernel");
    s = sla(1, 2, 2, 2, 8, 5);
    s.w[0].n = 9;
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": the table of positions is 9 x 16 but 4 x 16 is expected");
    s = sla(1, 2, 2, 2, 8, 5);
    s.w[1].n = 9;
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": the kernel is 9 x 8 but 25 x 8 is expected");
    s = sla(1, 6, 6, 2, 8, 5);
    s.p.window_h = s.p.window_w = 4;
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": windows of 4 x 4 do not divide a map of 6 x 6");
    s.p.window_h = s.p.window_w = 3, s.p.shift_h = 3;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "sla \"a.b\": windows of 3 x 3 shifted by 3 x 0; sides are 1 to 4096 and shifts are smaller");
    s = sla(1, 6, 4, 3, 8, 5);
    s.p.stripe = 2;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "sla \"a.b\": stripes of 2 on a map of 6 x 4 with 3 heads; stripes divide the map, and heads come in two halves");
    s = sla(1, 6, 4, 2, 8, 5);
    s.p.stripe = 2;
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": the table of positions is 24 x 16 but 20 x 8 is expected");
}

/* q alone over h × w, [k | v] of `seen` rows. */
static kc_spec others(uint32_t n, uint32_t h, uint32_t w, uint32_t seen, uint32_t heads, uint32_t dim, uint32_t window) {
    kc_spec s = sla(n, h, w, heads, dim, window);
    s.in[0].c = heads * dim;
    s.in[1] = (wf_shape){n, seen, 1, 2 * heads * dim, WF_LAYOUT_ROWS};
    s.w[0].n = seen;
    return s;
}

/* Without a positive query nothing but the window is left; of one cell and weight 1 it shows v stretched. */
static void check_stretch(const char *name, uint32_t h) {
    golden x = golden_of(name, "in/x"), want = golden_of(name, "out/y_f64"); /* [b, c, rows] */
    uint32_t b = x.dims[1], c = x.dims[2], rows = x.dims[3], to = want.dims[3];
    kc_spec s = others(b, h, to / h, rows, 1, c, 1);
    kernel_case k;
    if (!kc_init(&k, &s)) {
        return;
    }
    float *kv = kc_alloc((size_t)b * rows * 2 * c * sizeof *kv), *zero = kc_alloc((size_t)b * to * c * sizeof *zero), one[8], none[8] = {0};
    golden rows_of = want;
    rows_of.values = kc_alloc(want.count * sizeof *rows_of.values);
    for (uint32_t i = 0; i < b * c * to; i++) {
        rows_of.values[((size_t)(i / to / c) * to + i % to) * c + i / to % c] = want.values[i];
        zero[i] = 0;
    }
    for (uint32_t i = 0; i < b * c * rows; i++) {
        size_t at = ((size_t)(i / rows / c) * rows + i % rows) * 2 * c + i / rows % c;
        kv[at] = 1;
        kv[at + c] = (float)x.values[i];
    }
    for (uint32_t i = 0; i < 8; i++) {
        one[i] = 1;
    }
    kc_set_input(&k, 0, zero);
    kc_set_input(&k, 1, kv);
    kc_set_weight(&k, 1, one);
    kc_set_weight(&k, 2, none);
    golden_check(&k, rows_of, 1e-13, 3e-7);
    free(x.values);
    free(want.values);
    free(kv);
    free(zero);
    kc_free(&k);
}

WF_TEST(stretched_values_equal_torch) {
    check_stretch("interp_linear_up", 4);
    check_stretch("interp_linear_16_144", 12);
}

/* Its own rows handed in as others: nothing is stretched, so the numbers are the same. */
WF_TEST(own_rows_as_others) {
    kc_spec s = sla(2, 7, 11, 2, 12, 5), o = others(2, 7, 11, 77, 2, 12, 5);
    kernel_case self, apart;
    if (!kc_init(&self, &s)) {
        return;
    }
    if (kc_init(&apart, &o)) {
        for (int form = 0; form < KC_FORMS; form++) {
            size_t real = kc_real((kc_form)form);
            for (uint32_t r = 0; r < 154; r++) {
                const char *row = (const char *)self.call[form].in[0].data + (size_t)r * wf_shape_stride(&s.in[0]) * real;
                memcpy((char *)apart.call[form].in[0].data + (size_t)r * wf_shape_stride(&o.in[0]) * real, row, 24 * real);
                memcpy((char *)apart.call[form].in[1].data + (size_t)r * wf_shape_stride(&o.in[1]) * real, row + 24 * real, 48 * real);
            }
            for (int i = 0; i < 3; i++) {
                size_t stride = wf_round_up(s.w[i].k, WF_LANES);
                memcpy((void *)apart.call[form].w[i].data, self.call[form].w[i].data, s.w[i].n * stride * real);
            }
            kc_run(&self, (kc_form)form);
            kc_run(&apart, (kc_form)form);
            CHECK(memcmp(apart.call[form].out.data, self.call[form].out.data, kc_out_bytes(&self, (kc_form)form)) == 0, "form %d", form);
        }
        kc_free(&apart);
    }
    kc_free(&self);
}

/* One row for all, numbers that do not divide, heads of odd sizes, more than a block of them. */
WF_TEST(fewer_rows_of_any_number) {
    static const uint32_t cases[][7] = {{2, 8, 8, 16, 2, 8, 5}, {1, 16, 16, 4, 1, 16, 5}, {3, 5, 7, 11, 3, 5, 3}, {2, 3, 9, 1, 4, 33, 7},
                                        {1, 28, 28, 196, 2, 64, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i];
        kc_spec s = others(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
        kernel_case c;
        if (!kc_init(&c, &s)) {
            continue;
        }
        kc_check_case(&c, i, 3e-6, 3e-6);
        kc_free(&c);
    }
}

WF_TEST(others_refuse) {
    kc_spec s = others(1, 4, 4, 4, 2, 8, 5);
    s.in[1].c = 48;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "sla \"a.b\": q has 16 channels in 1 segments and k and v have 48 in 1; 2 heads of size 8 need 16 and 2 x 16");
    s = others(1, 4, 4, 17, 2, 8, 5);
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": k and v have 17 rows a segment, more than the 16 of q");
    s = others(1, 4, 4, 4, 2, 8, 5);
    s.w[0].n = 16;
    kc_expect_refusal(&s, WF_E_SHAPE, "sla \"a.b\": the table of positions is 16 x 16 but 4 x 16 is expected");
}

int main(void) {
    RUN(sla_by_hand);
    RUN(equals_the_quadratic_form);
    RUN(awkward_maps);
    RUN(windows_and_stripes_are_segments);
    RUN(stretched_values_equal_torch);
    RUN(own_rows_as_others);
    RUN(fewer_rows_of_any_number);
    RUN(sla_refuses);
    RUN(others_refuse);
    return wf_test_done();
}
