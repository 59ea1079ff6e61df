/* Node list, names and weight look-up of a graph under construction. */
#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "base/print.h"
#include "graph/graph.h"

void wf_graph_init(wf_graph *g, wf_arena *arena, wf_weights *weights) {
    memset(g, 0, sizeof *g);
    g->arena = arena;
    g->weights = weights;
    wf_error_clear(&g->error);
}

void wf_graph_free(wf_graph *g) {
    wf_free(g->nodes);
    g->nodes = NULL;
    g->count = g->capacity = 0;
}

wf_status wf_graph_check(const wf_graph *g, wf_error *err) {
    if (g->error.code != WF_OK && err != NULL && err->code == WF_OK) {
        *err = g->error;
    }
    return g->error.code;
}

wf_id wf_graph_fail(wf_graph *g, wf_status code, const char *where, const char *format, ...) {
    char text[sizeof g->error.text];
    va_list args;
    va_start(args, format);
    wf_print_list(text, sizeof text, format, args);
    va_end(args);
    wf_fail(&g->error, code, where, -1, "%s", text);
    return WF_NONE;
}

static wf_id out_of_memory(wf_graph *g) {
    return wf_graph_fail(g, WF_E_MEMORY, "graph", "no memory to build the graph");
}

static bool failed(const wf_graph *g) { return g->error.code != WF_OK; }

uint32_t wf_graph_enter(wf_graph *g, const char *format, ...) {
    uint32_t mark = (uint32_t)strlen(g->prefix);
    va_list args;
    va_start(args, format);
    int n = wf_print_list(g->prefix + mark, sizeof g->prefix - mark, format, args);
    va_end(args);
    if (n < 0 || mark + (uint32_t)n + 2 > sizeof g->prefix) {
        wf_graph_fail(g, WF_E_ARGUMENT, g->prefix, "scope names are nested too deeply");
        return mark;
    }
    strcat(g->prefix, ".");
    return mark;
}

void wf_graph_leave(wf_graph *g, uint32_t mark) { g->prefix[mark] = '\0'; }

static const char *full_name(wf_graph *g, const char *name) {
    return wf_arena_format(g->arena, "%s%s", g->prefix, name);
}

