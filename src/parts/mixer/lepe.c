/* Locally enhanced positional encoding (CSwin, arXiv 2107.00652, section 3.3): to what the heads make, a depthwise convolution of the
   values is added, "lepe". At the edges of stripes it sees zeros, as attention sees nothing beyond them. */
#include "parts/parts.h"

wf_id wf_mixer_lepe(wf_graph *g, wf_id heads, wf_id qkv, const wf_mixer *mixer) {
    if (mixer->lepe == 0) {
        return heads;
    }
    return wf_node_depthwise_onto(g, heads, qkv, "lepe", mixer->lepe, 2 * mixer->heads * mixer->head_dim, mixer->windows.stripe);
}
