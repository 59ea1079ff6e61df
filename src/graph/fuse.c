/* Fusing elementwise successors into the epilogue of linear and conv2d:
     product → gelu       ⇒ product with act = GELU; so a depthwise convolution
     product → residual   ⇒ product with scale and residual (y = base + scale · product)
   The consumer's node becomes the product, so that names and order stay; the producer dies. Exact: the epilogue performs the
   same operations in the same order. A kept node (tap, output) is a barrier, and so is a product that is read twice. */
#include "graph/graph.h"

static bool is_product(const wf_node *n) { return n->op == WF_OP_LINEAR || n->op == WF_OP_CONV2D; }

/* The producer of input `slot` if it may be absorbed. */
static wf_node *absorbable(wf_graph *g, const wf_node *consumer, int slot) {
    wf_id id = consumer->in[slot];
    wf_node *p = id == WF_NONE ? NULL : &g->nodes[id];
    return p != NULL && !p->kept && p->users == 1 && p->guard == consumer->guard ? p : NULL;
}

static void absorb_gelu(wf_graph *g, wf_node *n) {
    wf_node *p = absorbable(g, n, 0);
    if (p == NULL || !(is_product(p) || p->op == WF_OP_DEPTHWISE) || p->p.act != WF_ACT_NONE || p->in[1] != WF_NONE || p->w[2] != WF_NONE) {
        return;
    }
    n->op = p->op;
    n->p = p->p;
    n->p.act = WF_ACT_GELU_ERF;
    for (int i = 0; i < WF_OP_INPUTS; i++) {
        n->in[i] = p->in[i];
    }
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        n->w[i] = p->w[i];
    }
    p->dead = true;
}

static void absorb_residual(wf_graph *g, wf_node *n) {
    wf_node *p = absorbable(g, n, 1);
    if (p == NULL || !is_product(p) || p->in[1] != WF_NONE || p->w[2] != WF_NONE) {
        return;
    }
    wf_id base = n->in[0];
    uint32_t scale = n->w[0];
    n->op = p->op;
    n->p = p->p;
    n->in[0] = p->in[0];
    n->in[1] = base;
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        n->w[i] = i != 2 ? p->w[i] : scale;
    }
    p->dead = true;
}

void wf_pass_fuse_epilogue(wf_graph *g) {
    for (uint32_t i = 0; i < g->count; i++) {
        wf_node *n = &g->nodes[i];
        if (n->op == WF_OP_GELU) {
            absorb_gelu(g, n);
        } else if (n->op == WF_OP_RESIDUAL) {
            absorb_residual(g, n);
        }
    }
}
