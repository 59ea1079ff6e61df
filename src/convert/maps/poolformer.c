/* PoolFormer and MetaFormer checkpoints of three libraries → architecture poolformer / wf.metaformer (models/metaformer.c).

     sail-sg   patch_embed.proj, network.I.J.{norm1,token_mixer,norm2,mlp.fc1,mlp.fc2,layer_scale_1,layer_scale_2}, network.I.proj
               (downsampling), network.I.pos_embed, norm, head; fork_feat: normI per stage, no head. I counts all entries of
               `network`, so it says where stages, downsamplings and position tables stand.
     timm      stem.conv, stages.S.downsample.conv, stages.S.blocks.J.{…, layer_scale1.scale}, head.norm, head.fc. Its head pools
               first and normalises the pooled vector with eps 1e-6: same weights, other logits.
     HF        poolformer.encoder.patch_embeddings.S.projection, .block.S.J.{before_norm,after_norm,output.conv{1,2}}, norm, classifier.

   Sources: sail-sg/poolformer models/{poolformer,metaformer}.py, timm metaformer.py, transformers modeling_poolformer.py. */
#include <string.h>

#include "convert/mapping.h"
#include "convert/maps/pyramid.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 256, MAX_ENTRIES = 32 };
typedef enum library { SAIL, TIMM, HF } library;

/* Names inside a block, in each library's words. */
typedef struct block_names {
    const char *norm1, *mixer, *norm2, *mlp, *fc1, *act, *fc2, *scale1, *scale2;
} block_names;

static const block_names names_of[] = {
    [SAIL] = {"norm1", "token_mixer", "norm2", "mlp", "mlp.fc1", "mlp.act", "mlp.fc2", "layer_scale_1", "layer_scale_2"},
    [TIMM] = {"norm1", "token_mixer", "norm2", "mlp", "mlp.fc1", "mlp.act", "mlp.fc2", "layer_scale1.scale", "layer_scale2.scale"},
    [HF] = {"before_norm", "pooling", "after_norm", "output", "output.conv1", "output.act_fn", "output.conv2", "layer_scale_1",
            "layer_scale_2"},
};

typedef struct conv_geometry {
    uint32_t kernel, stride, pad;
} conv_geometry;

typedef struct details {
    library lib;
    const char *root; /* HF: "poolformer." or "" */
    uint32_t stages, blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES];
    uint32_t down[MAX_STAGES], position_h[MAX_STAGES], position_w[MAX_STAGES];
    int stage_entry[MAX_STAGES], down_entry[MAX_STAGES], position_entry[MAX_STAGES]; /* sail-sg: indices in `network` */
    const char *mixer[MAX_STAGES];
    const char *norm;
    float norm_eps, head_eps;
    conv_geometry stem, downsample;
    uint32_t pool_size, head_dim;
    bool layer_scale, features, qkv_bias;
    const char *head, *head_norm;
} details;

/* ---- names ---- */

static const char *block_prefix(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    return d->lib == SAIL   ? wf_map_format(m, "network.%d.%u", d->stage_entry[s], b)
           : d->lib == TIMM ? wf_map_format(m, "stages.%u.blocks.%u", s, b)
                            : wf_map_format(m, "%sencoder.block.%u.%u", d->root, s, b);
}

static const char *down_name(wf_mapping *m, const details *d, uint32_t s) {
    return d->lib == SAIL   ? (s == 0 ? "patch_embed.proj" : wf_map_format(m, "network.%d.proj", d->down_entry[s]))
           : d->lib == TIMM ? (s == 0 ? "stem.conv" : wf_map_format(m, "stages.%u.downsample.conv", s))
                            : wf_map_format(m, "%sencoder.patch_embeddings.%u.projection", d->root, s);
}

/* ---- structure, from the keys ---- */

static void count_blocks(wf_mapping *m, details *d) {
    const block_names *n = &names_of[d->lib];
    for (uint32_t s = 0; s < d->stages; s++) {
        while (d->blocks[s] < MAX_BLOCKS &&
               wf_map_has(m, block_prefix(m, d, s, d->blocks[s]), wf_map_format(m, ".%s.weight", n->fc1))) {
            d->blocks[s]++;
        }
        if (d->blocks[s] == 0) {
            wf_map_fail(m, WF_E_UNSUPPORTED, block_prefix(m, d, s, 0), "stage %u has no block with a weight %s.%s.weight: this is no "
                        "PoolFormer or MetaFormer that this version knows", s, block_prefix(m, d, s, 0), n->fc1);
            return;
        }
        const wf_source_tensor *fc1 = wf_map_find(m, wf_map_format(m, "%s.%s.weight", block_prefix(m, d, s, 0), n->fc1));
        if (fc1->n_dims < 2) {
            wf_map_fail(m, WF_E_SHAPE, fc1->name, "tensor \"%s\" is no matrix", fc1->name);
            return;
        }
        d->hidden[s] = (uint32_t)fc1->dims[0];
        d->width[s] = (uint32_t)fc1->dims[1];
    }
}

