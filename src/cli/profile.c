/* Times nodes by stepping with the least budget; measures the machine with the loops of kernels/limits.h. A node's limit is the
   longer of multiply–adds ÷ peak and bytes ÷ the rate of a copy whose memory is as large; with several threads both are taken as so
   many times one thread's, which for memory outside the caches is too much to ask. */
#include "cli/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/platform.h"
#include "cli/text_out.h"
#include "kernels/limits.h"

enum { TRIES = 20, TRY_NS = 1000 * 1000 };

/* ---- the machine ---- */

typedef struct probe {
    void *memory;
    size_t bytes; /* 0: arithmetic */
    bool int8;
} probe;

static uint64_t work(const probe *p, uint32_t rounds) {
    return p->bytes == 0 ? wf_limit_arithmetic(p->int8, rounds, p->memory) : wf_limit_copy(p->memory, p->bytes, rounds);
}

/* The best of some tries of a millisecond or two: others on the machine only take away. */
static double rate(const probe *p) {
    double best = 0;
    uint32_t rounds = 1;
    for (int i = 0; i < TRIES;) {
        uint64_t began = wf_platform_now_ns(), done = work(p, rounds), ns = wf_platform_now_ns() - began;
        if (ns < TRY_NS && rounds < 1u << 24) {
            rounds *= 2;
            continue;
        }
        best = (double)done / (double)ns > best ? (double)done / (double)ns : best;
        i++;
    }
    return best * 1e9;
}

static wf_status measure_limits(wf_limits *l, uint64_t largest, wf_error *err) {
    static const uint32_t sizes[WF_PROFILE_SIZES] = {16 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20};
    memset(l, 0, sizeof *l);
    do {
        l->bytes[l->sizes] = sizes[l->sizes];
        l->sizes++;
    } while (l->sizes < WF_PROFILE_SIZES && l->bytes[l->sizes - 1] < largest);
    probe p = {NULL, 0, false};
    WF_TRY(wf_alloc_array(&p.memory, l->bytes[l->sizes - 1], 1, "the machine's limits", err));
    l->f32 = rate(&p);
    p.int8 = true;
    l->int8 = rate(&p);
    for (uint32_t i = 0; i < l->sizes; i++) {
        p.bytes = (size_t)l->bytes[i];
        l->copy[i] = rate(&p);
    }
    wf_free(p.memory);
    return WF_OK;
}

static double limit_of(const wf_limits *l, const wf_node_info *n) {
    uint32_t size = 0;
    while (size + 1 < l->sizes && l->bytes[size] < n->bytes) {
        size++;
    }
    double arithmetic = (double)n->multiply_adds / (n->int8 ? l->int8 : l->f32), memory = (double)n->bytes / l->copy[size];
    return (arithmetic > memory ? arithmetic : memory) / n->threads;
}

/* ---- the nodes ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* times: [count][runs] */
static wf_status time_run(const wf_cli *cli, wf_session *s, double *times, uint32_t runs, uint32_t run, wf_error *err) {
    (void)cli;
    wf_progress progress = WF_YIELD;
    uint32_t done = 0;
    WF_TRY(wf_check_interrupt(err));
    WF_TRY(wf_session_start(s, err));
    while (progress != WF_DONE) {
        uint64_t began = wf_platform_now_ns();
        WF_TRY(wf_session_step(s, 1, &progress, err));
        double seconds = (double)(wf_platform_now_ns() - began) / 1e9;
        uint32_t now = wf_session_nodes_done(s);
        for (; done < now; done++) { /* more than one only where a node costs nothing */
            times[done * runs + run] = seconds;
            seconds = 0;
        }
    }
    return WF_OK;
}

static wf_status fill_nodes(wf_profile *p, wf_session *s, double *times, uint32_t runs, wf_error *err) {
    uint64_t largest = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        WF_TRY(wf_session_node(s, i, &p->nodes[i].node, err));
        largest = p->nodes[i].node.bytes > largest ? p->nodes[i].node.bytes : largest;
    }
    WF_TRY(measure_limits(&p->limits, largest, err));
    for (uint32_t i = 0; i < p->count; i++) {
        qsort(times + i * runs, runs, sizeof *times, by_value);
        p->nodes[i].seconds = times[i * runs + runs / 2];
        p->nodes[i].limit = limit_of(&p->limits, &p->nodes[i].node);
        p->seconds += p->nodes[i].seconds;
        p->limit += p->nodes[i].limit;
    }
    return WF_OK;
}

