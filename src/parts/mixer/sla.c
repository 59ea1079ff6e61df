/* Simplified linear attention (SLAB, arXiv 2405.11582) over the map, over a reduced map (qkv.c), or within windows: the op adds a learned
   table to the keys and a depthwise convolution of the values, shared by the heads; proj. The table is bound to the window, or to the
   grid where that is the window. */
#include "parts/parts.h"

wf_id wf_mixer_sla(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    uint32_t c = wf_graph_shape(g, n)->c, mark = wf_graph_enter(g, "mixer");
    wf_sla sla = {mixer->heads, mixer->head_dim, mixer->kernel, mixer->windows, WF_NONE};
    wf_id qkv = wf_mixer_qkv(g, n, mixer, &sla.others);
    const wf_shape *s = wf_graph_shape(g, sla.others != WF_NONE ? sla.others : qkv);
    const wf_window *w = &mixer->windows;
    uint32_t cells = w->stripe != 0 ? w->stripe * (s->h + s->w) : w->height != 0 ? w->height * w->width : s->h * s->w;
    uint64_t rows = wf_graph_stored_rows(g, "heads.position.weight");
    if (qkv != WF_NONE && rows != 0 && rows != cells && w->stripe != 0) {
        wf_graph_fail(g, WF_E_SHAPE, g->prefix, "\"%sheads.position.weight\" belongs to stripes of %u with %llu cells, but this picture gives a map "
                      "of %u × %u there, whose stripes have %u; use the model's own picture size", g->prefix, w->stripe,
                      (unsigned long long)rows, s->h, s->w, cells);
    } else if (qkv != WF_NONE && rows != 0 && rows != cells) {
        wf_graph_fail(g, WF_E_SHAPE, g->prefix, "\"%sheads.position.weight\" belongs to %llu cells, but this picture gives %u × %u = %u "
                      "there; use the model's own picture size", g->prefix, (unsigned long long)rows, s->h, s->w, cells);
    } else if (n != WF_NONE && w->height != 0 && (s->h % w->height != 0 || s->w % w->width != 0)) {
        wf_graph_fail(g, WF_E_SHAPE, g->prefix, "\"%sheads.position.weight\" belongs to windows of %u × %u, which do not divide the map of "
                      "%u × %u that this picture gives there; use the model's own picture size", g->prefix, w->height, w->width, s->h, s->w);
    }
    wf_id heads = wf_node_sla(g, qkv, "heads", &sla); /* [rows, heads·d] */
    heads = wf_mixer_lepe(g, heads, qkv, mixer);
    wf_id y = wf_node_linear(g, heads, "proj", c, true);
    wf_graph_leave(g, mark);
    wf_graph_alias(g, y, "mixer");
    return y;
}
