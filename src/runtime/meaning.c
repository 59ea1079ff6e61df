/* What a model's outputs mean (metadata that convert/image_config.c writes):
     wf.outputs     for each output "project", "rotate", "reconstruct" or "position"; absent: classes, or maps of features
     wf.scores      "sigmoid": each class has a probability of its own, and counts from wf.threshold on; absent: softmax over all
     wf.grid        [rows, columns] of the tiles whose places "position" tells */
#include <string.h>

#include "runtime/model.h"

static wf_status refuse(const wf_model *m, const char *key, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, key, -1, "the metadata key \"%s\" of %s does not fit the model; convert the checkpoint again", key,
                   m->file_name);
}

wf_status wf_meaning_read(wf_model *m, uint32_t outputs, wf_error *err) {
    const wf_gguf *g = m->gguf;
    const wf_gguf_kv *list = wf_gguf_find(g, "wf.outputs"), *grid = wf_gguf_find(g, "wf.grid");
    const char *scores = wf_gguf_get_string(g, "wf.scores");
    if (list != NULL && (list->type != WF_GGUF_ARRAY || list->element != WF_GGUF_STRING || list->count != outputs)) {
        return refuse(m, "wf.outputs", err);
    }
    m->outputs = list;
    for (uint64_t i = 0; i < 2 && grid != NULL; i++) {
        uint64_t v;
        if (grid->type != WF_GGUF_ARRAY || grid->count != 2 || !wf_gguf_item_u64(grid, i, &v) || v == 0 || v > WF_JIGSAW_MAX) {
            return refuse(m, "wf.grid", err);
        }
        m->grid[i] = (uint32_t)v;
    }
    if (m->grid[0] * m->grid[1] > WF_JIGSAW_MAX || (m->grid[0] != 0 && (m->input.height % m->grid[0] != 0 || m->input.width % m->grid[1] != 0))) {
        return refuse(m, "wf.grid", err);
    }
    if (scores == NULL) {
        return WF_OK;
    }
    double threshold = 0;
    if (strcmp(scores, "sigmoid") != 0 || !wf_gguf_get_f64(g, "wf.threshold", &threshold) || !(threshold >= 0 && threshold <= 1)) {
        return refuse(m, "wf.scores", err);
    }
    m->scores = WF_SCORES_SIGMOID;
    m->threshold = (float)threshold;
    return WF_OK;
}

const char *wf_model_output_kind(const wf_model *m, uint32_t index) {
    return m->outputs != NULL && index < m->outputs->count ? wf_gguf_item_string(m->outputs, index) : NULL;
}

uint32_t wf_model_find_output(const wf_model *m, const char *kind) {
    for (uint32_t i = 0; m->outputs != NULL && i < m->outputs->count; i++) {
        if (strcmp(wf_gguf_item_string(m->outputs, i), kind) == 0) {
            return i;
        }
    }
    return WF_NO_OUTPUT;
}

wf_scores wf_model_scores(const wf_model *m) { return m->scores; }

float wf_model_threshold(const wf_model *m) { return m->threshold; }