wf_status wf_profile_measure(const wf_cli *cli, wf_session *s, void (*fill)(void *user), void *user, uint32_t runs, wf_profile *out,
                             wf_error *err) {
    memset(out, 0, sizeof *out);
    out->count = wf_session_node_count(s);
    void *nodes, *times;
    WF_TRY(wf_alloc_array(&nodes, out->count, sizeof *out->nodes, "the profile", err));
    out->nodes = nodes;
    WF_TRY(wf_alloc_array(&times, (uint64_t)out->count * runs, sizeof(double), "the profile", err));
    wf_status status = WF_OK;
    for (uint32_t run = 0; run < runs && status == WF_OK; run++) {
        fill(user);
        status = time_run(cli, s, times, runs, run, err);
    }
    if (status == WF_OK) {
        status = fill_nodes(out, s, times, runs, err);
    }
    wf_free(times);
    return status;
}

void wf_profile_free(wf_profile *p) {
    wf_free(p->nodes);
    memset(p, 0, sizeof *p);
}

/* ---- saying ---- */

typedef struct row {
    const wf_node_info *like; /* op and type */
    uint32_t nodes;
    double seconds, limit, multiply_adds, bytes;
} row;

static bool same_kind(const wf_node_info *a, const wf_node_info *b) {
    return strcmp(a->op, b->op) == 0 && a->int8 == b->int8 && (a->type == NULL) == (b->type == NULL) &&
           (a->type == NULL || strcmp(a->type, b->type) == 0);
}

static void add(row *r, const wf_node_time *n) {
    r->like = &n->node;
    r->nodes++;
    r->seconds += n->seconds;
    r->limit += n->limit;
    r->multiply_adds += (double)n->node.multiply_adds;
    r->bytes += (double)n->node.bytes;
}

static int slower_first(const void *a, const void *b) {
    double x = ((const row *)a)->seconds, y = ((const row *)b)->seconds;
    return (x < y) - (x > y);
}

enum { MAX_ROWS = 64 };

/* By op and type, the one that takes longest first. */
static uint32_t group(const wf_profile *p, row *rows) {
    uint32_t count = 0;
    memset(rows, 0, MAX_ROWS * sizeof *rows);
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t r = 0;
        while (r < count && !same_kind(rows[r].like, &p->nodes[i].node)) {
            r++;
        }
        count += r == count && count < MAX_ROWS;
        add(&rows[r < count ? r : count - 1], &p->nodes[i]);
    }
    qsort(rows, count, sizeof *rows, slower_first);
    return count;
}

static void kind_text(const wf_node_info *n, char out[48]) {
    snprintf(out, 48, "%s%s%s%s", n->op, n->type != NULL ? " " : "", n->type != NULL ? n->type : "", n->int8 ? "·int8" : "");
}

static void print_row(wf_table *t, const char *name, const char *detail, const row *r, double all) {
    char ms[24], share[24], arithmetic[24], memory[24], limit[24], reached[24];
    snprintf(ms, sizeof ms, "%.3f", 1e3 * r->seconds);
    snprintf(share, sizeof share, "%.1f %%", 100 * r->seconds / all);
    arithmetic[0] = '\0';
    if (r->multiply_adds > 0) {
        snprintf(arithmetic, sizeof arithmetic, "%.1f", 2e-9 * r->multiply_adds / r->seconds);
    }
    snprintf(memory, sizeof memory, "%.1f", 1e-9 * r->bytes / r->seconds);
    snprintf(limit, sizeof limit, "%.3f", 1e3 * r->limit);
    snprintf(reached, sizeof reached, "%.0f %%", 100 * r->limit / r->seconds);
    wf_table_row(t, name, detail, ms, share, arithmetic, memory, limit, reached);
}

