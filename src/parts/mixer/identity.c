/* No token mixing: the block computes x + s1 · norm1(x). The node exists only as a name for taps. */
#include "parts/parts.h"

wf_id wf_mixer_identity(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    (void)mixer;
    wf_graph_alias(g, n, "mixer");
    return n;
}
