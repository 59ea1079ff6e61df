/* attention: torch's vector, scores that would overflow exp, a single token, keys and values of other rows, windows and stripes, and its
   refusals. */
#include "cut_map.h"
#include "golden.h"

static kc_spec attention(uint32_t n, uint32_t tokens, uint32_t heads, uint32_t dim, float scale) {
    kc_spec s = {.op = WF_OP_ATTENTION,
                 .p = {.heads = heads, .head_dim = dim, .scale = scale},
                 .in = {{n, tokens, 1, 3 * heads * dim, WF_LAYOUT_ROWS}}};
    return s;
}

/* Copies [1, heads, tokens, dim] into one of the parts of rows [tokens][parts][heads][dim]. */
static void place(float *rows, golden g, uint32_t part, uint32_t parts) {
    uint32_t heads = g.dims[1], tokens = g.dims[2], dim = g.dims[3];
    for (size_t i = 0; i < g.count; i++) {
        size_t head = i / dim / tokens, token = i / dim % tokens;
        rows[((token * parts + part) * heads + head) * dim + i % dim] = (float)g.values[i];
    }
    free(g.values);
}

/* The vector's result as rows [queries][heads][dim]. */
static golden torch_result(void) {
    golden y = golden_read("attention_full/out/y_f64"), want = y;
    uint32_t heads = y.dims[1], queries = y.dims[2], dim = y.dims[3];
    want.values = kc_alloc(y.count * sizeof *want.values);
    for (size_t i = 0; i < y.count; i++) {
        size_t head = i / dim / queries, token = i / dim % queries;
        want.values[(token * heads + head) * dim + i % dim] = y.values[i];
    }
    free(y.values);
    return want;
}

/* The vector has 10 queries on 13 keys: three more queries of zeros are computed and not looked at.
 */
WF_TEST(attention_equals_torch) {
    uint32_t heads = 2, dim = 8, tokens = 13;
    float *rows = kc_alloc(tokens * 3 * heads * dim * sizeof *rows);
    memset(rows, 0, tokens * 3 * heads * dim * sizeof *rows);
    place(rows, golden_read("attention_full/in/q"), 0, 3);
    place(rows, golden_read("attention_full/in/k"), 1, 3);
    place(rows, golden_read("attention_full/in/v"), 2, 3);
    kc_spec s = attention(1, tokens, heads, dim, (float)(1 / sqrt(8)));
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, rows);
        golden_check(&c, torch_result(), 1e-13, 5e-7);
        kc_free(&c);
    }
    free(rows);
}

/* q alone, and [k | v] of `seen` other rows. */
static kc_spec others(uint32_t n, uint32_t queries, uint32_t seen, uint32_t heads, uint32_t dim, float scale) {
    kc_spec s = attention(n, queries, heads, dim, scale);
    s.in[0].c = heads * dim;
    s.in[1] = (wf_shape){n, seen, 1, 2 * heads * dim, WF_LAYOUT_ROWS};
    return s;
}

WF_TEST(other_rows_equal_torch) {
    float *q = kc_alloc(10 * 16 * sizeof *q), *kv = kc_alloc(13 * 32 * sizeof *kv);
    place(q, golden_read("attention_full/in/q"), 0, 1);
    place(kv, golden_read("attention_full/in/k"), 0, 2);
    place(kv, golden_read("attention_full/in/v"), 1, 2);
    kc_spec s = others(1, 10, 13, 2, 8, (float)(1 / sqrt(8)));
    kernel_case c;
    if (kc_init(&c, &s)) {
        kc_set_input(&c, 0, q);
        kc_set_input(&c, 1, kv);
        golden_check(&c, torch_result(), 1e-13, 5e-7);
        kc_free(&c);
    }
    free(q);
    free(kv);
}

/* Fewer keys than queries (PVT's), more, one; more queries than a tile has, heads of odd sizes, segments alone. */
WF_TEST(other_rows_of_any_number) {
    static const uint32_t cases[][5] = {{2, 203, 49, 3, 20}, {1, 5, 130, 2, 33}, {2, 97, 1, 1, 8}, {3, 1, 7, 5, 5}, {1, 784, 49, 1, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i];
        kc_spec s = others(v[0], v[1], v[2], v[3], v[4], 0.25f);
        kernel_case c;
        if (!kc_init(&c, &s)) {
            continue;
        }
        kc_check_case(&c, i, 1.5e-6, 2e-6);
        kc_free(&c);
    }
}

