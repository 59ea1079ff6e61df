/* Memory planning and preparation of the kernel calls. */
#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { ALIGNMENT = 64 };

typedef struct interval {
    uint64_t bytes, at;
    uint32_t first, last; /* node indices, inclusive */
    uint32_t node;
    bool workspace;
} interval;

const wf_op_impl *wf_plan_impl(const wf_plan *plan, wf_op op) {
    const wf_op_entry *e = wf_op_get(op);
    return plan->backend == WF_BACKEND_SIMD ? e->simd : plan->backend == WF_BACKEND_F64 ? e->f64 : e->scalar;
}

static uint64_t aligned(uint64_t n) { return (n + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1); }

static void fill_call(wf_plan *plan, uint32_t i) {
    const wf_graph *g = &plan->graph;
    const wf_node *n = &g->nodes[i];
    wf_op_call *call = &plan->calls[i];
    call->p = &n->p;
    call->out.shape = n->shape;
    for (int j = 0; j < WF_OP_INPUTS; j++) {
        if (n->in[j] != WF_NONE) {
            call->in[j].shape = g->nodes[n->in[j]].shape;
        }
    }
    for (int j = 0; j < WF_OP_WEIGHTS; j++) {
        if (n->w[j] != WF_NONE) {
            call->w[j] = g->weights->entries[n->w[j]].view;
        }
    }
}

/* An activation lives from its node to its last reader; kept ones and inputs to the end of the run. */
static uint32_t collect_intervals(wf_plan *plan, interval *list) {
    const wf_graph *g = &plan->graph;
    uint64_t real = plan->backend == WF_BACKEND_F64 ? sizeof(double) : sizeof(float);
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const wf_node *n = &g->nodes[i];
        if (n->dead) {
            continue;
        }
        interval v = {aligned(wf_shape_elements(&n->shape) * (n->p.out_u8 ? 1 : real)), 0, i, i, i, false};
        for (uint32_t j = i + 1; j < g->count; j++) {
            for (int s = 0; s < WF_OP_INPUTS && !g->nodes[j].dead; s++) {
                v.last = g->nodes[j].in[s] == i ? j : v.last;
            }
        }
        if (n->op == WF_OP_INPUT) {
            v.first = 0; /* written before the run starts */
        }
        if (n->kept) {
            v.last = g->count;
        }
        list[count++] = v;
        const wf_op_impl *impl = n->op == WF_OP_INPUT ? NULL : wf_plan_impl(plan, n->op);
        if (impl != NULL && impl->workspace_bytes != NULL) {
            list[count++] = (interval){aligned(impl->workspace_bytes(&plan->calls[i])), 0, i, i, i, true};
        }
        if (impl != NULL && impl->scratch_bytes != NULL) {
            uint64_t scratch = aligned(impl->scratch_bytes(&plan->calls[i]));
            plan->scratch_bytes = scratch > plan->scratch_bytes ? scratch : plan->scratch_bytes;
        }
    }
    return count;
}

static int larger_first(const void *a, const void *b) {
    const interval *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Lowest offset at which v fits between the placed intervals that overlap it in time. */
static uint64_t lowest_gap(const interval *placed, uint32_t count, const interval *v) {
    uint64_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < count; i++) {
            const interval *p = &placed[i];
            bool same_time = p->first <= v->last && v->first <= p->last;
            if (same_time && p->at < at + v->bytes && at < p->at + p->bytes) {
                at = p->at + p->bytes;
                moved = true;
            }
        }
    }
    return at;
}

static wf_status lay_out(wf_plan *plan, wf_error *err) {
    void *memory;
    WF_TRY(wf_alloc_array(&memory, 2 * (uint64_t)plan->graph.count, sizeof(interval), "the memory plan", err));
    interval *list = memory;
    uint32_t count = collect_intervals(plan, list);
    qsort(list, count, sizeof *list, larger_first);
    for (uint32_t i = 0; i < count; i++) {
        interval *v = &list[i];
        v->at = lowest_gap(list, i, v);
        uint64_t end = v->at + v->bytes;
        plan->activation_bytes = end > plan->activation_bytes ? end : plan->activation_bytes;
        *(v->workspace ? &plan->workspace_at[v->node] : &plan->at[v->node]) = v->at;
    }
    wf_free(list);
    plan->total_bytes = plan->activation_bytes + plan->threads * plan->scratch_bytes;
    return WF_OK;
}

