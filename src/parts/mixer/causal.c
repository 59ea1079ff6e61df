/* Causal self-attention of the Llama family: q, k and v apart, rotary positions on q and k, each head of k and v read by
   heads / kv_heads heads of q, softmax(q kᵀ / √d) v over the rows up to one's own. Names are llama.cpp's; biases are taken where the
   file has them. */
#include "parts/parts.h"

static wf_id project(wf_graph *g, wf_id n, const char *name, const char *bias, uint32_t width) {
    return wf_node_linear(g, n, name, width, wf_graph_stored_rows(g, bias) != 0);
}

wf_id wf_mixer_causal(wf_graph *g, wf_id n, const wf_mixer *m) {
    uint32_t c = wf_graph_shape(g, n)->c, d = m->head_dim;
    wf_id qkv[3];
    qkv[0] = project(g, n, "attn_q", "attn_q.bias", m->heads * d);    /* [rows, heads·d] */
    qkv[1] = project(g, n, "attn_k", "attn_k.bias", m->kv_heads * d); /* [rows, kv_heads·d] */
    qkv[2] = project(g, n, "attn_v", "attn_v.bias", m->kv_heads * d);
    qkv[0] = wf_node_rope(g, qkv[0], "attn_q_turned", m->angles, m->heads, d, m->pairs);
    qkv[1] = wf_node_rope(g, qkv[1], "attn_k_turned", m->angles, m->kv_heads, d, m->pairs);
    wf_attention a = {.heads = m->heads, .head_dim = d, .scale = (float)(1 / __builtin_sqrt(d)), .table = WF_NONE, .padding = WF_NONE,
                      .kv_heads = m->kv_heads, .causal = true};
    wf_id heads = wf_node_attention_apart(g, qkv, "attn_heads", &a); /* [rows, heads·d] */
    return project(g, heads, "attn_output", "attn_output.bias", c);
}
