/* Where a run's time goes: each node timed over several runs, beside what this machine could do. */
#ifndef WF_CLI_PROFILE_H
#define WF_CLI_PROFILE_H

#include "cli/load.h"
#include "format/json.h"

enum { WF_PROFILE_SIZES = 5 };

/* Rates of one thread in this build, on this machine, now. */
typedef struct wf_limits {
    double f32, int8;                         /* multiply–adds a second */
    uint32_t sizes;                           /* of memory that were tried */
    uint64_t bytes[WF_PROFILE_SIZES];
    double copy[WF_PROFILE_SIZES];            /* bytes read and written a second, at these sizes */
} wf_limits;

typedef struct wf_node_time {
    wf_node_info node;
    double seconds; /* median */
    double limit;   /* seconds that arithmetic or memory need at least */
} wf_node_time;

typedef struct wf_profile {
    wf_node_time *nodes;
    uint32_t count;
    wf_limits limits;
    double seconds, limit; /* of all nodes */
} wf_profile;

/* Runs a prepared session `runs` times, node by node; `fill` writes its input. */
wf_status wf_profile_measure(const wf_cli *cli, wf_session *s, void (*fill)(void *user), void *user, uint32_t runs, wf_profile *out,
                             wf_error *err);
void wf_profile_free(wf_profile *p);
/* A table by op, or of every node. */
void wf_profile_print(const wf_profile *p, bool nodes);
/* ,"limits":{…},"ops":[…],"nodes":[…] */
void wf_profile_json(const wf_profile *p, wf_text *t);

#endif