static bool must_keep(const wf_graph *g, const char *name) {
    for (uint32_t i = 0; i < g->kept_count; i++) {
        if (strcmp(g->kept_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static uint32_t use_weight(wf_graph *g, const char *name, wf_role role, uint32_t n, uint32_t k) {
    if (failed(g)) {
        return WF_NONE;
    }
    const char *full = full_name(g, name);
    uint32_t id = WF_NONE;
    if (full == NULL) {
        return out_of_memory(g);
    }
    if (wf_weights_use(g->weights, full, role, n, k, &id, &g->error) != WF_OK) {
        return WF_NONE;
    }
    return id;
}

uint32_t wf_graph_vector(wf_graph *g, const char *name, uint32_t k) {
    return use_weight(g, name, WF_ROLE_VECTOR, 1, k);
}

uint32_t wf_graph_table(wf_graph *g, const char *name, uint32_t rows, uint32_t k) {
    return use_weight(g, name, WF_ROLE_TABLE, rows, k);
}

uint32_t wf_graph_matrix(wf_graph *g, const char *name, uint32_t n, uint32_t k) {
    return use_weight(g, name, WF_ROLE_MATRIX, n, k);
}

uint32_t wf_graph_lookup(wf_graph *g, const char *name, uint32_t rows, uint32_t k) {
    return use_weight(g, name, WF_ROLE_LOOKUP, rows, k);
}

uint32_t wf_graph_optional_vector(wf_graph *g, const char *name, uint32_t k) {
    if (failed(g)) {
        return WF_NONE;
    }
    const char *full = full_name(g, name);
    if (full == NULL) {
        return out_of_memory(g);
    }
    return wf_weights_has(g->weights, full) ? wf_graph_vector(g, name, k) : WF_NONE;
}

static wf_node *new_node(wf_graph *g) {
    if (g->count == g->capacity) {
        uint32_t capacity = g->capacity == 0 ? 128 : g->capacity * 2;
        wf_node *grown = wf_realloc(g->nodes, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        g->nodes = grown;
        g->capacity = capacity;
    }
    return &g->nodes[g->count];
}

static wf_view view_of(const wf_graph *g, wf_id id) {
    wf_view v;
    memset(&v, 0, sizeof v);
    if (id != WF_NONE) {
        v.shape = g->nodes[id].shape;
    }
    return v;
}

wf_id wf_graph_add(wf_graph *g, const char *name, const wf_node *like) {
    if (failed(g)) {
        return WF_NONE;
    }
    const char *full = full_name(g, name);
    wf_node *node = new_node(g);
    if (full == NULL || node == NULL) {
        return out_of_memory(g);
    }
    *node = *like;
    node->name = full;
    node->guard = WF_NONE;
    node->users = 0;
    node->dead = false;
    node->kept = must_keep(g, full);
    if (node->op != WF_OP_INPUT) {
        wf_op_call call;
        memset(&call, 0, sizeof call);
        call.p = &node->p;
        for (int i = 0; i < WF_OP_INPUTS; i++) {
            call.in[i] = view_of(g, node->in[i]);
        }
        for (int i = 0; i < WF_OP_WEIGHTS; i++) {
            if (node->w[i] != WF_NONE) {
                call.w[i] = g->weights->entries[node->w[i]].view;
            }
        }
        if (wf_op_get(node->op)->infer(&call, full, &node->shape, &g->error) != WF_OK) {
            return WF_NONE;
        }
    }
    const wf_shape *s = &node->shape;
    if ((uint64_t)s->n * s->h * s->w > UINT32_MAX / 4 || wf_shape_elements(s) > UINT32_MAX / 4) {
        return wf_graph_fail(g, WF_E_SHAPE, full,
                             "\"%s\" would be [%u, %u, %u, %u], over 4 GB; use a smaller batch or picture", full, s->n, s->h,
                             s->w, s->c);
    }
    for (int i = 0; i < WF_OP_INPUTS; i++) {
        if (node->in[i] != WF_NONE) {
            g->nodes[node->in[i]].users++;
        }
    }
    return g->count++;
}

wf_id wf_graph_input(wf_graph *g, const char *name, wf_shape shape) {
    wf_node node;
    memset(&node, 0, sizeof node);
    node.op = WF_OP_INPUT;
    node.shape = shape;
    for (int i = 0; i < WF_OP_INPUTS; i++) {
        node.in[i] = WF_NONE;
    }
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        node.w[i] = WF_NONE;
    }
    return wf_graph_add(g, name, &node);
}

static void add_alias(wf_graph *g, wf_id node, const char *full) {
    if (full == NULL) {
        out_of_memory(g);
        return;
    }
    if (g->alias_count == WF_MAX_ALIASES) {
        wf_graph_fail(g, WF_E_ARGUMENT, full, "more than %d scopes in one graph", WF_MAX_ALIASES);
        return;
    }
    g->aliases[g->alias_count].name = full;
    g->aliases[g->alias_count++].node = node;
    g->nodes[node].kept |= must_keep(g, full);
}

void wf_graph_alias(wf_graph *g, wf_id node, const char *name) {
    if (!failed(g) && node != WF_NONE) {
        add_alias(g, node, full_name(g, name));
    }
}

void wf_graph_scope_output(wf_graph *g, wf_id node) {
    size_t n = strlen(g->prefix);
    if (!failed(g) && node != WF_NONE && n > 0) {
        add_alias(g, node, wf_arena_string(g->arena, g->prefix, n - 1));
    }
}

uint64_t wf_graph_stored_rows(wf_graph *g, const char *name) {
    wf_stored s;
    const char *full = full_name(g, name);
    return full != NULL && g->weights->find(g->weights->find_user, full, &s) ? s.dims[1] * s.dims[2] * s.dims[3] : 0;
}

void wf_graph_output(wf_graph *g, const char *name, const char *order, wf_id node) {
    if (failed(g)) {
        return;
    }
    if (g->output_count == WF_MAX_OUTPUTS) {
        wf_graph_fail(g, WF_E_ARGUMENT, name, "a graph has at most %d outputs", WF_MAX_OUTPUTS);
        return;
    }
    g->outputs[g->output_count].name = name;
    g->outputs[g->output_count].order = order;
    g->outputs[g->output_count++].node = node;
    g->nodes[node].kept = true;
}

const wf_shape *wf_graph_shape(const wf_graph *g, wf_id node) {
    static const wf_shape none = {0, 0, 0, 0, WF_LAYOUT_ROWS};
    return node == WF_NONE ? &none : &g->nodes[node].shape;
}

wf_id wf_graph_find(const wf_graph *g, const char *name) {
    for (uint32_t i = 0; i < g->alias_count; i++) {
        if (strcmp(g->aliases[i].name, name) == 0) {
            return g->aliases[i].node;
        }
    }
    for (uint32_t i = 0; i < g->count; i++) {
        if (!g->nodes[i].dead && strcmp(g->nodes[i].name, name) == 0) {
            return i;
        }
    }
    return WF_NONE;
}
