/* Look-up of parts by name and kind, and the block that combines them. */
#include "parts/parts.h"

#include <string.h>

static int index_of(const char *const *names, int count, const char *name) {
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

int wf_norm_kind_of(const char *name) {
    static const char *const names[] = {
#define WF_NORM(upper, text, build) text,
#include "parts/parts.def"
#undef WF_NORM
    };
    return index_of(names, WF_NORM_COUNT, name);
}

int wf_mixer_kind_of(const char *name) {
    static const char *const names[] = {
#define WF_MIXER(upper, text, build) text,
#include "parts/parts.def"
#undef WF_MIXER
    };
    return index_of(names, WF_MIXER_COUNT, name);
}

int wf_head_kind_of(const char *name) {
    static const char *const names[] = {
#define WF_HEAD(upper, text, build) text,
#include "parts/parts.def"
#undef WF_HEAD
    };
    return index_of(names, WF_HEAD_COUNT, name);
}

/* One word of "in+out" or "in,residual"; its end moves `text` on. 0: none of the three. */
static uint32_t read_place(const char **text) {
    static const char *const names[] = {"in", "out", "residual"};
    size_t n = 0;
    uint32_t place = 0;
    while ((*text)[n] != '\0' && (*text)[n] != '+' && (*text)[n] != ',') {
        n++;
    }
    for (uint32_t i = 0; i < 3; i++) {
        place |= strlen(names[i]) == n && memcmp(names[i], *text, n) == 0 ? 1u << i : 0;
    }
    *text += n;
    return place;
}

bool wf_norm_places_of(const char *text, uint32_t out[2]) {
    uint32_t layer = 0;
    out[0] = out[1] = 0;
    for (;;) {
        uint32_t place = read_place(&text);
        if (place == 0 || (out[layer] & place) != 0) {
            return false;
        }
        out[layer] |= place;
        if (*text == '\0') {
            out[1] = layer == 0 ? out[0] : out[1];
            return true;
        }
        if (*text++ == ',' && ++layer == 2) {
            return false;
        }
    }
}

int wf_task_kind_of(const char *name) {
    static const char *const names[] = {
#define WF_TASK(upper, text, order, build) text,
#include "parts/parts.def"
#undef WF_TASK
    };
    return index_of(names, WF_TASK_COUNT, name);
}

wf_id wf_norm(wf_graph *g, wf_id x, const char *name, wf_norm_slot slot) {
    static wf_id (*const build[])(wf_graph *, wf_id, const char *, float) = {
#define WF_NORM(upper, text, function) function,
#include "parts/parts.def"
#undef WF_NORM
    };
    return build[slot.kind] != NULL ? build[slot.kind](g, x, name, slot.eps) : x;
}

/* The norm of a sub-layer in one of its places, if it has one there. */
static wf_id norm_at(wf_graph *g, wf_id x, const char *name, wf_norm_slot slot, uint32_t place) {
    uint32_t places = slot.places != 0 ? slot.places : WF_NORM_IN;
    if ((places & place) == 0) {
        return x;
    }
    wf_id n = wf_norm(g, x, name, slot);
    if (place == WF_NORM_IN && slot.depth > 1 && n != x && n != WF_NONE && g->nodes[n].op == WF_OP_LAYER_NORM && g->nodes[n].w[0] != WF_NONE) {
        g->nodes[n].p.depth = slot.depth; /* a bare norm is divided by its readers */
    }
    return n;
}

wf_id wf_mixer_build(wf_graph *g, wf_id n, const wf_mixer *mixer) {
    static wf_id (*const build[])(wf_graph *, wf_id, const wf_mixer *) = {
#define WF_MIXER(upper, text, function) function,
#include "parts/parts.def"
#undef WF_MIXER
    };
    return build[mixer->kind](g, n, mixer);
}

void wf_head_build(wf_graph *g, wf_id x, const wf_head *head) {
    static void (*const build[])(wf_graph *, wf_id, const wf_head *) = {
#define WF_HEAD(upper, text, function) function,
#include "parts/parts.def"
#undef WF_HEAD
    };
    build[head->kind](g, x, head);
}

wf_id wf_block_build(wf_graph *g, wf_id x, const wf_block *block) {
    uint32_t c = wf_graph_shape(g, x)->c;
    wf_id n = norm_at(g, x, block->norm1_name != NULL ? block->norm1_name : "norm1", block->norm1, WF_NORM_IN);
    wf_id m = norm_at(g, wf_mixer_build(g, n, &block->mixer), "norm1_out", block->norm1, WF_NORM_OUT);
    x = wf_node_residual(g, x, m, "mixed", block->layer_scale ? wf_graph_vector(g, "scale1", c) : WF_NONE);
    x = norm_at(g, x, "norm1_residual", block->norm1, WF_NORM_RESIDUAL);
    n = norm_at(g, x, block->norm2_name != NULL ? block->norm2_name : "norm2", block->norm2, WF_NORM_IN);
    m = block->channel == WF_CHANNEL_GATED ? wf_channel_gated(g, n, block->hidden) : wf_channel_mlp(g, n, block->hidden, block->hidden_window);
    m = norm_at(g, m, "norm2_out", block->norm2, WF_NORM_OUT);
    x = wf_node_residual(g, x, m, "out", block->layer_scale ? wf_graph_vector(g, "scale2", c) : WF_NONE);
    return norm_at(g, x, "norm2_residual", block->norm2, WF_NORM_RESIDUAL);
}
