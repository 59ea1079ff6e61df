/* The step executor: one mechanism for streaming (a node waits for its weights), slices on a page's main thread (budget),
   abort (stop stepping) and progress. */
#include "graph/plan.h"

typedef struct job {
    const wf_op_call *call;
    const wf_op_impl *impl;
    uint32_t phase;
    char *scratch;
    uint64_t scratch_bytes;
} job;

static void run_tile(void *arg, uint32_t tile, uint32_t thread) {
    const job *j = arg;
    j->impl->run(j->call, j->phase, tile, j->scratch + thread * j->scratch_bytes);
}

static bool weights_are_here(const wf_plan *plan, const wf_node *n) {
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        if (n->w[i] != WF_NONE && !plan->graph.weights->entries[n->w[i]].resident) {
            return false;
        }
    }
    return true;
}

static bool read_later(const wf_graph *g, uint32_t node, uint32_t weight) {
    for (uint32_t i = node + 1; i < g->count; i++) {
        for (int j = 0; j < WF_OP_WEIGHTS; j++) {
            if (g->nodes[i].w[j] == weight && !g->nodes[i].dead) {
                return true;
            }
        }
    }
    return false;
}

/* Passing weights came after the plan was bound, and go when no later node reads them. */
static void bind_passing(wf_plan *plan, uint32_t i) {
    const wf_node *n = &plan->graph.nodes[i];
    for (int j = 0; j < WF_OP_WEIGHTS; j++) {
        plan->calls[i].w[j].data = n->w[j] != WF_NONE ? plan->graph.weights->entries[n->w[j]].view.data : NULL;
    }
}

static void drop_passed(wf_plan *plan, uint32_t i) {
    const wf_node *n = &plan->graph.nodes[i];
    for (int j = 0; j < WF_OP_WEIGHTS; j++) {
        if (n->w[j] != WF_NONE && !read_later(&plan->graph, i, n->w[j])) {
            wf_weights_drop(plan->graph.weights, n->w[j]);
        }
    }
}

static void run_node(wf_exec *e, uint32_t i) {
    wf_plan *plan = e->plan;
    bool passing = plan->graph.weights->passing;
    if (passing) {
        bind_passing(plan, i);
    }
    job j = {&plan->calls[i], wf_plan_impl(plan, plan->graph.nodes[i].op), 0, plan->memory + plan->activation_bytes,
             plan->scratch_bytes};
    wf_pool *pool = wf_plan_threads(plan, i) > 1 ? e->pool : NULL;
    for (j.phase = 0; j.phase < j.impl->phases; j.phase++) {
        wf_pool_run(pool, j.impl->tiles(j.call, j.phase), run_tile, &j);
    }
    if (passing) {
        drop_passed(plan, i);
    }
}

void wf_exec_start(wf_exec *e, wf_plan *plan, wf_pool *pool) {
    e->plan = plan;
    e->pool = pool;
    e->cursor = 0;
    e->flags = 0;
    e->observe = NULL;
    e->observer = NULL;
}

wf_progress wf_exec_step(wf_exec *e, uint64_t budget) {
    const wf_graph *g = &e->plan->graph;
    uint64_t spent = 0;
    for (; e->cursor < g->count; e->cursor++) {
        const wf_node *n = &g->nodes[e->cursor];
        bool skipped = n->guard != WF_NONE && (e->flags >> n->guard & 1u) == 0;
        if (n->dead || n->op == WF_OP_INPUT || skipped) {
            continue;
        }
        if (!weights_are_here(e->plan, n)) {
            return WF_NEED_BYTES;
        }
        if (budget != 0 && spent >= budget) {
            return WF_YIELD;
        }
        if (e->observe != NULL) {
            e->observe(e->observer, e->plan, e->cursor);
        }
        run_node(e, e->cursor);
        spent += wf_op_get(n->op)->cost(&e->plan->calls[e->cursor]);
    }
    return WF_DONE;
}
