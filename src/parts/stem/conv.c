/* Convolutional patch embedding, used as the stem and between stages, and the position table that may follow it. */
#include "parts/parts.h"

wf_id wf_stem_conv(wf_graph *g, wf_id x, const char *name, const wf_conv *conv) { return wf_node_conv2d(g, x, name, conv); }

wf_id wf_stem_position(wf_graph *g, wf_id x, uint32_t grid_h, uint32_t grid_w) {
    const wf_shape *s = wf_graph_shape(g, x);
    if (x != WF_NONE && (s->h != grid_h || s->w != grid_w)) {
        return wf_graph_fail(g, WF_E_SHAPE, g->prefix,
                             "\"%sposition.weight\" belongs to a grid of %u × %u, but this picture gives %u × %u there; "
                             "use the model's own picture size", g->prefix, grid_h, grid_w, s->h, s->w);
    }
    uint32_t table = wf_graph_table(g, "position.weight", grid_h * grid_w, s->c);
    return wf_node_add_table(g, x, "position", table);
}
