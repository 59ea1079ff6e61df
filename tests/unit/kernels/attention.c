/* attention: torch's vector, scores that would overflow exp, a single token, and its refusals. */
#include "golden.h"

static kc_spec attention(uint32_t n, uint32_t tokens, uint32_t heads, uint32_t dim, float scale) {
    kc_spec s = {.op = WF_OP_ATTENTION,
                 .p = {.heads = heads, .head_dim = dim, .scale = scale},
                 .in = {{n, tokens, 1, 3 * heads * dim, WF_LAYOUT_ROWS}}};
    return s;
}

/* Copies [1, heads, tokens, dim] into part (0 q, 1 k, 2 v) of rows [tokens][3][heads][dim]. */
static void place(float *rows, golden g, uint32_t part) {
    uint32_t heads = g.dims[1], tokens = g.dims[2], dim = g.dims[3];
    for (size_t i = 0; i < g.count; i++) {
        size_t head = i / dim / tokens, token = i / dim % tokens;
        rows[((token * 3 + part) * heads + head) * dim + i % dim] = (float)g.values[i];
    }
    free(g.values);
}

/* The vector has 10 queries on 13 keys: three more queries of zeros are computed and not looked at.
 */
WF_TEST(attention_equals_torch) {
    golden y = golden_read("attention_full/out/y_f64");
    uint32_t heads = 2, dim = 8, tokens = 13, queries = 10;
    float *rows = kc_alloc(tokens * 3 * heads * dim * sizeof *rows);
    memset(rows, 0, tokens * 3 * heads * dim * sizeof *rows);
    place(rows, golden_read("attention_full/in/q"), 0);
    place(rows, golden_read("attention_full/in/k"), 1);
    place(rows, golden_read("attention_full/in/v"), 2);
    golden want = y; /* [queries][heads][dim] */
    want.values = kc_alloc(y.count * sizeof *want.values);
    for (size_t i = 0; i < y.count; i++) {
        size_t head = i / dim / queries, token = i / dim % queries;
        want.values[(token * heads + head) * dim + i % dim] = y.values[i];
    }
    free(y.values);
    kc_spec s = attention(1, tokens, heads, dim, (float)(1 / sqrt(8)));
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, rows);
        golden_check(&c, want, 1e-13, 5e-7);
        kc_free(&c);
    }
    free(rows);
}

/* Scores of some ± 3000: exp of them is infinite, but not of their distance from the largest. */
WF_TEST(large_scores_do_not_overflow) {
    kc_spec s = attention(2, 50, 2, 24, 400);
    kernel_case c;
    if (kc_init(&c, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
        }
        /* A score of 3000 is known to 1e-4 as float: so are the probabilities of close rivals. */
        CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 1e-3, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
        CHECK(kc_error(&c, KC_SIMD, KC_F64) < 1e-3, "simd: %.2e", kc_error(&c, KC_SIMD, KC_F64));
        kc_free(&c);
    }
}

/* More tokens than one tile has query rows, and a last strip of fewer than six. */
WF_TEST(several_query_blocks) {
    kc_spec s = attention(2, 203, 3, 20, 0.25f);
    kernel_case c;
    if (kc_init(&c, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
        }
        CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 1.5e-6, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
        CHECK(kc_error(&c, KC_SIMD, KC_SCALAR) < 2e-6, "simd: %.2e", kc_error(&c, KC_SIMD, KC_SCALAR));
        kc_check_segment(&c, 0);
        kc_check_segment(&c, 1);
        kc_free(&c);
    }
}

WF_TEST(a_single_token_gives_its_value) {
    kc_spec s = attention(3, 1, 2, 5, 1);
    kernel_case c;
    if (kc_init(&c, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&c, (kc_form)form);
            for (size_t i = 0; i < 30; i++) {
                double v = kc_get(c.call[form].in[0].data, (kc_form)form, i / 10 * WF_LANES + 20 + i % 10);
                CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 10 * WF_LANES + i % 10), v, 0);
            }
        }
        kc_free(&c);
    }
}

WF_TEST(attention_refuses) {
    kc_spec s = attention(1, 4, 2, 8, 1);
    s.in[0].c = 50;
    kc_expect_refusal(
        &s, WF_E_SHAPE,
        "attention \"a.b\": input has 50 channels but q, k and v of 2 heads of size 8 need 3 x 16");
    s.p.heads = 0;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "attention \"a.b\": 0 heads of size 8; both must be at least 1");
}

int main(void) {
    RUN(attention_equals_torch);
    RUN(large_scores_do_not_overflow);
    RUN(several_query_blocks);
    RUN(a_single_token_gives_its_value);
    RUN(attention_refuses);
    return wf_test_done();
}
