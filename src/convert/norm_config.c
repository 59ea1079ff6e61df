/* Which norms a checkpoint has and where: what its tensors tell, and what only the config's object "wf" can say (norm_kind,
   norm_placement, norm_depth_scaling, norm_epsilon; the README of this folder). */
#include <string.h>

#include "convert/norm_config.h"

static const char *text_of(wf_mapping *m, const wf_json *v, const char *key) {
    if (v->kind != WF_JSON_STRING) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"%s\" in \"wf\" of %s is no text", key, m->config.file);
        return "";
    }
    return v->string;
}

static void read_kind(wf_mapping *m, const char *found, wf_map_norms *out) {
    const wf_json *v = wf_json_get(m->config.own, "norm_kind");
    const char *told = v != NULL ? text_of(m, v, "norm_kind") : NULL;
    out->kind = found != NULL ? found : told != NULL ? told : "layer_norm";
    bool plain = told != NULL && (strcmp(told, "layer_norm") == 0 || strcmp(told, "rms_norm") == 0);
    if (m->status == WF_OK && told != NULL && (found != NULL ? strcmp(found, told) != 0 : !plain)) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "norm_kind of %s is \"%.40s\", but the checkpoint's norms are %s", m->config.file, told,
                    found != NULL ? found : "layer_norm or rms_norm");
    }
}

static void read_placement(wf_mapping *m, const char *placement, uint32_t blocks, wf_map_norms *out) {
    const wf_json *v = wf_json_get(m->config.own, "norm_placement");
    bool list = v != NULL && v->kind == WF_JSON_ARRAY;
    out->count = v == NULL && placement == NULL ? 0 : list ? blocks : 1;
    out->placement = wf_arena_alloc(m->arena, (out->count + 1) * sizeof *out->placement);
    out->places = wf_arena_alloc(m->arena, (blocks + 1) * sizeof *out->places);
    if (out->placement == NULL || out->places == NULL) {
        wf_map_fail(m, WF_E_MEMORY, "convert", "no memory for the map of the checkpoint");
        return;
    }
    if (list && v->count != blocks) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "norm_placement of %s has %llu items for %u blocks", m->config.file,
                    (unsigned long long)v->count, blocks);
    }
    for (uint32_t b = 0; b < blocks && m->status == WF_OK; b++) {
        const char *text = v != NULL ? text_of(m, list ? wf_json_at(v, b) : v, "norm_placement") : placement != NULL ? placement : "in";
        out->placement[b < out->count ? b : 0] = text;
        if (m->status == WF_OK && !wf_norm_places_of(text, out->places[b])) {
            wf_map_fail(m, WF_E_FORMAT, m->config.file, "norm_placement of %s is \"%.40s\": \"in\", \"out\", \"residual\" or some of them joined "
                        "by '+' is wanted, or two such texts for mixer and MLP with a comma between", m->config.file, text);
        }
    }
}

void wf_map_read_norms(wf_mapping *m, const char *found, const char *placement, uint32_t blocks, wf_map_norms *out) {
    const wf_json *scaling = wf_json_get(m->config.own, "norm_depth_scaling"), *eps = wf_json_get(m->config.own, "norm_epsilon");
    read_kind(m, found, out);
    read_placement(m, placement, blocks, out);
    out->depth_scaling = scaling != NULL && scaling->boolean;
    if (scaling != NULL && scaling->kind != WF_JSON_BOOL) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"norm_depth_scaling\" in \"wf\" of %s is neither true nor false", m->config.file);
    }
    if (eps != NULL && (eps->kind != WF_JSON_NUMBER || !(eps->number >= 1e-12 && eps->number <= 0.1))) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"norm_epsilon\" in \"wf\" of %s is no number from 1e-12 to 0.1", m->config.file);
    } else if (eps != NULL) {
        out->eps = (float)eps->number;
    }
}

void wf_map_block_norm(wf_mapping *m, const wf_map_norms *n, uint32_t b, uint32_t layer, uint32_t place, const char *source, const char *node,
                       const char *order) {
    const char *suffix = place == WF_NORM_IN ? "" : place == WF_NORM_OUT ? "_out" : "_residual";
    const uint32_t places = n->places[b][layer];
    const char *own = wf_map_format(m, "%s%s", source, suffix);
    if ((places & place) == 0) {
        return;
    }
    bool named = wf_map_find(m, wf_map_format(m, "%s.weight", own)) != NULL || wf_map_norm_kind(m, own) != NULL;
    own = !named && places == place ? source : own; /* the only one may be called as it is in Pre-LN blocks */
    wf_map_norm(m, n->kind, own, wf_map_format(m, "%s%s", node, suffix));
    wf_map_tap(m, own, wf_map_format(m, "%s%s", node, suffix), order);
}

wf_status wf_map_write_norms(const wf_mapping *m, const wf_map_norms *n, wf_gguf_writer *w, wf_error *err) {
    const char *placement = wf_arena_format(m->arena, "%s.norm.placement", m->architecture);
    const char *scaling = wf_arena_format(m->arena, "%s.norm.depth_scaling", m->architecture);
    if (placement == NULL || scaling == NULL) {
        return wf_fail(err, WF_E_MEMORY, "convert", -1, "no memory for the metadata");
    }
    if (n->count == 1) {
        WF_TRY(wf_gguf_add_string(w, placement, n->placement[0], err));
    } else if (n->count != 0) {
        WF_TRY(wf_gguf_add_array(w, placement, WF_GGUF_STRING, n->placement, n->count, err));
    }
    return n->depth_scaling ? wf_gguf_add_bool(w, scaling, true, err) : WF_OK;
}
