/* The table of ops, expanded from ops.def: names, shape rules and the three executable forms. */
#ifndef WF_GRAPH_OP_TABLE_H
#define WF_GRAPH_OP_TABLE_H

#include "kernels/op.h"

typedef enum wf_op {
    WF_OP_INPUT, /* bytes that the caller provides; has no kernel */
#define WF_OP(upper, lower, doc) WF_OP_##upper,
#include "graph/ops.def"
#undef WF_OP
    WF_OP_COUNT
} wf_op;

typedef struct wf_op_entry {
    const char *name;
    wf_op_infer infer;
    wf_op_cost cost;
    const wf_op_impl *scalar, *f64, *simd; /* NULL in builds without them */
} wf_op_entry;

const wf_op_entry *wf_op_get(wf_op op);

#endif
