/* Spatial MLP: one [h·w, h·w] matrix without bias, shared by all channels (metaformer.py, SpatialFc): transpose, linear,
   transpose. The matrix is bound to its grid, so another picture size is an error. */
#include "parts/parts.h"

wf_id wf_mixer_spatial_fc(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    (void)mixer;
    const wf_shape *s = wf_graph_shape(g, n);
    uint32_t tokens = s->h * s->w;
    uint32_t mark = wf_graph_enter(g, "mixer");
    uint64_t grid = wf_graph_stored_rows(g, "fc.weight");
    if (n != WF_NONE && grid != 0 && grid != tokens) {
        wf_graph_fail(g, WF_E_SHAPE, g->prefix,
                      "\"%sfc.weight\" mixes a grid of %llu cells, but this picture gives %u × %u = %u there; use the "
                      "model's own picture size", g->prefix, (unsigned long long)grid, s->h, s->w, tokens);
    }
    wf_id t = wf_node_transpose(g, n, "columns");          /* [n, c, h·w] */
    wf_id y = wf_node_linear(g, t, "fc", tokens, false);   /* [n, c, h·w] */
    y = wf_node_transpose(g, y, "rows");                   /* [n, h·w, c] */
    wf_graph_leave(g, mark);
    wf_graph_alias(g, y, "mixer");
    return y;
}
