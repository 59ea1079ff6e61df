/* Heap sort of indices: sorted, a permutation, and O(n log n) comparisons on the orders that are
 * hard for other sorts. */
#include "format/sort.h"

#include <stdlib.h>

#include "../check.h"

static uint64_t comparisons;

static int by_value(const void *context, uint32_t a, uint32_t b) {
    const uint32_t *v = context;
    comparisons++;
    return v[a] != v[b] ? (v[a] < v[b] ? -1 : 1) : a < b ? -1 : a > b;
}

WF_TEST(sorts_every_kind_of_order) {
    enum { MOST = 3000 };
    static uint32_t values[MOST], order[MOST];
    static bool seen[MOST];
    for (int kind = 0; kind < 5; kind++) {
        for (uint32_t n = 0; n < MOST; n = n < 40 ? n + 1 : n * 3) {
            wf_test_seed(n);
            for (uint32_t i = 0; i < n; i++) {
                values[i] = kind == 0   ? i
                            : kind == 1 ? n - i
                            : kind == 2 ? wf_test_u32()
                            : kind == 3 ? wf_test_u32() % 3
                                        : 7;
                order[i] = i;
                seen[i] = false;
            }
            comparisons = 0;
            wf_sort_indices(order, n, by_value, values);
            CHECK(comparisons <= 2 * (uint64_t)n * 13 + 2, "%d comparisons for %d",
                  (int)comparisons, (int)n);
            for (uint32_t i = 0; i < n; i++) {
                CHECK(order[i] < n && !seen[order[i]], "no permutation");
                seen[order[i] < n ? order[i] : 0] = true;
                CHECK(i == 0 || by_value(values, order[i - 1], order[i]) < 0,
                      "kind %d, n %d, place %d", kind, (int)n, (int)i);
            }
        }
    }
}

int main(void) {
    RUN(sorts_every_kind_of_order);
    return wf_test_done();
}