static void scan_sail(wf_mapping *m, details *d) {
    int down = -1, position = -1;
    for (int i = 0; i < MAX_ENTRIES && d->stages < MAX_STAGES; i++) {
        const char *entry = wf_map_format(m, "network.%d", i);
        if (wf_map_has(m, entry, ".proj.weight")) {
            down = i;
        } else if (wf_map_has(m, entry, ".pos_embed")) {
            position = i;
        } else if (wf_map_has(m, entry, ".0.mlp.fc1.weight")) {
            uint32_t s = d->stages++;
            d->stage_entry[s] = i;
            d->down_entry[s] = down;
            d->position_entry[s] = position;
            d->down[s] = down >= 0;
            down = position = -1;
        } else {
            break;
        }
    }
}

static void scan_others(wf_mapping *m, details *d) {
    while (d->stages < MAX_STAGES && wf_map_has(m, block_prefix(m, d, d->stages, 0), wf_map_format(m, ".%s.weight", names_of[d->lib].fc1))) {
        uint32_t s = d->stages++;
        d->position_entry[s] = -1;
        d->down[s] = s > 0 && wf_map_has(m, down_name(m, d, s), ".weight");
    }
}

static bool recognise(wf_mapping *m, details *d) {
    bool position_first = wf_map_has(m, "network.0", ".pos_embed") && wf_map_has(m, "network.1.0.mlp.fc1", ".weight");
    if (wf_map_has(m, "patch_embed.proj", ".weight") && (position_first || wf_map_has(m, "network.0.0.mlp.fc1", ".weight"))) {
        d->lib = SAIL;
        scan_sail(m, d);
    } else if (wf_map_has(m, "stem.conv", ".weight") && wf_map_has(m, "stages.0.blocks.0.mlp.fc1", ".weight")) {
        d->lib = TIMM;
        scan_others(m, d);
    } else if (wf_map_has(m, "poolformer.encoder.patch_embeddings.0.projection", ".weight") ||
               wf_map_has(m, "encoder.patch_embeddings.0.projection", ".weight")) {
        d->lib = HF;
        d->root = wf_map_has(m, "poolformer.encoder.patch_embeddings.0.projection", ".weight") ? "poolformer." : "";
        scan_others(m, d);
    } else {
        return false;
    }
    return true;
}

/* ---- what the tensors cannot tell ---- */

static const char *mixer_from_tensors(wf_mapping *m, const details *d, uint32_t s) {
    const char *b = block_prefix(m, d, s, 0);
    return wf_map_has(m, b, ".token_mixer.qkv.weight") ? "attention" : wf_map_has(m, b, ".token_mixer.fc.weight") ? "spatial_fc" : NULL;
}

static void read_token_mixers(wf_mapping *m, details *d, const wf_json *list) {
    static const struct {
        const char *class_name, *mixer;
    } known[] = {{"Identity", "identity"}, {"Pooling", "pool"}, {"Attention", "attention"}, {"SpatialFc", "spatial_fc"}};
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        const wf_json *v = list->kind == WF_JSON_ARRAY ? wf_json_at(list, s) : list;
        const char *from_tensors = mixer_from_tensors(m, d, s), *name = v != NULL && v->kind == WF_JSON_STRING ? v->string : NULL;
        if (name == NULL || wf_map_is_partial(name)) {
            d->mixer[s] = from_tensors;
        } else {
            for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                d->mixer[s] = wf_map_is_class(name, known[i].class_name) ? known[i].mixer : d->mixer[s];
            }
            if (d->mixer[s] == NULL) {
                wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "token mixer \"%s\" of stage %u is not one of Identity, Pooling, "
                            "Attention, SpatialFc", name, s);
            } else if (from_tensors != NULL && strcmp(from_tensors, d->mixer[s]) != 0) {
                wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s says that stage %u mixes tokens by %s, but the checkpoint has %s "
                            "tensors there", m->config.file, s, name, from_tensors);
            }
        }
        if (d->mixer[s] == NULL) {
            wf_map_fail(m, WF_E_MISSING, "token_mixers", "the mixer of stage %u has no tensors and the config does not name its class; "
                        "give token_mixers with plain class names (Identity, Pooling, Attention, SpatialFc) in --config", s);
        }
    }
}

