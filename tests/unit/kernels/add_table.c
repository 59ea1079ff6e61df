/* add_table: the table is repeated for every segment, and a table of another size is refused. */
#include "kernel_case.h"

WF_TEST(the_table_is_repeated_for_every_segment) {
    kc_spec s = {.op = WF_OP_ADD_TABLE, .in = {{3, 2, 3, 33, WF_LAYOUT_ROWS}}, .w = {{6, 33, WF_PACK_TABLE}}};
    kernel_case c;
    if (!kc_init(&c, &s)) {
        return;
    }
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(&c, (kc_form)form);
        const wf_op_call *call = &c.call[form];
        for (size_t i = 0, stride = 64; i < 3 * 6 * stride; i++) {
            double x = kc_get(call->in[0].data, (kc_form)form, i);
            double t = kc_get(call->w[0].data, (kc_form)form, i % (6 * stride));
            CHECK_NEAR(kc_get(call->out.data, (kc_form)form, i), x + t, form == KC_F64 ? 0 : 1.3e-7);
        }
    }
    kc_free(&c);
}

WF_TEST(add_table_refuses) {
    kc_spec s = {.op = WF_OP_ADD_TABLE, .in = {{1, 7, 7, 8, WF_LAYOUT_ROWS}}, .w = {{36, 8, WF_PACK_TABLE}}};
    kc_expect_refusal(&s, WF_E_SHAPE,
                      "add_table \"a.b\": the table has 36 rows of 8 but the map has 7 x 7 cells "
                      "of 8 channels; use the input "
                      "size that the table was made for");
}

int main(void) {
    RUN(the_table_is_repeated_for_every_segment);
    RUN(add_table_refuses);
    return wf_test_done();
}
