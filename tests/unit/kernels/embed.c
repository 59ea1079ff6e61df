/* embed: rows of tables of every stored type, ids that are no row, and its refusals. */
#include "kernel_case.h"

static kc_spec embed(uint32_t n, uint32_t tokens, uint32_t rows, uint32_t c, wf_dtype type) {
    return (kc_spec){.op = WF_OP_EMBED, .type = type, .in = {{n, tokens, 1, 1, WF_LAYOUT_NCHW}}, .w = {{rows, c, WF_PACK_STORED}}};
}

/* What the type decodes a row to, bit for bit. */
static void check_rows(wf_dtype type, uint32_t c) {
    enum { ROWS = 7, TOKENS = 9 };
    const float ids[2 * TOKENS] = {0, 6, 3, 3, 1, 0, 5, 2, 4, 6, 6, 6, 0, 1, 2, 3, 4, 5};
    kc_spec s = embed(2, TOKENS, ROWS, c, type);
    uint32_t block = wf_dtype_get(type)->block, stored_k = wf_round_up(c, block);
    size_t row_bytes = (size_t)wf_dtype_row_bytes(type, stored_k);
    float *want = kc_alloc(stored_k * sizeof *want);
    kernel_case k;
    if (!kc_init(&k, &s)) {
        return;
    }
    kc_set_input(&k, 0, ids);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&k, (kc_form)form);
        for (uint32_t r = 0; r < 2 * TOKENS; r++) {
            wf_dtype_get(type)->decode((const char *)k.call[form].w[0].data + (size_t)ids[r] * row_bytes, want, stored_k);
            for (uint32_t i = 0; i < c; i++) {
                CHECK_NEAR(kc_get(k.call[form].out.data, (kc_form)form, (size_t)r * wf_shape_stride(&k.out) + i), want[i], 0);
            }
        }
    }
    kc_check_segment(&k, 1);
    kc_free(&k);
    free(want);
}

WF_TEST(rows_of_every_type) {
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_BF16, WF_Q8_0, WF_Q4_0};
    static const uint32_t widths[] = {1, 31, 32, 33, 180};
    for (int i = 0; i < 25; i++) {
        check_rows(types[i / 5], widths[i % 5]);
    }
}

/* A session refuses such ids; the kernel reads nothing outside its table. */
WF_TEST(ids_outside_become_zeros) {
    const float ids[6] = {-1, 5, 1e9f, NAN, -INFINITY, 4};
    kc_spec s = embed(1, 6, 5, 3, WF_F32);
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    kc_set_input(&c, 0, ids);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 15; i++) {
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, i / 3 * WF_LANES + i % 3), 0, 0);
        }
        CHECK(kc_get(c.call[form].out.data, (kc_form)form, 5 * WF_LANES) != 0, "the last id is a row");
    }
    kc_free(&c);
}

WF_TEST(embed_refuses) {
    kc_spec s = embed(1, 6, 5, 3, WF_F32);
    s.in[0].c = 3;
    kc_expect_refusal(&s, WF_E_SHAPE, "embed \"a.b\": its input has 3 channels but token ids are one number each, as the caller gives them");
    s = embed(1, 6, 0, 3, WF_F32);
    kc_expect_refusal(&s, WF_E_MISSING, "embed \"a.b\": its table is missing");
    s = embed(1, 6, (1u << 24) + 1, 3, WF_F32);
    kc_expect_refusal(&s, WF_E_SHAPE, "embed \"a.b\": a table of 16777217 rows; ids are exact below 2^24 only");
    s = embed(1 << 20, 1 << 10, 5, 3, WF_F32);
    kc_expect_refusal(&s, WF_E_SHAPE, "embed \"a.b\": a tensor of 1048576 x 1024 x 1 x 1 (n, h, w, channels) is above 2^29 elements; use a "
                      "smaller input or a smaller batch");
}

int main(void) {
    RUN(rows_of_every_type);
    RUN(ids_outside_become_zeros);
    RUN(embed_refuses);
    return wf_test_done();
}