static void need_plain(wf_mapping *m, const char *key, const char *wanted) {
    const char *const list[] = {wanted, NULL};
    wf_map_need_class(m, key, list);
}

static void configure_sail(wf_mapping *m, details *d) {
    const wf_json *mixers = wf_map_key(m, "token_mixers");
    bool metaformer = (mixers != NULL && mixers->kind != WF_JSON_NULL) ||
                      (m->config.class_name != NULL && wf_map_is_class(m->config.class_name, "MetaFormer"));
    bool mixer_tensors = false;
    for (uint32_t s = 0; s < d->stages; s++) {
        mixer_tensors |= mixer_from_tensors(m, d, s) != NULL;
    }
    if (mixer_tensors && !metaformer) {
        wf_map_fail(m, WF_E_MISSING, "token_mixers", "the checkpoint has attention or spatial-FC mixers, but neither its norm nor the "
                    "mixers of its other stages can be read from tensors; give token_mixers and norm_layer (GroupNorm or "
                    "LayerNormChannel) in --config");
        return;
    }
    if (metaformer && (mixers == NULL || mixers->kind == WF_JSON_NULL)) {
        wf_map_fail(m, WF_E_MISSING, "token_mixers", "%s is a MetaFormer without token_mixers; name them", m->config.file);
        return;
    }
    d->norm = metaformer ? "layer_norm" : "group_norm";
    const char *norm = wf_map_arg_text(m, "norm_layer");
    if (norm != NULL) {
        d->norm = wf_map_is_class(norm, "GroupNorm") ? "group_norm" : wf_map_is_class(norm, "LayerNormChannel") ? "layer_norm" : NULL;
        if (d->norm == NULL) {
            wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "norm_layer \"%s\" is neither GroupNorm nor LayerNormChannel", norm);
            return;
        }
    }
    need_plain(m, "act_layer", "GELU");
    if (metaformer) {
        read_token_mixers(m, d, mixers);
    } else {
        for (uint32_t s = 0; s < d->stages; s++) {
            d->mixer[s] = "pool";
        }
        if (m->config.kind == WF_CONFIG_NONE) {
            wf_map_assume(m, "class PoolFormer: pooling mixers (window 3) and GroupNorm in every stage");
        }
    }
    d->head = "norm_pool";
    d->head_norm = d->norm;
    d->features = wf_map_arg_bool(m, "fork_feat", !wf_map_has(m, "head", ".weight") && !wf_map_has(m, "norm", ".weight") &&
                                                      wf_map_has(m, wf_map_format(m, "norm%d", d->stage_entry[d->stages - 1]), ".weight"));
    d->stem.stride = wf_map_arg(m, "in_stride", 4);
    d->stem.pad = wf_map_arg(m, "in_pad", 2);
    d->downsample.stride = wf_map_arg(m, "down_stride", 2);
    d->downsample.pad = wf_map_arg(m, "down_pad", 1);
}

static void configure_timm(wf_mapping *m, details *d) {
    need_plain(m, "token_mixers", "Pooling");
    need_plain(m, "norm_layers", "GroupNorm1");
    need_plain(m, "mlp_act", "GELU");
    for (uint32_t s = 0; s < d->stages; s++) {
        d->mixer[s] = "pool";
    }
    d->norm = "group_norm";
    d->head = "pool_norm";
    d->head_norm = "layer_norm";
    d->head_eps = 1e-6f;
    if (m->config.kind == WF_CONFIG_NONE) {
        wf_map_assume(m, "a timm PoolFormer: pooling mixers (window 3), GroupNorm1, stem 7×7 stride 4 padding 2");
    }
}

