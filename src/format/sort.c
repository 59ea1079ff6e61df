/* Heap sort of indices: build a max-heap, then move its top behind the shrinking heap. */
#include "format/sort.h"

static void sift_down(uint32_t *heap, size_t at, size_t n, wf_index_compare compare,
                      const void *context) {
    uint32_t moving = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && compare(context, heap[child], heap[child + 1]) < 0) {
            child++;
        }
        if (compare(context, moving, heap[child]) >= 0) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

void wf_sort_indices(uint32_t *list, size_t n, wf_index_compare compare, const void *context) {
    for (size_t i = n / 2; i-- > 0;) {
        sift_down(list, i, n, compare, context);
    }
    for (size_t end = n; end-- > 1;) {
        uint32_t largest = list[0];
        list[0] = list[end];
        list[end] = largest;
        sift_down(list, 0, end, compare, context);
    }
}