/* Its own rows handed in as others: the same bits. */
WF_TEST(own_rows_as_others_are_self_attention) {
    kc_spec s = attention(2, 101, 2, 12, 0.3f), o = others(2, 101, 101, 2, 12, 0.3f);
    kernel_case self, apart;
    if (!kc_init(&self, &s)) {
        return;
    }
    if (kc_init(&apart, &o)) {
        for (int form = 0; form < KC_FORMS; form++) {
            size_t real = kc_real((kc_form)form);
            for (uint32_t r = 0; r < 202; r++) {
                const char *row = (const char *)self.call[form].in[0].data + (size_t)r * wf_shape_stride(&s.in[0]) * real;
                memcpy((char *)apart.call[form].in[0].data + (size_t)r * wf_shape_stride(&o.in[0]) * real, row, 24 * real);
                memcpy((char *)apart.call[form].in[1].data + (size_t)r * wf_shape_stride(&o.in[1]) * real, row + 24 * real, 48 * real);
            }
            kc_run(&self, (kc_form)form);
            kc_run(&apart, (kc_form)form);
            CHECK(memcmp(apart.call[form].out.data, self.call[form].out.data, kc_out_bytes(&self, (kc_form)form)) == 0, "form %d", form);
        }
        kc_free(&apart);
    }
    kc_free(&self);
}

WF_TEST(other_rows_refuse) {
    kc_spec s = others(1, 9, 4, 2, 8, 1);
    s.in[1].c = 33;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "attention \"a.b\": q has 16 channels in 1 segments and k and v have 33 in 1; 2 heads of size 8 need 16 and 2 x 16");
    s = others(2, 9, 4, 2, 8, 1);
    s.in[1].n = 1;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "attention \"a.b\": q has 16 channels in 2 segments and k and v have 32 in 1; 2 heads of size 8 need 16 and 2 x 16");
    s = others(1, 8, 4, 2, 8, 1);
    s.p.window_h = s.p.window_w = 2;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "attention \"a.b\": windows want q, k and v in one input");
    s = others(1, 9, 0, 2, 8, 1);
    kc_expect_refusal(&s, WF_E_SHAPE, "attention \"a.b\": input of 1 x 0 x 1 x 32 (n, h, w, channels) has an empty axis");
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

static kc_spec causal(uint32_t n, uint32_t tokens, uint32_t heads, uint32_t kv_heads, uint32_t dim) {
    wf_shape q = {n, tokens, 1, heads * dim, WF_LAYOUT_ROWS}, kv = {n, tokens, 1, kv_heads * dim, WF_LAYOUT_ROWS};
    return (kc_spec){.op = WF_OP_ATTENTION,
                     .p = {.heads = heads, .kv_heads = kv_heads, .head_dim = dim, .scale = (float)(1 / sqrt((double)dim)), .causal = 1},
                     .in = {q, kv, kv}};
}

/* [1, heads, tokens, dim] into the last rows of [rows][heads][dim]; the first ones stay. */
static void place_last(float *to, uint32_t rows, golden g) {
    uint32_t heads = g.dims[1], tokens = g.dims[2], dim = g.dims[3];
    for (size_t i = 0; i < g.count; i++) {
        size_t head = i / dim / tokens, token = i / dim % tokens + rows - tokens;
        to[(token * heads + head) * dim + i % dim] = (float)g.values[i];
    }
    free(g.values);
}

/* torch's vector: 5 queries behind 7 earlier tokens, whose queries are left as noise and whose results are not looked at. */
WF_TEST(causal_equals_torch) {
    enum { TOKENS = 12, HEADS = 2, DIM = 8 };
    kc_spec s = causal(1, TOKENS, HEADS, HEADS, DIM);
    float rows[TOKENS * HEADS * DIM], *want = rows;
    static const char *const names[] = {"in/q", "in/k", "in/v"};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        wf_test_fill(rows, TOKENS * HEADS * DIM, -1, 1);
        place_last(rows, TOKENS, golden_of("attention_causal_offset", names[i]));
        kc_set_input(&c, i, rows);
    }
    golden y = golden_of("attention_causal_offset", "out/y_f64");
    uint32_t first = TOKENS - y.dims[2];
    place_last(want, TOKENS, y);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = first * HEADS * DIM; i < TOKENS * HEADS * DIM; i++) {
            size_t at = i / (HEADS * DIM) * WF_LANES + i % (HEADS * DIM);
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, at), want[i], 5e-7);
        }
    }
    kc_free(&c);
}