/* A list of four equal values of HF's config, from stage `first` on. */
static uint32_t hf_equal(wf_mapping *m, const details *d, const char *key, uint32_t first, uint32_t last, uint32_t fallback) {
    const wf_json *list = wf_map_key(m, key);
    unsigned long long v = fallback, other;
    for (uint32_t s = first; list != NULL && s <= last && s < d->stages; s++) {
        if (!wf_json_to_u64(wf_json_at(list, s), &other) || (s != first && other != v)) {
            wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "%s of %s must hold one whole number per stage, equal from stage 1 on", key,
                        m->config.file);
            return fallback;
        }
        v = other;
    }
    return (uint32_t)v;
}

static void configure_hf(wf_mapping *m, details *d) {
    need_plain(m, "hidden_act", "gelu");
    for (uint32_t s = 0; s < d->stages; s++) {
        d->mixer[s] = "pool";
    }
    d->norm = "group_norm";
    d->head = "norm_pool";
    d->head_norm = "group_norm";
    d->stem.stride = hf_equal(m, d, "strides", 0, 0, 4);
    d->stem.pad = hf_equal(m, d, "padding", 0, 0, 2);
    d->downsample.stride = hf_equal(m, d, "strides", 1, MAX_STAGES, 2);
    d->downsample.pad = hf_equal(m, d, "padding", 1, MAX_STAGES, 1);
    if (m->config.kind == WF_CONFIG_NONE) {
        wf_map_assume(m, "an HF PoolFormer with the class's defaults: window 3, strides 4, 2, 2, 2, padding 2, 1, 1, 1");
    }
}

static uint32_t kernel_of(wf_mapping *m, const char *conv) {
    const wf_source_tensor *t = wf_map_find(m, wf_map_format(m, "%s.weight", conv));
    if (t == NULL) {
        return 0;
    }
    if (t->n_dims != 4 || t->dims[2] != t->dims[3] || t->dims[2] == 0 || t->dims[2] > 64) {
        wf_map_fail(m, WF_E_SHAPE, t->name, "tensor \"%s\" is no square convolution [out, in, k, k]", t->name);
        return 0;
    }
    return (uint32_t)t->dims[2];
}

static void need_geometry(wf_mapping *m, const details *d, const char *what, uint32_t kernel, uint32_t usual, const char *stride,
                          const char *pad) {
    bool told = m->config.kind != WF_CONFIG_NONE && (d->lib == HF || (wf_map_key(m, stride) != NULL &&
                                                                      wf_map_key(m, pad) != NULL));
    if (kernel != usual && !told && d->lib != TIMM) {
        wf_map_fail(m, WF_E_MISSING, stride, "the %s convolution is %u × %u instead of the usual %u × %u, so its stride and padding "
                    "cannot be assumed; give %s and %s in --config", what, kernel, kernel, usual, usual, stride, pad);
    }
}

static void configure(wf_mapping *m, details *d) {
    const block_names *n = &names_of[d->lib];
    d->norm_eps = d->head_eps = 1e-5f;
    d->stem = (conv_geometry){kernel_of(m, down_name(m, d, 0)), 4, 2};
    d->downsample = (conv_geometry){3, 2, 1};
    for (uint32_t s = 1; s < d->stages; s++) {
        uint32_t kernel = d->down[s] ? kernel_of(m, down_name(m, d, s)) : d->downsample.kernel;
        if (s > 1 && d->down[s] && d->down[1] && kernel != d->downsample.kernel) {
            wf_map_fail(m, WF_E_UNSUPPORTED, down_name(m, d, s), "the downsampling convolutions have different kernels (%u and %u)",
                        d->downsample.kernel, kernel);
        }
        d->downsample.kernel = kernel;
    }
    if (m->status != WF_OK) {
        return;
    }
    d->lib == SAIL ? configure_sail(m, d) : d->lib == TIMM ? configure_timm(m, d) : configure_hf(m, d);
    if (d->lib != HF) {
        need_geometry(m, d, "stem", d->stem.kernel, 7, "in_stride", "in_pad");
        need_geometry(m, d, "downsampling", d->downsample.kernel, 3, "down_stride", "down_pad");
    }
    d->pool_size = wf_map_arg(m, "pool_size", 3);
    if (d->pool_size % 2 == 0 || d->stem.stride == 0 || d->downsample.stride == 0) {
        wf_map_fail(m, WF_E_ARGUMENT, m->config.file, "%s gives pool_size %u and strides %u and %u; the window must be odd and a stride "
                    "at least 1", m->config.file, d->pool_size, d->stem.stride, d->downsample.stride);
    }
    d->head_dim = 32;
    bool keys = wf_map_has(m, block_prefix(m, d, 0, 0), wf_map_format(m, ".%s", n->scale1));
    d->layer_scale = wf_map_arg_bool(m, "use_layer_scale", keys);
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        if (strcmp(d->mixer[s], "attention") == 0) {
            d->qkv_bias = wf_map_has(m, block_prefix(m, d, s, 0), ".token_mixer.qkv.bias");
        }
    }
}

