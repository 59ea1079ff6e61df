/* Simplified linear attention over the map (SLAB, arXiv 2405.11582): qkv [3·heads·d, c]; the op adds a learned table to the keys and
   a depthwise window of the values, shared by the heads; proj. The table is bound to its grid. */
#include "parts/parts.h"

wf_id wf_mixer_sla(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    const wf_shape *s = wf_graph_shape(g, n);
    uint32_t c = s->c, cells = s->h * s->w;
    uint32_t mark = wf_graph_enter(g, "mixer");
    uint64_t grid = wf_graph_stored_rows(g, "heads.position.weight");
    if (n != WF_NONE && grid != 0 && grid != cells) {
        wf_graph_fail(g, WF_E_SHAPE, g->prefix, "\"%sheads.position.weight\" belongs to %llu cells, but this picture gives %u × %u = %u "
                      "there; use the model's own picture size", g->prefix, (unsigned long long)grid, s->h, s->w, cells);
    }
    wf_id qkv = wf_node_linear(g, n, "qkv", 3 * mixer->heads * mixer->head_dim, mixer->qkv_bias); /* [rows, 3·heads·d] */
    wf_id heads = wf_node_sla(g, qkv, "heads", mixer->heads, mixer->head_dim, mixer->window);     /* [rows, heads·d] */
    wf_id y = wf_node_linear(g, heads, "proj", c, true);
    wf_graph_leave(g, mark);
    wf_graph_alias(g, y, "mixer");
    return y;
}