/* What a token sees does not depend on how many follow: the rows of a shorter sequence are bit for bit the first of a longer one. */
WF_TEST(causal_rows_ignore_what_follows) {
    static const uint32_t lengths[] = {1, 5, 6, 7, 33, 96, 97, 120};
    kc_spec whole = causal(1, 131, 6, 2, 11);
    kernel_case all;
    if (!kc_init(&all, &whole)) {
        return;
    }
    kc_run(&all, KC_SIMD);
    for (int i = 0; i < 8; i++) {
        kc_spec s = causal(1, lengths[i], 6, 2, 11);
        kernel_case c;
        if (!kc_init(&c, &s)) {
            return;
        }
        for (int j = 0; j < 3; j++) {
            memcpy(c.call[KC_SIMD].in[j].data, all.call[KC_SIMD].in[j].data, (size_t)wf_shape_elements(&s.in[j]) * sizeof(float));
        }
        kc_run(&c, KC_SIMD);
        CHECK(memcmp(c.call[KC_SIMD].out.data, all.call[KC_SIMD].out.data, kc_out_bytes(&c, KC_SIMD)) == 0, "%u tokens", (unsigned)lengths[i]);
        kc_free(&c);
    }
    kc_free(&all);
}

/* Grouped keys and values are those of ordinary attention, each standing there for all heads that read it. */
WF_TEST(groups_equal_repeated_heads) {
    enum { TOKENS = 17, HEADS = 6, GROUPS = 2, DIM = 10 };
    for (uint32_t is_causal = 0; is_causal < 2; is_causal++) {
        kc_spec s = causal(2, TOKENS, HEADS, GROUPS, DIM), t = causal(2, TOKENS, HEADS, HEADS, DIM);
        kernel_case a, b;
        s.p.causal = t.p.causal = is_causal;
        if (!kc_init(&a, &s) || !kc_init(&b, &t)) {
            return;
        }
        for (int form = 0; form < KC_FORMS; form++) {
            memcpy(b.call[form].in[0].data, a.call[form].in[0].data, (size_t)wf_shape_elements(&s.in[0]) * kc_real((kc_form)form));
            for (uint32_t i = 0; i < 2u * 2 * TOKENS * HEADS * DIM; i++) {
                uint32_t part = 1 + i % 2, row = i / 2 / (HEADS * DIM), head = i / 2 / DIM % HEADS, e = i / 2 % DIM;
                double v = kc_get(a.call[form].in[part].data, (kc_form)form,
                                  (size_t)row * wf_shape_stride(&s.in[part]) + head / (HEADS / GROUPS) * DIM + e);
                kc_put(b.call[form].in[part].data, (kc_form)form, (size_t)row * wf_shape_stride(&t.in[part]) + head * DIM + e, (float)v);
            }
            kc_run(&a, (kc_form)form);
            kc_run(&b, (kc_form)form);
            CHECK(memcmp(a.call[form].out.data, b.call[form].out.data, kc_out_bytes(&a, (kc_form)form)) == 0, "form %d", form);
        }
        kc_free(&a);
        kc_free(&b);
    }
}