/* `downsamples` of the official classes: whether a stage follows with a smaller picture, where widths do not say so already. */
static void compare_downsamples(wf_mapping *m, const details *d) {
    const wf_json *list = d->lib == SAIL ? wf_map_key(m, "downsamples") : NULL;
    for (uint32_t s = 1; list != NULL && list->kind != WF_JSON_NULL && s < d->stages; s++) {
        const wf_json *v = wf_json_at(list, s - 1);
        bool told = v != NULL && v->boolean, must = d->width[s] != d->width[s - 1];
        if (v == NULL || v->kind != WF_JSON_BOOL || (told || must) != d->down[s]) {
            wf_map_fail(m, WF_E_SHAPE, m->config.file, "downsamples of %s does not fit the checkpoint, whose stage %u begins with%s a "
                        "smaller picture: another model's config?", m->config.file, s, d->down[s] ? "" : "out");
        }
    }
}

/* The config may repeat what the tensors say; a contradiction means that they do not belong together. */
static void compare_with_config(wf_mapping *m, const details *d) {
    compare_downsamples(m, d);
    static const char *const widths[] = {[SAIL] = "embed_dims", [TIMM] = "dims", [HF] = "hidden_sizes"};
    static const char *const depths[] = {[SAIL] = "layers", [TIMM] = "depths", [HF] = "depths"};
    for (uint32_t s = 0; s < d->stages; s++) {
        const struct {
            const char *key;
            uint32_t scale, found; /* the config's value × scale, rounded down, must be `found` */
        } rows[] = {{widths[d->lib], 1, d->width[s]}, {depths[d->lib], 1, d->blocks[s]}, {"mlp_ratios", d->width[s], d->hidden[s]}};
        for (int i = 0; i < 3; i++) {
            const wf_json *list = wf_map_key(m, rows[i].key), *v = wf_json_at(list, s);
            bool given = list != NULL && list->kind != WF_JSON_NULL;
            if (given && (list->count != d->stages || v == NULL || v->kind != WF_JSON_NUMBER ||
                          !(v->number * rows[i].scale >= rows[i].found && v->number * rows[i].scale < rows[i].found + 1.0))) {
                wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s of %s does not fit the checkpoint, whose stage %u of %u has %u: another "
                            "model's config?", rows[i].key, m->config.file, s, d->stages, rows[i].found / rows[i].scale);
            }
        }
    }
}

/* ---- tensors and taps, in the order in which the graph reads them ---- */

static void map_block(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    const block_names *n = &names_of[d->lib];
    const char *from = block_prefix(m, d, s, b), *to = wf_map_format(m, "stage.%u.blk.%u", s, b);
    wf_map_affine(m, wf_map_format(m, "%s.%s", from, n->norm1), wf_map_format(m, "%s.norm1", to), WF_MAP_VECTOR, true);
    const char *mixer = wf_map_format(m, "%s.%s", from, n->mixer);
    if (strcmp(d->mixer[s], "attention") == 0) {
        wf_map_affine(m, wf_map_format(m, "%s.qkv", mixer), wf_map_format(m, "%s.mixer.qkv", to), WF_MAP_LINEAR, !d->qkv_bias);
        wf_map_affine(m, wf_map_format(m, "%s.proj", mixer), wf_map_format(m, "%s.mixer.proj", to), WF_MAP_LINEAR, false);
        wf_map_tap(m, wf_map_format(m, "%s.qkv", mixer), wf_map_format(m, "%s.mixer.qkv", to), "nlc");
        wf_map_tap(m, wf_map_format(m, "%s.proj", mixer), wf_map_format(m, "%s.mixer.proj", to), "nlc");
    } else if (strcmp(d->mixer[s], "spatial_fc") == 0) {
        wf_map_tensor(m, wf_map_format(m, "%s.fc.weight", mixer), wf_map_format(m, "%s.mixer.fc.weight", to), WF_MAP_LINEAR, false);
        m->grid_bound = true;
    }
    if (d->layer_scale) {
        wf_map_tensor(m, wf_map_format(m, "%s.%s", from, n->scale1), wf_map_format(m, "%s.scale1", to), WF_MAP_VECTOR, false);
    }
    wf_map_affine(m, wf_map_format(m, "%s.%s", from, n->norm2), wf_map_format(m, "%s.norm2", to), WF_MAP_VECTOR, true);
    wf_map_affine(m, wf_map_format(m, "%s.%s", from, n->fc1), wf_map_format(m, "%s.ffn_up", to), WF_MAP_LINEAR, false);
    wf_map_affine(m, wf_map_format(m, "%s.%s", from, n->fc2), wf_map_format(m, "%s.ffn_down", to), WF_MAP_LINEAR, false);
    if (d->layer_scale) {
        wf_map_tensor(m, wf_map_format(m, "%s.%s", from, n->scale2), wf_map_format(m, "%s.scale2", to), WF_MAP_VECTOR, false);
    }
    const struct {
        const char *source, *node;
    } taps[] = {{n->norm1, "norm1"}, {n->mixer, "mixer"},  {n->norm2, "norm2"},  {n->fc1, "ffn_up"},
                {n->act, "ffn_act"}, {n->fc2, "ffn_down"}, {n->mlp, "ffn_down"}};
    for (size_t i = 0; i < sizeof taps / sizeof taps[0]; i++) {
        wf_map_tap(m, wf_map_format(m, "%s.%s", from, taps[i].source), wf_map_format(m, "%s.%s", to, taps[i].node), "nchw");
    }
    wf_map_tap(m, from, to, "nchw");
}

