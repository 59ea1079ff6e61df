/* SwiGLU (arXiv 2002.05202): silu(gate · x) ∘ (up · x) → down, without biases in the published models; a bias that the file has
   is taken (the norm in front may have been folded into it). */
#include "parts/parts.h"

wf_id wf_channel_gated(wf_graph *g, wf_id n, uint32_t hidden) {
    uint32_t c = wf_graph_shape(g, n)->c;
    wf_id gate = wf_node_linear(g, n, "ffn_gate", hidden, wf_graph_stored_rows(g, "ffn_gate.bias") != 0);
    wf_id up = wf_node_linear(g, n, "ffn_up", hidden, wf_graph_stored_rows(g, "ffn_up.bias") != 0);
    wf_id y = wf_node_gate(g, gate, up, "ffn_act"); /* [rows, hidden] */
    return wf_node_linear(g, y, "ffn_down", c, wf_graph_stored_rows(g, "ffn_down.bias") != 0);
}