WF_TEST(causal_and_groups_refuse) {
    kc_spec s = causal(1, 4, 6, 4, 8);
    kc_expect_refusal(&s, WF_E_ARGUMENT, "attention \"a.b\": 4 heads of k and v do not divide the 6 of q");
    s = causal(1, 4, 6, 2, 8);
    s.p.window_h = s.p.window_w = 2;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "attention \"a.b\": causal attention has no windows here");
    s.p.causal = 0;
    kc_expect_refusal(&s, WF_E_ARGUMENT, "attention \"a.b\": windows want q, k and v in one input");
    s = causal(1, 4, 6, 2, 8);
    s.in[2].h = 5;
    kc_expect_refusal(&s, WF_E_SHAPE, "attention \"a.b\": v is 1 x 5 x 1 x 16 (n, h, w, channels) but 1 x 4 x 1 x 16 is expected");
    s.in[1] = s.in[2] = (wf_shape){0};
    kc_expect_refusal(&s, WF_E_SHAPE, "attention \"a.b\": input has 48 channels but 6 heads of q and 2 of k and of v, of size 8, need 80");
    s = causal(1, 4, 6, 2, 8);
    s.in[1].h = s.in[2].h = 5;
    kc_expect_refusal(&s, WF_E_SHAPE, "attention \"a.b\": causal attention wants as many keys as queries");
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

/* One axis of Swin's arithmetic with whole lists, as the sources do it: pad and roll (or roll and pad), cut into windows; numbers of
   cells, −1 for padding, and the three slices of the mask. */
static void source_axis(uint32_t extent, uint32_t window, uint32_t shift, bool roll_first, int *cells, int *region) {
    uint32_t padded = (extent + window - 1) / window * window, period = roll_first ? extent : padded;
    for (uint32_t i = 0; i < padded; i++) {
        cells[i] = i < period && (i + shift) % period < extent ? (int)((i + shift) % period) : -1;
        region[i] = shift == 0 ? 0 : i < padded - window ? 0 : i < padded - shift ? 1 : 2;
    }
}

/* Windowed attention of one segment and head straight from the definition, on matrices of scores. */
static void by_definition(const kernel_case *c, uint32_t segment, uint32_t head, double *out /* [h·w, dim] */) {
    const wf_op_params *p = &c->spec.p;
    const wf_shape *in = &c->spec.in[0];
    uint32_t wh = p->window_h, ww = p->window_w, dim = p->head_dim, width = p->heads * dim, stride = wf_shape_stride(in);
    int rows[128], columns[128], row_region[128], column_region[128];
    source_axis(in->h, wh, p->shift_h, p->roll_first, rows, row_region);
    source_axis(in->w, ww, p->shift_w, p->roll_first, columns, column_region);
    const double *qkv = c->call[KC_F64].in[0].data, *table = c->call[KC_F64].w[0].data, *padding = c->call[KC_F64].w[1].data;
    uint32_t high = (in->h + wh - 1) / wh * wh, wide = (in->w + ww - 1) / ww * ww, lanes = wf_round_up(p->heads, WF_LANES);
    for (uint32_t i = 0; i < high * wide; i++) {
        uint32_t y = i / wide, x = i % wide;
        if (rows[y] < 0 || columns[x] < 0) {
            continue;
        }
        const double *q = qkv + ((size_t)segment * in->h * in->w + (size_t)rows[y] * in->w + columns[x]) * stride + head * dim;
        double sum = 0, *to = out + ((size_t)rows[y] * in->w + columns[x]) * dim;
        memset(to, 0, dim * sizeof *to);
        for (uint32_t j = 0; j < high * wide; j++) {
            uint32_t ky = j / wide, kx = j % wide;
            if (ky / wh != y / wh || kx / ww != x / ww) {
                continue;
            }
            const double *k = rows[ky] < 0 || columns[kx] < 0
                                  ? padding
                                  : qkv + ((size_t)segment * in->h * in->w + (size_t)rows[ky] * in->w + columns[kx]) * stride;
            double score = 0;
            for (uint32_t d = 0; d < dim; d++) {
                score += k != NULL ? q[d] * k[width + head * dim + d] * p->scale : 0;
            }
            uint32_t at = (y % wh + wh - 1 - ky % wh) * (2 * ww - 1) + x % ww + ww - 1 - kx % ww;
            score += table != NULL ? table[at * lanes + head] : 0;
            score -= row_region[y] != row_region[ky] || column_region[x] != column_region[kx] ? 100 : 0;
            double e = exp(score);
            sum += e;
            for (uint32_t d = 0; d < dim; d++) {
                to[d] += k != NULL ? e * k[2 * width + head * dim + d] : 0;
            }
        }
        for (uint32_t d = 0; d < dim; d++) {
            to[d] /= sum;
        }
    }
}