static void map_stage(wf_mapping *m, details *d, uint32_t s) {
    const char *to = wf_map_format(m, "stage.%u", s), *down = wf_map_format(m, "%s.down", to);
    if (d->down[s]) {
        wf_map_affine(m, down_name(m, d, s), down, WF_MAP_CONV, false);
        wf_map_tap(m, down_name(m, d, s), down, "nchw");
        wf_map_tap(m, d->lib == SAIL   ? wf_map_format(m, "network.%d", d->down_entry[s])
                      : d->lib == TIMM ? wf_map_format(m, "stages.%u.downsample", s)
                                       : wf_map_format(m, "%sencoder.patch_embeddings.%u", d->root, s), down, "nchw");
    }
    if (d->position_entry[s] >= 0) {
        const char *name = wf_map_format(m, "network.%d", d->position_entry[s]);
        const char *key = wf_map_format(m, "%s.pos_embed", name);
        if (wf_map_tensor(m, key, wf_map_format(m, "%s.position.weight", to), WF_MAP_TABLE_CHW, false)) {
            const wf_source_tensor *t = wf_map_find(m, key);
            d->position_h[s] = (uint32_t)t->dims[2];
            d->position_w[s] = (uint32_t)t->dims[3];
            m->grid_bound = true;
        }
        wf_map_tap(m, name, wf_map_format(m, "%s.position", to), "nchw");
    }
    for (uint32_t b = 0; b < d->blocks[s]; b++) {
        map_block(m, d, s, b);
    }
    wf_map_tap(m, d->lib == SAIL   ? wf_map_format(m, "network.%d", d->stage_entry[s])
                  : d->lib == TIMM ? wf_map_format(m, "stages.%u", s)
                                   : wf_map_format(m, "%sencoder.block.%u", d->root, s), to, "nchw");
    if (d->features) {
        const char *norm = wf_map_format(m, "norm%d", d->stage_entry[s]), *node = wf_map_format(m, "%s.out_norm", to);
        if (wf_map_has(m, norm, ".weight")) { /* FORK_LAST3 leaves the first map as it is */
            wf_map_affine(m, norm, node, WF_MAP_VECTOR, true);
            wf_map_tap(m, norm, node, "nchw");
        } else {
            wf_map_assume(m, "no norm after stage %u (the checkpoint has no %s.weight)", s, norm);
        }
    }
}

