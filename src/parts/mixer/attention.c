/* Multi-head self-attention over all cells of the map: qkv [3·heads·d, c], softmax(q kᵀ / √d) v, proj. */
#include "parts/parts.h"

wf_id wf_mixer_attention(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    uint32_t c = wf_graph_shape(g, n)->c;
    uint32_t mark = wf_graph_enter(g, "mixer");
    wf_id qkv = wf_node_linear(g, n, "qkv", 3 * mixer->heads * mixer->head_dim, mixer->qkv_bias); /* [rows, 3·heads·d] */
    if (mixer->qk_norm) {
        qkv = wf_node_head_norm(g, qkv, "q_norm", 0, mixer->heads, mixer->head_dim, mixer->qk_eps);
        qkv = wf_node_head_norm(g, qkv, "k_norm", mixer->heads, mixer->heads, mixer->head_dim, mixer->qk_eps);
    }
    float scale = 1.0f / __builtin_sqrtf((float)mixer->head_dim);
    wf_id heads = wf_node_attention(g, qkv, "heads", mixer->heads, mixer->head_dim, scale); /* [rows, heads·d] */
    wf_id y = wf_node_linear(g, heads, "proj", c, true);
    wf_graph_leave(g, mark);
    wf_graph_alias(g, y, "mixer");
    return y;
}
