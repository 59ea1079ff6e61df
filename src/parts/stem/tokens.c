/* From a map of patches to a sequence: ViT's class token in front of the patches and learned positions (arXiv 2010.11929, eq. 1),
   DeiT's distillation token and registers (arXiv 2012.12877, 2309.16588). Positions belong to all rows, or (timm's no_embed_class) to
   the patches alone. */
#include "parts/parts.h"

wf_id wf_stem_tokens(wf_graph *g, wf_id x, const wf_tokens *t) {
    const wf_shape map = *wf_graph_shape(g, x);
    wf_position p = {t->position == WF_POSITION_ALL ? t->prefix : 0, t->grid_h, t->grid_w, map.h, map.w, t->resample};
    if (t->position == WF_POSITION_GRID) {
        x = wf_node_position(g, x, "position", &p);
    }
    if (t->prefix != 0) {
        x = wf_node_prefix(g, x, "prefix", t->prefix);
    }
    if (t->position == WF_POSITION_ALL) {
        x = wf_node_position(g, x, "position", &p);
    }
    wf_graph_alias(g, x, "tokens");
    return x;
}