static void map_head(wf_mapping *m, const details *d) {
    const char *norm = d->lib == TIMM ? "head.norm" : "norm";
    const char *fc = d->lib == SAIL ? "head" : d->lib == TIMM ? "head.fc" : "classifier";
    wf_map_affine(m, norm, "norm", WF_MAP_VECTOR, true);
    wf_map_tap(m, norm, "norm", d->lib == TIMM ? "nc11" : "nchw");
    const wf_source_tensor *t = wf_map_find(m, wf_map_format(m, "%s.weight", fc));
    if (t != NULL) {
        m->classes = (uint32_t)t->dims[0];
        wf_map_affine(m, fc, "head", WF_MAP_LINEAR, false);
        wf_map_tap(m, fc, "head", "nc");
    }
    if (t == NULL && wf_map_has(m, fc, ".fc1.weight")) {
        wf_map_fail(m, WF_E_UNSUPPORTED, fc, "the classifier of this checkpoint is an MLP (%s.fc1, %s.fc2), which this version does not have", fc, fc);
    }
    if (d->lib == HF) {
        wf_map_tap(m, wf_map_format(m, "%sencoder", d->root), wf_map_format(m, "stage.%u", d->stages - 1), "nchw");
        wf_map_tap(m, "poolformer", wf_map_format(m, "stage.%u", d->stages - 1), "nchw");
    }
    unsigned long long told = wf_map_arg(m, d->lib == HF ? "num_labels" : "num_classes", m->classes);
    if (told != m->classes) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s says %llu classes, but the checkpoint's classifier has %u", m->config.file, told,
                    m->classes);
    }
}

/* A tensor inside a stage that no part took would change the result: refuse it by name. */
static void check_left_over(wf_mapping *m, const details *d) {
    const char *inside = d->lib == SAIL ? "network." : d->lib == TIMM ? "stages." : wf_map_format(m, "%sencoder.", d->root);
    for (uint64_t i = 0; i < m->source->tensor_count && m->status == WF_OK; i++) {
        const char *name = m->source->tensors[i].name;
        const char *tail = strrchr(name, '.');
        bool scale = strstr(name, "layer_scale") != NULL && !d->layer_scale, counter = tail != NULL && strcmp(tail, ".num_batches_tracked") == 0;
        if (!m->used[i] && strncmp(name, inside, strlen(inside)) == 0 && !scale && !counter) {
            wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" belongs to a part that this version does not have (it knows pooling, "
                        "identity, attention and spatial-FC mixers with an MLP)", name);
        }
    }
}

/* The convolutions in order, and the grids that position tables and spatial-FC matrices are bound to. */
static wf_pyramid pyramid_of(wf_mapping *m, const details *d) {
    wf_pyramid p = {1, {{d->stem.kernel, d->stem.stride, d->stem.pad, 0, 0, 0}}};
    for (uint32_t s = 0; s < d->stages && p.count < WF_PYRAMID_STEPS; s++) {
        const conv_geometry *g = &d->downsample;
        const wf_source_tensor *fc = strcmp(d->mixer[s], "spatial_fc") != 0
                                         ? NULL
                                         : wf_map_find(m, wf_map_format(m, "%s.token_mixer.fc.weight", block_prefix(m, d, s, 0)));
        p.steps[p.count++] = (wf_pyramid_step){d->down[s] ? g->kernel : 0, g->stride, g->pad, d->position_h[s], d->position_w[s],
                                               fc != NULL ? fc->dims[0] : 0};
    }
    return p;
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err);

wf_status wf_map_poolformer(wf_mapping *m, bool *known) {
    static const char *const families[] = {[SAIL] = "sail-sg/poolformer", [TIMM] = "timm", [HF] = "transformers"};
    details *d = wf_arena_alloc(m->arena, sizeof *d);
    *known = false;
    if (d == NULL) {
        return wf_fail(m->err, WF_E_MEMORY, "convert", -1, "no memory for the map of the checkpoint");
    }
    if (!recognise(m, d)) {
        return m->status;
    }
    *known = true;
    m->details = d;
    m->metadata = write_metadata;
    m->family = families[d->lib];
    static const char *const classes[] = {"PoolFormer", "MetaFormer", NULL}, *const types[] = {"poolformer", NULL};
    wf_map_check_class(m, classes, types);
    count_blocks(m, d);
    if (m->status == WF_OK) {
        configure(m, d);
    }
    if (m->status != WF_OK) {
        return m->status;
    }
    compare_with_config(m, d);
    wf_map_affine(m, down_name(m, d, 0), "stem", WF_MAP_CONV, false);
    const wf_source_tensor *stem = wf_map_find(m, wf_map_format(m, "%s.weight", down_name(m, d, 0)));
    m->channels = stem != NULL && stem->n_dims == 4 ? (uint32_t)stem->dims[1] : 0;
    wf_map_tap(m, down_name(m, d, 0), "stem", "nchw");
    wf_map_tap(m, d->lib == SAIL   ? "patch_embed"
                  : d->lib == TIMM ? "stem"
                                   : wf_map_format(m, "%sencoder.patch_embeddings.0", d->root), "stem", "nchw");
    for (uint32_t s = 0; s < d->stages; s++) {
        map_stage(m, d, s);
    }
    if (!d->features) {
        map_head(m, d);
    }
    check_left_over(m, d);
    bool pools = strcmp(d->norm, "group_norm") == 0;
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        pools = pools && strcmp(d->mixer[s], "pool") == 0;
    }
    m->architecture = pools ? "poolformer" : "wf.metaformer";
    if (m->status != WF_OK) {
        return m->status;
    }
    wf_pyramid pyramid = pyramid_of(m, d);
    uint32_t bound = m->grid_bound ? wf_pyramid_side(&pyramid) : 0;
    wf_map_image_defaults(m, bound != 0 ? bound : 224, d->width[0] == 96 ? 0.95f : 0.9f);
    m->golden_size = m->grid_bound ? 0 : d->features ? 32 : 64;
    while (m->golden_size != 0 && m->golden_size < 1024 && !wf_pyramid_fits(&pyramid, m->golden_size)) {
        m->golden_size *= 2; /* strides without padding can leave less than a kernel of a small picture */
    }
    return m->status;
}

