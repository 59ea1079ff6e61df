/* The head of a language model: norm, then a logit for each entry of the vocabulary, for every token. */
#include "parts/parts.h"

void wf_head_tokens(wf_graph *g, wf_id x, wf_norm_slot norm, uint32_t vocabulary) {
    x = wf_norm(g, x, "output_norm", norm);
    x = wf_node_linear(g, x, "output", vocabulary, wf_graph_stored_rows(g, "output.bias") != 0); /* [n, t, vocabulary] */
    wf_graph_output(g, "output", "nlc", x);
}
