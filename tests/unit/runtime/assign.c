/* Optimal assignment: against all permutations for up to 8 rows, ties, numbers of every size, a planted solution among many rows, and
   what is refused. */
#include <stdlib.h>

#include "check.h"
#include "wasmformer.h"

static double sum_of(const float *scores, uint32_t n, const uint32_t *columns) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)scores[i * n + columns[i]];
    }
    return sum;
}

static bool is_permutation(const uint32_t *columns, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (columns[i] == columns[j]) {
                return false;
            }
        }
        if (columns[i] >= n) {
            return false;
        }
    }
    return true;
}

/* The greatest sum over all arrangements of the rows from `row` on. */
static double best_of_all(const float *scores, uint32_t n, uint32_t row, uint32_t taken) {
    double best = row == n ? 0 : -INFINITY;
    for (uint32_t j = 0; j < n && row < n; j++) {
        if (!(taken >> j & 1)) {
            double sum = (double)scores[row * n + j] + best_of_all(scores, n, row + 1, taken | 1u << j);
            best = sum > best ? sum : best;
        }
    }
    return best;
}

static void check(const float *scores, uint32_t n) {
    uint32_t columns[8];
    wf_error err;
    wf_error_clear(&err);
    CHECK_OK(wf_assign(scores, n, columns, &err), err);
    CHECK(is_permutation(columns, n), "n %u: some column is given twice", n);
    double best = best_of_all(scores, n, 0, 0), got = sum_of(scores, n, columns);
    double most = 0;
    for (uint32_t i = 0; i < n * n; i++) {
        most = fabs((double)scores[i]) > most ? fabs((double)scores[i]) : most;
    }
    CHECK(fabs(got - best) <= 1e-13 * n * most, "n %u: %.17g instead of %.17g", n, got, best);
}

WF_TEST(as_good_as_all_permutations) {
    float scores[64];
    for (uint32_t n = 1; n <= 8; n++) {
        for (int round = 0; round < (n == 8 ? 5 : 60); round++) {
            wf_test_fill(scores, n * n, -10, 10);
            check(scores, n);
        }
    }
}

/* Whole numbers from 0 to 2, and tables of one number: many arrangements are best. */
WF_TEST(with_ties) {
    float scores[64];
    for (uint32_t n = 1; n <= 7; n++) {
        for (int round = 0; round < 60; round++) {
            wf_test_fill(scores, n * n, 0, 3);
            for (uint32_t i = 0; i < n * n; i++) {
                scores[i] = round == 0 ? 1 : (float)(int)scores[i];
            }
            check(scores, n);
        }
    }
}

WF_TEST(a_tie_goes_to_the_lower_column) {
    const float scores[9] = {0};
    uint32_t columns[3];
    wf_error err;
    wf_error_clear(&err);
    CHECK_OK(wf_assign(scores, 3, columns, &err), err);
    CHECK(columns[0] == 0 && columns[1] == 1 && columns[2] == 2, "%u %u %u", columns[0], columns[1], columns[2]);
}

/* The best for each row is not the best for all. */
WF_TEST(rows_give_way) {
    const float scores[9] = {9, 8, 0, 9, 1, 0, 9, 7, 5};
    uint32_t columns[3];
    wf_error err;
    wf_error_clear(&err);
    CHECK_OK(wf_assign(scores, 3, columns, &err), err);
    CHECK(columns[0] == 1 && columns[1] == 0 && columns[2] == 2, "%u %u %u", columns[0], columns[1], columns[2]);
}

WF_TEST(numbers_of_every_size) {
    float scores[25];
    for (int round = 0; round < 40; round++) {
        wf_test_fill(scores, 25, -1, 1);
        for (int i = 0; i < 25; i++) {
            scores[i] *= round % 2 == 0 ? 3e37f : 1e-30f;
        }
        check(scores, 5);
    }
}

/* A constant added to a row changes nothing: logits may be taken as they are. */
WF_TEST(rows_may_be_moved) {
    float scores[49];
    uint32_t before[7], after[7];
    wf_error err;
    wf_error_clear(&err);
    wf_test_fill(scores, 49, -4, 4);
    CHECK_OK(wf_assign(scores, 7, before, &err), err);
    for (int i = 0; i < 49; i++) {
        scores[i] += (float)(i / 7 * 8);
    }
    CHECK_OK(wf_assign(scores, 7, after, &err), err);
    CHECK(memcmp(before, after, sizeof before) == 0, "another assignment");
}

WF_TEST(a_planted_solution_among_many) {
    enum { N = WF_JIGSAW_MAX };
    float *scores = malloc((size_t)N * N * sizeof *scores);
    uint32_t *columns = malloc(N * sizeof *columns);
    wf_error err;
    wf_error_clear(&err);
    if (scores == NULL || columns == NULL) {
        CHECK(false, "no memory");
        return;
    }
    wf_test_fill(scores, (size_t)N * N, 0, 1);
    for (uint32_t i = 0; i < N; i++) {
        scores[(size_t)i * N + i * 389 % N] += 1.5f; /* 389 is odd: a permutation */
    }
    CHECK_OK(wf_assign(scores, N, columns, &err), err);
    for (uint32_t i = 0; i < N; i++) {
        CHECK(columns[i] == i * 389 % N, "row %u has column %u", i, columns[i]);
    }
    free(scores);
    free(columns);
}

WF_TEST(refuses) {
    float scores[16];
    uint32_t columns[4];
    wf_error err;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        wf_test_fill(scores, 16, -1, 1);
        scores[6] = bad[i];
        wf_error_clear(&err);
        CHECK_FAILS(wf_assign(scores, 4, columns, &err), WF_E_FORMAT, err);
        CHECK(strstr(err.text, "place 2 for tile 1") != NULL, "%s", err.text);
    }
    wf_error_clear(&err);
    CHECK_FAILS(wf_assign(scores, 0, columns, &err), WF_E_ARGUMENT, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_assign(scores, WF_JIGSAW_MAX + 1, columns, &err), WF_E_ARGUMENT, err);
}

int main(void) {
    RUN(as_good_as_all_permutations);
    RUN(with_ties);
    RUN(a_tie_goes_to_the_lower_column);
    RUN(rows_give_way);
    RUN(numbers_of_every_size);
    RUN(rows_may_be_moved);
    RUN(a_planted_solution_among_many);
    RUN(refuses);
    return wf_test_done();
}