wf_status wf_plan_make(wf_plan *plan, wf_graph *graph, wf_backend backend, uint32_t threads, wf_error *err) {
    memset(plan, 0, sizeof *plan);
    plan->graph = *graph;
    memset(graph, 0, sizeof *graph);
    plan->backend = backend;
    plan->threads = threads;
    WF_TRY(wf_graph_check(&plan->graph, err));
    wf_pass_fuse_epilogue(&plan->graph);
    wf_pass_fuse_int8(&plan->graph);
    uint64_t n = plan->graph.count;
    void *calls, *at;
    WF_TRY(wf_alloc_array(&calls, n, sizeof(wf_op_call), "the plan", err));
    plan->calls = calls;
    WF_TRY(wf_alloc_array(&at, 2 * n, sizeof(uint64_t), "the plan", err));
    plan->at = at;
    plan->workspace_at = plan->at + n;
    for (uint32_t i = 0; i < n; i++) {
        const wf_node *node = &plan->graph.nodes[i];
        fill_call(plan, i);
        if (node->dead || node->op == WF_OP_INPUT) {
            continue;
        }
        plan->cost += wf_op_get(node->op)->cost(&plan->calls[i]);
        if (wf_plan_impl(plan, node->op) == NULL) {
            return wf_fail(err, WF_E_UNSUPPORTED, wf_op_get(node->op)->name, -1,
                           "this build has only the fast kernels; use the command line for the scalar ones and --precision f64");
        }
    }
    return lay_out(plan, err);
}

void wf_plan_free(wf_plan *plan) {
    wf_free(plan->calls);
    wf_free(plan->at);
    wf_graph_free(&plan->graph);
    memset(plan, 0, sizeof *plan);
}

void wf_plan_bind(wf_plan *plan, void *memory) {
    const wf_graph *g = &plan->graph;
    plan->memory = memory;
    for (uint32_t i = 0; i < g->count; i++) {
        const wf_node *n = &g->nodes[i];
        wf_op_call *call = &plan->calls[i];
        for (int j = 0; j < WF_OP_INPUTS; j++) {
            call->in[j].data = n->in[j] != WF_NONE ? plan->memory + plan->at[n->in[j]] : NULL;
        }
        for (int j = 0; j < WF_OP_WEIGHTS; j++) {
            call->w[j].data = n->w[j] != WF_NONE ? g->weights->entries[n->w[j]].view.data : NULL;
        }
        call->out.data = plan->memory + plan->at[i];
        call->workspace = plan->memory + plan->workspace_at[i];
    }
}

bool wf_plan_is_live(const wf_plan *plan, uint32_t node) {
    return !plan->graph.nodes[node].dead && plan->graph.nodes[node].op != WF_OP_INPUT;
}

uint32_t wf_plan_live_nodes(const wf_plan *plan) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < plan->graph.count; i++) {
        live += wf_plan_is_live(plan, i);
    }
    return live;
}

/* Nanoseconds on one thread, to within a factor of two or three: a unit of cost is a multiply–add of a product, and elsewhere an
   element touched. */
static double about_ns(wf_op op, uint64_t cost) {
    bool products = op == WF_OP_LINEAR || op == WF_OP_CONV2D || op == WF_OP_ATTENTION || op == WF_OP_SLA;
    return (double)cost * (products ? 0.03 : 0.3);
}

uint32_t wf_plan_threads(const wf_plan *plan, uint32_t node) {
    const wf_node *n = &plan->graph.nodes[node];
    if (!wf_plan_is_live(plan, node) || plan->threads == 1) {
        return 1;
    }
    return about_ns(n->op, wf_op_get(n->op)->cost(&plan->calls[node])) < WF_PLAN_THREADS_PAY_NS ? 1 : plan->threads;
}
