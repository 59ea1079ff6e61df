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

wf_id wf_norm(wf_graph *g, wf_id x, const char *name, wf_norm_slot slot) {
    static wf_id (*const build[])(wf_graph *, wf_id, const char *, float) = {
#define WF_NORM(upper, text, function) function,
#include "parts/parts.def"
#undef WF_NORM
    };
    return build[slot.kind] != NULL ? build[slot.kind](g, x, name, slot.eps) : x;
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
    static wf_id (*const build[])(wf_graph *, wf_id, const wf_head *) = {
#define WF_HEAD(upper, text, function) function,
#include "parts/parts.def"
#undef WF_HEAD
    };
    wf_graph_output(g, "output", "nc", build[head->kind](g, x, head));
}

wf_id wf_block_build(wf_graph *g, wf_id x, const wf_block *block) {
    uint32_t c = wf_graph_shape(g, x)->c;
    wf_id n = wf_norm(g, x, block->norm1_name != NULL ? block->norm1_name : "norm1", block->norm1);
    wf_id m = wf_mixer_build(g, n, &block->mixer);
    x = wf_node_residual(g, x, m, "mixed", block->layer_scale ? wf_graph_vector(g, "scale1", c) : WF_NONE);
    n = wf_norm(g, x, block->norm2_name != NULL ? block->norm2_name : "norm2", block->norm2);
    m = block->channel == WF_CHANNEL_GATED ? wf_channel_gated(g, n, block->hidden) : wf_channel_mlp(g, n, block->hidden);
    return wf_node_residual(g, x, m, "out", block->layer_scale ? wf_graph_vector(g, "scale2", c) : WF_NONE);
}
