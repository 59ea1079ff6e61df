/* From a graph to something that runs: where each activation lies in one block of memory (by lifetime), how much scratch the
   kernels need, and the prepared kernel calls. The peak is known before anything is allocated.

   Lifetimes are intervals of node indices, so the layout is interval colouring: largest first, at the lowest offset that is free
   during the whole interval. */
#ifndef WF_GRAPH_PLAN_H
#define WF_GRAPH_PLAN_H

#include "base/pool.h"
#include "graph/graph.h"

/* Work below this is done by one thread (tests/bench/README.md, "Threads"). */
enum { WF_PLAN_THREADS_PAY_NS = 20000 };

typedef struct wf_plan {
    wf_graph graph;        /* owned */
    wf_backend backend;
    uint32_t threads;      /* scratch is laid out for so many */
    uint64_t *at;          /* [nodes] offset of the activation */
    uint64_t *workspace_at; /* [nodes] offset of the node's workspace */
    uint64_t activation_bytes; /* activations and workspaces */
    uint64_t scratch_bytes;    /* of one thread */
    uint64_t total_bytes;      /* activation_bytes + threads × scratch_bytes */
    uint64_t cost;             /* multiply–adds of one run */
    wf_op_call *calls;         /* [nodes], data pointers set by wf_plan_bind */
    char *memory;
} wf_plan;

/* Takes over `graph` (also on failure). Runs the passes, then lays out memory. */
wf_status wf_plan_make(wf_plan *plan, wf_graph *graph, wf_backend backend, uint32_t threads, wf_error *err);
void wf_plan_free(wf_plan *plan);
/* Sets the data pointers of all calls; memory has total_bytes and is 64-byte aligned. Weights must be reserved. */
void wf_plan_bind(wf_plan *plan, void *memory);
const wf_op_impl *wf_plan_impl(const wf_plan *plan, wf_op op);
/* Whether a run computes this node. */
bool wf_plan_is_live(const wf_plan *plan, uint32_t node);
/* How many of the plan's threads work on a node: all, or one where waking the others and moving its data between their caches would
   take longer than they save. */
uint32_t wf_plan_threads(const wf_plan *plan, uint32_t node);
uint32_t wf_plan_live_nodes(const wf_plan *plan);

/* Called before a node runs: its inputs are there. For calibration and profiles; NULL = nobody watches. */
typedef void (*wf_observe)(void *user, const wf_plan *plan, uint32_t node);

/* One run through a plan. */
typedef struct wf_exec {
    wf_plan *plan;
    wf_pool *pool;
    uint32_t cursor; /* the next node */
    uint32_t flags;  /* bit g: nodes guarded by g run */
    wf_observe observe;
    void *observer;
} wf_exec;

void wf_exec_start(wf_exec *e, wf_plan *plan, wf_pool *pool);
/* Runs nodes until all are done, until one needs a weight that is not resident yet, or until about `budget` multiply–adds
   were spent (0 = no limit; at least one node runs). */
wf_progress wf_exec_step(wf_exec *e, uint64_t budget);

#endif
