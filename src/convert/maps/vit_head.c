/* Heads of ViTs, by their tensors.
     SiT            head.mlp.{0, 1, 3, 4, …} (or head.mlp), head_recons.{mlp.{0, 2, …}, convTrans}; the ViT itself below "backbone."
     SiT, first version   rot_token, contrastive_token; rot_head, contrastive_head, convTrans
     SiT, fine-tuned      head.{0, 2}: the class token and the mean of the patches
     MP3            pos_head; no pos_embed
   Sources: Sara-Ahmed/SiT vision_transformer.py and vision_transformer_SiT.py; MP3 has published no code, the names are ours. */
#include "convert/maps/vit_head.h"

#include <string.h>

enum { MAX_LAYERS = 16 };

static const wf_source_tensor *weight_of(wf_mapping *m, const char *name) { return wf_map_find(m, wf_map_format(m, "%s.weight", name)); }

static void add_task(wf_vit_head *h, const char *name) { h->tasks[h->count++] = name; }

static uint32_t outputs_of(const wf_source_tensor *t) { return t != NULL && t->n_dims == 2 ? (uint32_t)t->dims[0] : 0; }

/* The name of the i-th linear layer of the projection: a lone one is no sequence. */
static const char *project_name(wf_mapping *m, const wf_vit_head *h, uint32_t i, uint32_t offset) {
    return h->project_layers == 1 ? h->project : wf_map_format(m, "%s.%u", h->project, 3 * i + offset);
}

static void find_project(wf_mapping *m, wf_vit_head *h, const char *name) {
    h->project = name;
    while (h->project_layers < MAX_LAYERS && weight_of(m, wf_map_format(m, "%s.%u", name, 3 * h->project_layers)) != NULL) {
        h->project_layers++;
    }
    if (weight_of(m, name) != NULL) {
        h->project_layers = 1;
    }
    if (h->project_layers == 0) {
        return;
    }
    add_task(h, "project");
    h->project_hidden = outputs_of(weight_of(m, project_name(m, h, 0, 0)));
    h->project_length = outputs_of(weight_of(m, project_name(m, h, h->project_layers - 1, 0)));
    if (h->project_hidden == 0 || h->project_length == 0) {
        wf_map_fail(m, WF_E_SHAPE, name, "the layers of \"%s\" are no matrices", name);
    }
}

static void find_reconstruct(wf_mapping *m, wf_vit_head *h, const char *layers, const char *pixels) {
    if (weight_of(m, pixels) == NULL) {
        return;
    }
    h->reconstruct = layers;
    h->pixels = pixels;
    while (layers != NULL && h->reconstruct_layers < MAX_LAYERS &&
           weight_of(m, wf_map_format(m, "%s.%u", layers, 2 * h->reconstruct_layers)) != NULL) {
        h->reconstruct_layers++;
    }
    add_task(h, "reconstruct");
}

static void find_first_version(wf_mapping *m, wf_vit_head *h) {
    if (weight_of(m, "convTrans") == NULL || weight_of(m, "pre_logits_rot.fc") != NULL || outputs_of(weight_of(m, "rot_head")) != 4) {
        wf_map_fail(m, WF_E_UNSUPPORTED, "rot_head.weight", "this SiT of the first version is fine-tuned or has a representation layer, which "
                    "this version does not run; convert what its self-supervised training saved");
        return;
    }
    h->rotate = "rot_head";
    h->rotate_token = 0;
    add_task(h, "rotate");
    h->project_token = 1;
    find_project(m, h, "contrastive_head");
    find_reconstruct(m, h, NULL, "convTrans");
}

void wf_vit_head_find(wf_mapping *m, wf_vit_head *h) {
    memset(h, 0, sizeof *h);
    if (wf_map_find(m, "rot_token") != NULL) {
        find_first_version(m, h);
        return;
    }
    find_project(m, h, "head.mlp");
    find_reconstruct(m, h, "head_recons.mlp", "head_recons.convTrans");
    h->places = outputs_of(weight_of(m, "pos_head"));
    if (h->places != 0) {
        add_task(h, "position");
    }
    h->concat = weight_of(m, "head.2") != NULL ? outputs_of(weight_of(m, "head.0")) : 0;
}

