/* take_rows: each number by hand, and its refusals. */
#include "kernel_case.h"

WF_TEST(patches_without_tokens) {
    kc_spec s = {.op = WF_OP_TAKE_ROWS, .p = {.first = 2, .map_h = 2, .map_w = 3}, .in = {{2, 9, 1, 33, WF_LAYOUT_ROWS}}};
    kernel_case c;
    float in[2 * 9 * 33];
    for (int i = 0; i < 2 * 9 * 33; i++) {
        in[i] = (float)i;
    }
    if (!kc_init(&c, &s)) {
        return;
    }
    CHECK(c.out.n == 2 && c.out.h == 2 && c.out.w == 3 && c.out.c == 33, "%u %u %u %u", c.out.n, c.out.h, c.out.w, c.out.c);
    kc_set_input(&c, 0, in);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        for (size_t i = 0; i < 2 * 6 * 33; i++) {
            size_t row = i / 33, k = i % 33, from = row / 6 * 9 + 2 + row % 6;
            CHECK_NEAR(kc_get(c.call[form].out.data, (kc_form)form, row * 64 + k), (double)(from * 33 + k), 0);
        }
    }
    kc_free(&c);
}

WF_TEST(take_rows_refuses) {
    kc_spec s = {.op = WF_OP_TAKE_ROWS, .p = {.first = 2, .map_h = 2, .map_w = 4}, .in = {{1, 9, 1, 8, WF_LAYOUT_ROWS}}};
    kc_expect_refusal(&s, WF_E_SHAPE, "take_rows \"a.b\": a map of 2 x 4 from row 2 on is not inside a segment of 9 rows");
    s.p.map_w = 0;
    kc_expect_refusal(&s, WF_E_SHAPE, "take_rows \"a.b\": a map of 2 x 0 from row 2 on is not inside a segment of 9 rows");
    s.p = (wf_op_params){.first = 4294967295u, .map_h = 4294967295u, .map_w = 4294967295u};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "take_rows \"a.b\": a map of 4294967295 x 4294967295 from row 4294967295 on is not inside a segment of 9 rows");
}

int main(void) {
    RUN(patches_without_tokens);
    RUN(take_rows_refuses);
    return wf_test_done();
}