typedef struct window_case {
    uint32_t h, w, window_h, window_w, shift_h, shift_w, heads, dim;
    bool roll_first, table, padding;
} window_case;

static void check_windows(const window_case *t) {
    kc_spec s = attention(2, t->h, t->heads, t->dim, 0.37f);
    s.in[0].w = t->w;
    s.p.window_h = t->window_h, s.p.window_w = t->window_w;
    s.p.shift_h = t->shift_h, s.p.shift_w = t->shift_w;
    s.p.roll_first = t->roll_first;
    if (t->table) {
        s.w[0] = (kc_weight){(2 * t->window_h - 1) * (2 * t->window_w - 1), t->heads, WF_PACK_TABLE};
    }
    if (t->padding) {
        s.w[1] = (kc_weight){1, s.in[0].c, WF_PACK_VECTOR};
    }
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
    }
    double *want = kc_alloc((size_t)t->h * t->w * t->dim * sizeof *want), error = 0, norm = 0;
    uint32_t stride = wf_shape_stride(&c.out);
    for (uint32_t i = 0; i < 2 * t->heads; i++) {
        by_definition(&c, i / t->heads, i % t->heads, want);
        const double *got = (const double *)c.call[KC_F64].out.data + (size_t)(i / t->heads) * t->h * t->w * stride + i % t->heads * t->dim;
        for (uint32_t j = 0; j < t->h * t->w * t->dim; j++) {
            double d = got[(size_t)(j / t->dim) * stride + j % t->dim] - want[j];
            error += d * d;
            norm += want[j] * want[j];
        }
    }
    free(want);
    CHECK(norm > 0 && sqrt(error / norm) < 1e-13, "%u x %u in %u x %u: double is off by %.2e", t->h, t->w, t->window_h, t->window_w,
          sqrt(error / norm));
    CHECK(kc_error(&c, KC_SCALAR, KC_F64) < 1.5e-6, "scalar: %.2e", kc_error(&c, KC_SCALAR, KC_F64));
    CHECK(kc_error(&c, KC_SIMD, KC_SCALAR) < 2e-6, "simd: %.2e", kc_error(&c, KC_SIMD, KC_SCALAR));
    kc_check_segment(&c, 1);
    kc_free(&c);
}

/* Windows that divide the map and not, shifted in one axis or both, larger than the map, oblong, of more tokens than a tile has
   query rows; with and without a table and a row for padding; rolled before and after padding. */