static void map_project(wf_mapping *m, const wf_vit_head *h) {
    for (uint32_t i = 0; i < h->project_layers; i++) {
        const char *node = wf_map_format(m, "project.%u", i), *source = project_name(m, h, i, 0);
        wf_map_affine(m, source, node, WF_MAP_LINEAR, false);
        wf_map_tap(m, source, node, "nc");
        if (h->project_layers > 1) {
            node = wf_map_format(m, "project.%u_norm", i);
            source = project_name(m, h, i, 1);
            wf_map_norm(m, "batch_norm", source, node);
            wf_map_tap(m, source, node, "nc");
        }
    }
}

static void map_reconstruct(wf_mapping *m, const wf_vit_head *h) {
    for (uint32_t i = 0; i < h->reconstruct_layers; i++) {
        const char *source = wf_map_format(m, "%s.%u", h->reconstruct, 2 * i), *node = wf_map_format(m, "reconstruct.%u", i);
        wf_map_affine(m, source, node, WF_MAP_LINEAR, false);
        wf_map_tap(m, source, node, "nlc");
        wf_map_tap(m, wf_map_format(m, "%s.%u", h->reconstruct, 2 * i + 1), wf_map_format(m, "reconstruct.%u_act", i), "nlc");
    }
    wf_map_deconv(m, h->pixels, "reconstruct.pixels");
    wf_map_tap(m, h->pixels, "reconstruct.picture", "nchw");
}

bool wf_vit_head_map(wf_mapping *m, const wf_vit_head *h, uint32_t grid_h, uint32_t grid_w) {
    for (uint32_t i = 0; i < h->count; i++) {
        if (strcmp(h->tasks[i], "project") == 0) {
            map_project(m, h);
        } else if (strcmp(h->tasks[i], "rotate") == 0) {
            wf_map_affine(m, h->rotate, "rotate", WF_MAP_LINEAR, false);
            wf_map_tap(m, h->rotate, "rotate", "nc");
        } else if (strcmp(h->tasks[i], "reconstruct") == 0) {
            map_reconstruct(m, h);
        } else {
            wf_map_affine(m, "pos_head", "position_head", WF_MAP_LINEAR, false);
            wf_map_tap(m, "pos_head", "position_head", "nlc");
        }
    }
    if (h->concat != 0) {
        wf_map_affine(m, "head.0", "head_hidden", WF_MAP_LINEAR, false);
        wf_map_tap(m, "head.0", "head_hidden", "nc");
        wf_map_tap(m, "head.1", "head_act", "nc");
    }
    if (h->count != 0) {
        m->outputs = h->tasks;
        m->output_count = h->count;
    }
    if (h->places != 0) {
        m->grid[0] = grid_h;
        m->grid[1] = grid_w;
    }
    return h->count != 0;
}

wf_status wf_vit_head_write(const wf_vit_head *h, wf_gguf_writer *w, wf_error *err) {
    const struct {
        bool there;
        const char *key;
        uint32_t value;
    } numbers[] = {{h->concat != 0, "vit.head.hidden_length", h->concat},
                   {h->project_layers != 0, "vit.project.token", h->project_token},
                   {h->project_layers != 0, "vit.project.layers", h->project_layers},
                   {h->project_layers != 0, "vit.project.hidden_length", h->project_hidden},
                   {h->project_layers != 0, "vit.project.length", h->project_length},
                   {h->rotate != NULL, "vit.rotate.token", h->rotate_token},
                   {h->pixels != NULL, "vit.reconstruct.layers", h->reconstruct_layers},
                   {h->places != 0, "vit.position.count", h->places}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        WF_TRY(numbers[i].there ? wf_gguf_add_u32(w, numbers[i].key, numbers[i].value, err) : WF_OK);
    }
    return h->count != 0 ? wf_gguf_add_array(w, "vit.head.tasks", WF_GGUF_STRING, h->tasks, h->count, err) : WF_OK;
}