static void print_limits(const wf_limits *l) {
    wf_number bytes;
    char text[256];
    size_t at = (size_t)snprintf(text, sizeof text, "f32 %.1f GFLOP/s, int8 %.1f GOP/s; copies", 2e-9 * l->f32, 2e-9 * l->int8);
    for (uint32_t i = 0; i < l->sizes && at < sizeof text; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s %.1f GB/s in %s", i != 0 ? "," : "", 1e-9 * l->copy[i],
                               wf_out_bytes(bytes, l->bytes[i]));
    }
    wf_out_row("limits", "%s", text);
}

void wf_profile_print(const wf_profile *p, bool nodes) {
    row rows[MAX_ROWS], all;
    char kind[48], count[24];
    wf_table t;
    memset(&all, 0, sizeof all);
    print_limits(&p->limits);
    putchar('\n');
    wf_table_init(&t, "llrrrrrr");
    wf_table_row(&t, nodes ? "node" : "op", nodes ? "op" : "nodes", "ms", "share", "GOP/s", "GB/s", "limit ms", "of limit");
    uint32_t n = nodes ? p->count : group(p, rows);
    for (uint32_t i = 0; i < n; i++) {
        if (nodes) {
            row one;
            memset(&one, 0, sizeof one);
            add(&one, &p->nodes[i]);
            kind_text(one.like, kind);
            print_row(&t, one.like->name, kind, &one, p->seconds);
        } else {
            kind_text(rows[i].like, kind);
            snprintf(count, sizeof count, "%u", rows[i].nodes);
            print_row(&t, kind, count, &rows[i], p->seconds);
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        add(&all, &p->nodes[i]);
    }
    snprintf(count, sizeof count, "%u", p->count);
    print_row(&t, "all", count, &all, p->seconds);
    wf_table_print(&t, stdout);
}

static void json_figures(wf_text *t, const wf_node_info *n, double seconds, double limit, double multiply_adds, double bytes) {
    wf_text_format(t, "\"op\":\"%s\"", n->op);
    if (n->type != NULL) {
        wf_text_format(t, ",\"type\":\"%s\"", n->type);
    }
    wf_text_format(t, ",\"int8\":%s,\"threads\":%u,\"ms\":", n->int8 ? "true" : "false", n->threads);
    wf_text_json_number(t, 1e3 * seconds);
    wf_text_add(t, ",\"limitMs\":");
    wf_text_json_number(t, 1e3 * limit);
    wf_text_format(t, ",\"multiplyAdds\":%.0f,\"bytes\":%.0f}", multiply_adds, bytes);
}

void wf_profile_json(const wf_profile *p, wf_text *t) {
    row rows[MAX_ROWS];
    const wf_limits *l = &p->limits;
    wf_text_add(t, ",\"limits\":{\"gflops\":");
    wf_text_json_number(t, 2e-9 * l->f32);
    wf_text_add(t, ",\"int8Gops\":");
    wf_text_json_number(t, 2e-9 * l->int8);
    wf_text_add(t, ",\"copy\":[");
    for (uint32_t i = 0; i < l->sizes; i++) {
        wf_text_format(t, "%s{\"bytes\":%llu,\"gbps\":", i != 0 ? "," : "", (unsigned long long)l->bytes[i]);
        wf_text_json_number(t, 1e-9 * l->copy[i]);
        wf_text_add(t, "}");
    }
    wf_text_add(t, "]},\"ops\":[");
    uint32_t count = group(p, rows);
    for (uint32_t i = 0; i < count; i++) {
        wf_text_format(t, "%s{\"nodes\":%u,", i != 0 ? "," : "", rows[i].nodes);
        json_figures(t, rows[i].like, rows[i].seconds, rows[i].limit, rows[i].multiply_adds, rows[i].bytes);
    }
    wf_text_add(t, "],\"nodes\":[");
    for (uint32_t i = 0; i < p->count; i++) {
        const wf_node_time *n = &p->nodes[i];
        wf_text_add(t, i != 0 ? ",{\"name\":" : "{\"name\":");
        wf_text_json_string(t, n->node.name);
        wf_text_add(t, ",");
        json_figures(t, &n->node, n->seconds, n->limit, (double)n->node.multiply_adds, (double)n->node.bytes);
    }
    wf_text_add(t, "]");
}