WF_TEST(windows_equal_their_definition) {
    static const window_case cases[] = {
        {14, 14, 7, 7, 3, 3, 2, 12, false, true, false}, {14, 14, 7, 7, 0, 0, 3, 8, true, true, true},
        {7, 7, 7, 7, 0, 0, 3, 16, false, true, false},   {10, 13, 4, 4, 2, 2, 2, 5, false, true, true},
        {10, 13, 4, 4, 2, 2, 2, 5, true, true, true},    {10, 13, 4, 4, 1, 3, 1, 33, true, true, false},
        {5, 9, 3, 4, 0, 2, 2, 7, false, false, true},    {3, 2, 5, 5, 2, 2, 1, 4, true, true, true},
        {3, 2, 5, 5, 2, 2, 1, 4, false, true, true},     {25, 13, 12, 12, 6, 6, 1, 10, false, true, true},
        {1, 1, 1, 1, 0, 0, 33, 1, true, true, false},    {6, 4, 2, 2, 1, 1, 2, 3, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_windows(&cases[i]);
    }
}

/* One window as large as the map, without a table: the same bits as the whole segment. */
WF_TEST(one_window_is_the_segment) {
    kc_spec s = attention(2, 9, 2, 12, 0.3f);
    s.in[0].w = 11;
    kernel_case whole, window;
    if (!kc_init(&whole, &s)) {
        return;
    }
    s.p.window_h = 9, s.p.window_w = 11;
    if (kc_init(&window, &s)) {
        for (int form = 0; form < KC_FORMS; form++) {
            memcpy(window.call[form].in[0].data, whole.call[form].in[0].data, (size_t)wf_shape_elements(&s.in[0]) * kc_real((kc_form)form));
            kc_run(&whole, (kc_form)form);
            kc_run(&window, (kc_form)form);
            CHECK(memcmp(whole.call[form].out.data, window.call[form].out.data, kc_out_bytes(&whole, (kc_form)form)) == 0, "form %d", form);
        }
        kc_free(&window);
    }
    kc_free(&whole);
}

/* Stripes of 1, of more tokens than a tile has query rows, as large as the map, of a map that is no square. */
WF_TEST(stripes_are_segments) {
    static const uint32_t cases[][5] = {{8, 8, 4, 12, 2}, {6, 12, 2, 15, 3}, {7, 7, 6, 5, 1}, {4, 4, 2, 33, 4}, {30, 20, 2, 8, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *v = cases[i], stripe = v[4];
        kc_spec s = attention(2, v[0], v[2], v[3], 0.3f);
        s.in[0].w = v[1];
        s.p.stripe = stripe;
        kernel_case whole, part;
        if (!kc_init(&whole, &s)) {
            continue;
        }
        for (int form = 0; form < KC_FORMS; form++) {
            kc_run(&whole, (kc_form)form);
        }
        kc_check_segment(&whole, 1);
        for (uint32_t half = 0; half < 2; half++) {
            cut_map cut = {half == 0 ? v[0] : stripe, half == 0 ? stripe : v[1], 0, 0, half * v[2] / 2, v[2] / 2};
            kc_spec t = attention(1, 1, v[2] / 2, v[3], 0.3f);
            t.in[0] = cut_shape(&s, &cut);
            if (!kc_init(&part, &t)) {
                continue;
            }
            cut_input(&whole, &part, &cut);
            for (int form = 0; form < KC_FORMS; form++) {
                kc_run(&part, (kc_form)form);
            }
            cut_check(&whole, &part, &cut);
            kc_free(&part);
        }
        kc_free(&whole);
    }
}

WF_TEST(windows_refuse) {
    kc_spec s = attention(1, 8, 2, 8, 1);
    s.in[0].w = 8;
    s.p.window_h = 4, s.p.window_w = 4, s.p.shift_w = 4;
    kc_expect_refusal(&s, WF_E_ARGUMENT,
                      "attention \"a.b\": windows of 4 x 4 shifted by 0 x 4; sides are 1 to 4096 and shifts are smaller");
    s.p.shift_w = 2;
    s.w[0] = (kc_weight){49, 3, WF_PACK_TABLE};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "attention \"a.b\": a table of 49 x 3 does not fit windows of 4 x 4 and 2 heads, which need 49 x 2");
    s.w[0] = (kc_weight){0};
    s.w[1] = (kc_weight){1, 7, WF_PACK_VECTOR};
    kc_expect_refusal(&s, WF_E_SHAPE, "attention \"a.b\": padding is 1 x 7 but a vector of 48 is expected");
    s.w[1] = (kc_weight){0};
    s.p.window_h = s.p.window_w = 4096;
    kc_expect_refusal(&s, WF_E_SHAPE, "attention \"a.b\": windows of 4096 x 4096 are too large for 2 heads");
    s.p.window_h = s.p.window_w = s.p.shift_w = 0;
    s.p.stripe = 3;
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "attention \"a.b\": stripes of 3 on a map of 8 x 8 with 2 heads; stripes divide the map, and heads come in two halves");
    s.p.stripe = 2;
    s.w[0] = (kc_weight){9, 2, WF_PACK_TABLE};
    kc_expect_refusal(&s, WF_E_ARGUMENT,
                      "attention \"a.b\": a table of relative positions belongs to windows, and there are none");
}

int main(void) {
    RUN(attention_equals_torch);
    RUN(other_rows_equal_torch);
    RUN(other_rows_of_any_number);
    RUN(own_rows_as_others_are_self_attention);
    RUN(other_rows_refuse);
    RUN(large_scores_do_not_overflow);
    RUN(several_query_blocks);
    RUN(a_single_token_gives_its_value);
    RUN(causal_equals_torch);
    RUN(causal_rows_ignore_what_follows);
    RUN(groups_equal_repeated_heads);
    RUN(causal_and_groups_refuse);
    RUN(attention_refuses);
    RUN(windows_equal_their_definition);
    RUN(one_window_is_the_segment);
    RUN(stripes_are_segments);
    RUN(windows_refuse);
    return wf_test_done();
}
