/* Heads of self-supervised models: several tasks read the normalised tokens, and each gives an output of its own.
     project      a token → linear, or linear → batch norm → ReLU, (linear → batch norm → GELU)…, linear → batch norm  [n, length]
     rotate       a token → linear: turned by 0°, 90°, 180° or 270°  [n, 4]
     reconstruct  each patch → (linear → GELU)…, then p·p·c numbers, its pixels  [n, c, h, w] (a transposed convolution without overlap)
     position     each patch → linear: a score for each place of the grid  [n, patches, places]
   Sources: SiT (arXiv 2104.03602; Sara-Ahmed/SiT vision_transformer.py, and vision_transformer_SiT.py of its first version),
   MP3 (arXiv 2207.07611). Weights: project.K, rotate, reconstruct.K, reconstruct.pixels, position_head. */
#include "base/print.h"
#include "parts/parts.h"

static wf_id token(wf_graph *g, wf_id x, const char *name, uint32_t row) { return wf_node_segment_mean(g, x, name, row, 1); }

/* Every linear layer but a lone one is followed by a batch norm; the one behind the last has no scale and shift. */
static wf_id project(wf_graph *g, const wf_tasks *t, wf_id tokens, wf_id patches) {
    (void)patches;
    wf_id x = token(g, tokens, "project_token", t->project_token);
    uint32_t mark = wf_graph_enter(g, "project");
    for (uint32_t i = 0; i < t->project_layers; i++) {
        char name[16];
        bool last = i + 1 == t->project_layers;
        wf_print(name, sizeof name, "%u", i);
        x = wf_node_linear(g, x, name, last ? t->project_length : t->project_hidden, true);
        if (t->project_layers > 1) {
            wf_print(name, sizeof name, "%u_norm", i);
            x = wf_node_batch_norm(g, x, name, 1e-5f);
        }
        wf_print(name, sizeof name, "%u_act", i);
        x = last ? x : i == 0 ? wf_node_relu(g, x, name, 0) : wf_node_gelu(g, x, name);
    }
    wf_graph_leave(g, mark);
    return x;
}

static wf_id rotate(wf_graph *g, const wf_tasks *t, wf_id tokens, wf_id patches) {
    (void)patches;
    return wf_node_linear(g, token(g, tokens, "rotate_token", t->rotate_token), "rotate", 4, true);
}

static wf_id reconstruct(wf_graph *g, const wf_tasks *t, wf_id tokens, wf_id x) {
    (void)tokens;
    uint32_t c = wf_graph_shape(g, x)->c, mark = wf_graph_enter(g, "reconstruct");
    for (uint32_t i = 0; i < t->reconstruct_layers; i++) {
        char name[16];
        wf_print(name, sizeof name, "%u", i);
        x = wf_node_linear(g, x, name, c, true);
        wf_print(name, sizeof name, "%u_act", i);
        x = wf_node_gelu(g, x, name);
    }
    x = wf_node_linear(g, x, "pixels", t->patch * t->patch * t->channels, true);
    x = wf_node_pixel_shuffle(g, x, "picture", t->patch);
    wf_graph_leave(g, mark);
    return x;
}

static wf_id position(wf_graph *g, const wf_tasks *t, wf_id tokens, wf_id patches) {
    (void)tokens;
    if (t->map_h * t->map_w != t->places) {
        return wf_graph_fail(g, WF_E_SHAPE, "input", "a picture of %u patches has more or fewer than the %u places that "
                             "the model knows; use the model's own picture size", t->map_h * t->map_w, t->places);
    }
    return wf_node_linear(g, patches, "position_head", t->places, true);
}

void wf_head_tasks(wf_graph *g, wf_id x, const wf_head *head) {
    static const struct {
        const char *order;
        wf_id (*build)(wf_graph *, const wf_tasks *, wf_id tokens, wf_id patches);
    } kinds[] = {
#define WF_TASK(upper, name, order, build) {order, build},
#include "parts/parts.def"
#undef WF_TASK
    };
    static const char *const names[] = {"output0", "output1", "output2", "output3"};
    const wf_tasks *t = head->tasks;
    x = wf_norm(g, x, "norm", head->norm);
    wf_id patches = t->prefix == 0 ? x : wf_node_take_rows(g, x, "patches", t->prefix, t->map_h, t->map_w); /* [n, h, w, c] */
    for (uint32_t i = 0; i < t->count; i++) {
        wf_id answer = kinds[t->list[i]].build(g, t, x, patches);
        wf_graph_output(g, t->count == 1 ? "output" : names[i], kinds[t->list[i]].order, answer);
    }
}
