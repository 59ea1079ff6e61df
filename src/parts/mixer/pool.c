/* PoolFormer's mixer: average over the valid cells of a window, minus the input (arXiv 2111.11418, eq. 4). */
#include "parts/parts.h"

wf_id wf_mixer_pool(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    return wf_node_pool2d(g, n, "mixer", mixer->pool_size, true);
}
