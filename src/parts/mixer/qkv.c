/* What attention reads: q, k and v of every row by one product, "qkv" [3·heads·d, c]; or, with a spatial reduction r (PVT, arXiv
   2102.12122, section 3.3), q of every row, and k and v of a map r times smaller each way: a convolution of r × r cells without
   overlap, "reduce", its norm, "reduce_norm", and one product, "kv" [2·heads·d, c]. Cells that fill no r × r are left out. */
#include "parts/parts.h"

/* A fold of a norm makes biases where the source had none. */
static bool biased(wf_graph *g, const wf_mixer *mixer, const char *bias) {
    return mixer->qkv_bias || wf_graph_stored_rows(g, bias) != 0;
}

wf_id wf_mixer_qkv(wf_graph *g, wf_id n, const wf_mixer *mixer, wf_id *others) {
    uint32_t width = mixer->heads * mixer->head_dim;
    *others = WF_NONE;
    if (mixer->reduction <= 1) {
        return wf_node_linear(g, n, "qkv", 3 * width, biased(g, mixer, "qkv.bias"));
    }
    wf_conv cells = {wf_graph_shape(g, n)->c, mixer->reduction, mixer->reduction, 0, true};
    wf_id reduced = wf_node_conv2d(g, n, "reduce", &cells); /* [n, h/r, w/r, c] */
    reduced = wf_norm(g, reduced, "reduce_norm", mixer->reduction_norm);
    *others = wf_node_linear(g, reduced, "kv", 2 * width, biased(g, mixer, "kv.bias"));
    return wf_node_linear(g, n, "q", width, biased(g, mixer, "q.bias"));
}
