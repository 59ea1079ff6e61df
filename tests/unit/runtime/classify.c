/* The k best classes: order, ties, softmax and sigmoid. */
#include "check.h"
#include "wasmformer.h"

WF_TEST(best_first_ties_to_the_lower_index) {
    const float logits[] = {1, 5, 2, 5, -3, 5, 0};
    wf_class_score top[7];
    CHECK(wf_classify_top(logits, 7, 4, WF_SCORES_RAW, top) == 4, "count");
    static const uint32_t want[] = {1, 3, 5, 2};
    for (int i = 0; i < 4; i++) {
        CHECK(top[i].index == want[i], "place %d is %u", i, top[i].index);
    }
    CHECK(top[0].score == 5 && top[3].score == 2, "raw scores are the logits");
    CHECK(wf_classify_top(logits, 7, 20, WF_SCORES_RAW, top) == 7, "never more than there are");
}

WF_TEST(softmax_over_all_classes) {
    float logits[100];
    wf_class_score top[100];
    double sum = 0, total = 0;
    wf_test_fill(logits, 100, -20, 60);
    for (int i = 0; i < 100; i++) {
        sum += exp((double)logits[i] - 60);
    }
    CHECK(wf_classify_top(logits, 100, 100, WF_SCORES_SOFTMAX, top) == 100, "count");
    for (int i = 0; i < 100; i++) {
        double want = exp((double)logits[top[i].index] - 60) / sum;
        CHECK(fabs(top[i].score - want) < 1e-6, "%g instead of %g", (double)top[i].score, want);
        total += (double)top[i].score;
    }
    CHECK_NEAR(total, 1, 1e-5);
}

WF_TEST(a_sigmoid_for_each_class) {
    const float logits[] = {0, -3, 100, 2.5f, -200};
    wf_class_score top[5];
    CHECK(wf_classify_top(logits, 5, 5, WF_SCORES_SIGMOID, top) == 5, "count");
    static const uint32_t want[] = {2, 3, 0, 1, 4};
    for (int i = 0; i < 5; i++) {
        CHECK(top[i].index == want[i], "place %d is %u", i, top[i].index);
        CHECK_NEAR(top[i].score, 1 / (1 + exp(-(double)logits[want[i]])), 1e-7);
    }
}

WF_TEST(scores_must_be_finite) {
    float logits[3] = {1, 2, 3};
    wf_error err;
    wf_error_clear(&err);
    CHECK_OK(wf_classify_check(logits, 3, &err), err);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        logits[i] = bad[i];
        wf_error_clear(&err);
        CHECK_FAILS(wf_classify_check(logits, 3, &err), WF_E_FORMAT, err);
        logits[i] = 0;
    }
}

int main(void) {
    RUN(scores_must_be_finite);
    RUN(best_first_ties_to_the_lower_index);
    RUN(softmax_over_all_classes);
    RUN(a_sigmoid_for_each_class);
    return wf_test_done();
}
