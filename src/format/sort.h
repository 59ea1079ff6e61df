/* Sorts a list of indices by a comparison of what they stand for. Heap sort: O(n log n) whatever a
   hostile file holds, in place, and a few hundred bytes of code. Ties need a total order from
   `compare` (use the index itself). */
#ifndef WF_FORMAT_SORT_H
#define WF_FORMAT_SORT_H

#include <stddef.h>
#include <stdint.h>

typedef int (*wf_index_compare)(const void *context, uint32_t a, uint32_t b);

void wf_sort_indices(uint32_t *list, size_t n, wf_index_compare compare, const void *context);

#endif
