/* Multi-head self-attention over all cells of the map, over a reduced map (qkv.c), or within windows of it: softmax(q kᵀ / √d + bias) v, proj.
   Windows may have a table of relative positions, "position.weight" [(2·height − 1)·(2·width − 1), heads]. Where maps are padded to
   whole windows, the padding is zeros in front of qkv: behind it, its bias; or "qkv.pad", when a conversion changed that bias. */
#include "parts/parts.h"

static void add_window(wf_graph *g, const wf_mixer *mixer, wf_attention *a) {
    const wf_window *w = &mixer->windows;
    if (w->height != 0 && wf_graph_stored_rows(g, "position.weight") != 0) {
        a->table = wf_graph_table(g, "position.weight", (2 * w->height - 1) * (2 * w->width - 1), mixer->heads);
    }
    if (w->padding_has_bias) {
        uint32_t c = 3 * mixer->heads * mixer->head_dim;
        a->padding = wf_graph_optional_vector(g, "qkv.pad", c);
        a->padding = a->padding == WF_NONE ? wf_graph_vector(g, "qkv.bias", c) : a->padding;
    }
}

wf_id wf_mixer_attention(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    uint32_t c = wf_graph_shape(g, n)->c;
    uint32_t mark = wf_graph_enter(g, "mixer");
    wf_id others, qkv = wf_mixer_qkv(g, n, mixer, &others);
    if (mixer->qk_norm) {
        qkv = wf_node_head_norm(g, qkv, "q_norm", 0, mixer->heads, mixer->head_dim, mixer->qk_eps);
        qkv = wf_node_head_norm(g, qkv, "k_norm", mixer->heads, mixer->heads, mixer->head_dim, mixer->qk_eps);
    }
    wf_attention a = {mixer->heads, mixer->head_dim, (float)(1 / __builtin_sqrt(mixer->head_dim)), mixer->windows, WF_NONE, WF_NONE, others, 0, false};
    add_window(g, mixer, &a);
    wf_id heads = wf_node_attention(g, qkv, "heads", &a); /* [rows, heads·d] */
    heads = wf_mixer_lepe(g, heads, qkv, mixer);
    wf_id y = wf_node_linear(g, heads, "proj", c, true);
    wf_graph_leave(g, mark);
    wf_graph_alias(g, y, "mixer");
    return y;
}
