/* The channel MLP: c → hidden, exact GELU, hidden → c, with biases; PVT-v2 (arXiv 2106.13797, section 3.3) has a depthwise convolution in
   front of the GELU. */
#include "parts/parts.h"

wf_id wf_channel_mlp(wf_graph *g, wf_id n, uint32_t hidden, uint32_t window) {
    uint32_t c = wf_graph_shape(g, n)->c;
    wf_id y = wf_node_linear(g, n, "ffn_up", hidden, true);
    y = window != 0 ? wf_node_depthwise(g, y, "ffn_window", window) : y;
    y = wf_node_gelu(g, y, "ffn_act");
    return wf_node_linear(g, y, "ffn_down", c, true);
}