/* ---- metadata ---- */

static const char *key_of(char name[128], const wf_mapping *m, const char *what, const char *key) {
    return strcat(strcat(strcat(strcpy(name, m->architecture), "."), what), key);
}

static wf_status add_u32(const wf_mapping *m, wf_gguf_writer *w, const char *what, const char *key, uint32_t v, wf_error *err) {
    char name[128];
    return wf_gguf_add_u32(w, key_of(name, m, what, key), v, err);
}

static wf_status add_conv(const wf_mapping *m, wf_gguf_writer *w, const char *what, conv_geometry c, wf_error *err) {
    WF_TRY(add_u32(m, w, what, ".kernel", c.kernel, err));
    WF_TRY(add_u32(m, w, what, ".stride", c.stride, err));
    return add_u32(m, w, what, ".padding", c.pad, err);
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    const details *d = m->details;
    const struct {
        const char *key;
        const uint32_t *items;
    } arrays[] = {{"block_count", d->blocks}, {"embedding_length", d->width}, {"feed_forward_length", d->hidden},
                  {"downsample", d->down},    {"position.height", d->position_h}, {"position.width", d->position_w}};
    const struct {
        const char *key, *text;
    } texts[] = {{"norm", wf_map_norm_now(m, d->norm)}, {"head", d->features ? "features" : d->head}, {"head.norm", wf_map_norm_now(m, d->head_norm)}};
    char name[128];
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        WF_TRY(wf_gguf_add_array(w, key_of(name, m, arrays[i].key, ""), WF_GGUF_U32, arrays[i].items, d->stages, err));
    }
    WF_TRY(wf_gguf_add_array(w, key_of(name, m, "mixer", ""), WF_GGUF_STRING, d->mixer, d->stages, err));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        WF_TRY(wf_gguf_add_string(w, key_of(name, m, texts[i].key, ""), texts[i].text, err));
    }
    WF_TRY(add_conv(m, w, "stem", d->stem, err));
    WF_TRY(add_conv(m, w, "downsample", d->downsample, err));
    WF_TRY(wf_gguf_add_f32(w, key_of(name, m, "norm_epsilon", ""), d->norm_eps, err));
    WF_TRY(wf_gguf_add_f32(w, key_of(name, m, "head.norm_epsilon", ""), d->head_eps, err));
    WF_TRY(wf_gguf_add_bool(w, key_of(name, m, "layer_scale", ""), d->layer_scale && !m->change.scales_folded, err));
    WF_TRY(wf_gguf_add_bool(w, key_of(name, m, "attention.qkv_bias", ""), d->qkv_bias || m->change.biases_made, err));
    WF_TRY(add_u32(m, w, "attention.head_dim", "", d->head_dim, err));
    WF_TRY(add_u32(m, w, "pool_size", "", d->pool_size, err));
    WF_TRY(add_u32(m, w, "class_count", "", m->classes, err));
    WF_TRY(add_u32(m, w, "input.channels", "", m->channels, err));
    WF_TRY(add_u32(m, w, "input.height", "", m->image.height, err));
    return add_u32(m, w, "input.width", "", m->image.width, err);
}
