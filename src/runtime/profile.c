/* What a run consists of, node by node: the work of each, which a profile divides by time and by the machine's limits. */
#include <string.h>

#include "format/json.h"
#include "runtime/model.h"

uint32_t wf_session_node_count(const wf_session *s) {
    const wf_plan *plan = wf_session_plan(s);
    return plan != NULL ? wf_plan_live_nodes(plan) : 0;
}

uint32_t wf_session_nodes_done(const wf_session *s) {
    const wf_plan *plan = wf_session_plan(s);
    uint32_t done = 0;
    for (uint32_t i = 0; plan != NULL && i < wf_session_cursor(s); i++) {
        done += wf_plan_is_live(plan, i);
    }
    return done;
}

static uint64_t bytes_of(const wf_plan *plan, const wf_node *n) {
    uint64_t real = plan->backend == WF_BACKEND_F64 ? sizeof(double) : sizeof(float), bytes = wf_shape_elements(&n->shape) * real;
    for (int i = 0; i < WF_OP_INPUTS; i++) {
        bytes += n->in[i] != WF_NONE ? wf_shape_elements(&plan->graph.nodes[n->in[i]].shape) * real : 0;
    }
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        bytes += n->w[i] != WF_NONE ? plan->graph.weights->entries[n->w[i]].bytes : 0;
    }
    return bytes;
}

static void describe(const wf_plan *plan, uint32_t i, wf_node_info *out) {
    const wf_node *n = &plan->graph.nodes[i];
    memset(out, 0, sizeof *out);
    out->name = n->name;
    out->op = wf_op_get(n->op)->name;
    out->bytes = bytes_of(plan, n);
    out->threads = wf_plan_threads(plan, i);
    bool matrix = n->op == WF_OP_LINEAR || n->op == WF_OP_CONV2D;
    if (matrix || n->op == WF_OP_ATTENTION || n->op == WF_OP_SLA || n->op == WF_OP_DEPTHWISE) {
        out->multiply_adds = wf_op_get(n->op)->cost(&plan->calls[i]);
    }
    if (matrix && n->w[0] != WF_NONE) {
        out->type = wf_dtype_get(plan->graph.weights->entries[n->w[0]].stored.type)->name;
        out->int8 = n->p.int8_rows != 0;
    }
}

wf_status wf_session_node(const wf_session *s, uint32_t index, wf_node_info *out, wf_error *err) {
    const wf_plan *plan = wf_session_plan(s);
    for (uint32_t i = 0; plan != NULL && i < plan->graph.count; i++) {
        if (wf_plan_is_live(plan, i) && index-- == 0) {
            describe(plan, i, out);
            return WF_OK;
        }
    }
    return wf_fail(err, WF_E_ARGUMENT, "node", -1, "the run has %u nodes", wf_session_node_count(s));
}

char *wf_session_describe_nodes(const wf_session *s) {
    const wf_plan *plan = wf_session_plan(s);
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "[");
    bool first = true;
    for (uint32_t i = 0; plan != NULL && i < plan->graph.count; i++) {
        if (!wf_plan_is_live(plan, i)) {
            continue;
        }
        wf_node_info n;
        describe(plan, i, &n);
        wf_text_add(&t, first ? "{\"name\":" : ",{\"name\":");
        wf_text_json_string(&t, n.name);
        wf_text_format(&t, ",\"op\":\"%s\"", n.op);
        if (n.type != NULL) {
            wf_text_format(&t, ",\"type\":\"%s\"", n.type);
        }
        wf_text_format(&t, ",\"int8\":%s,\"multiplyAdds\":%llu,\"bytes\":%llu,\"threads\":%u}", n.int8 ? "true" : "false",
                       (unsigned long long)n.multiply_adds, (unsigned long long)n.bytes, n.threads);
        first = false;
    }
    wf_text_add(&t, "]");
    if (t.failed) {
        wf_text_free(&t);
        return NULL;
    }
    return t.data;
}
