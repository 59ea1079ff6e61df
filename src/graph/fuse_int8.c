/* Integers from one matrix product to the next: where an I8 product with a static grid is the only reader of a norm or of another
   I8 product, that one writes its bytes on the reader's grid, and the reader takes them as they are. The same numbers are
   quantized, only earlier and once, so nothing is lost; a float map, four times as large, is neither written nor read.
   A kept node (tap, output) is a barrier: its floats are wanted. */
#include "graph/graph.h"

static bool can_write_bytes(const wf_node *n) {
    switch (n->op) {
    case WF_OP_GROUP_NORM:
    case WF_OP_LAYER_NORM:
        return true;
    case WF_OP_LINEAR:
    case WF_OP_CONV2D:
        return n->w[WF_W_STEPS] != WF_NONE;
    default:
        return false;
    }
}

static bool reads_static_grid(const wf_node *n) {
    return (n->op == WF_OP_LINEAR || n->op == WF_OP_CONV2D) && n->w[WF_W_STEPS] != WF_NONE && n->w[WF_W_IN_GRID] != WF_NONE;
}

void wf_pass_fuse_int8(wf_graph *g) {
    for (uint32_t i = 0; i < g->count; i++) {
        wf_node *n = &g->nodes[i];
        if (n->dead || !reads_static_grid(n) || n->in[0] == WF_NONE || n->in[0] == n->in[1]) {
            continue;
        }
        wf_node *p = &g->nodes[n->in[0]];
        if (!can_write_bytes(p) || p->kept || p->dead || p->users != 1 || p->guard != n->guard || p->p.out_u8) {
            continue;
        }
        p->p.out_u8 = n->p.in_u8 = 1;
        for (int s = 0; s < 3; s++) {
            p->w[WF_W_OUT_GRID + s] = n->w[WF_W_IN_GRID + s];
        }
    }
}
