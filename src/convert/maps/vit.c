/* ViT and DeiT checkpoints of two libraries → architecture vit (models/vit.c).

     timm   patch_embed.proj, cls_token, dist_token, reg_token, pos_embed, blocks.N.{norm1, attn.{qkv, q_norm, k_norm, proj}, ls1.gamma,
            norm2, mlp.{fc1, fc2}, ls2.gamma}, norm or fc_norm, head, head_dist
            norm_pre where there is one; other norms by their tensors, other places by the config (norm_config.h)
     SLAB   timm's names with RepBN for norms: norm1.{alpha, bn.*} or, inside a LinearNorm, norm1.norm2.{alpha, bn.*}; with linear
            attention also attn.{positional_encoding, dwc}, and a cls_token that the model does not use
     SiT    timm's names, those of the ViT below "backbone." while it is trained; its heads and MP3's: vit_head.c
     Sparse-ViT (JAX's names)   embedding, cls_token, transformer.{pos_embedding.pos_embedding, encoder_layers.N.{norm1,
            attn.{query, key, value, out}, norm2, mlp.{fc1, fc2}}, norm}, classifier; attention's matrices have the input first
     HF     {vit,deit}.embeddings.{patch_embeddings.projection, cls_token, distillation_token, position_embeddings},
            .encoder.layer.N.{layernorm_before, attention.attention.{query,key,value}, attention.output.dense, layernorm_after,
            intermediate.dense, output.dense}, .layernorm, classifier (or cls_classifier and distillation_classifier)

   What tensors cannot tell: the number of heads (64 wide in every published model, so assumed), and which mean and std a picture
   wants (DeiT: ImageNet's; the others 0.5).
   Sources: timm models/vision_transformer.py and deit.py, transformers models/vit and models/deit, xinghaochen/SLAB
   classification/models/{deit,slab_deit}.py, Sara-Ahmed/SiT, lambert-x/medical_mae models_vit.py, yogiprsty/Sparse-ViT model.py. */
#include <string.h>

#include "convert/norm_config.h"
#include "convert/maps/vit_head.h"

enum { MAX_BLOCKS = 96 };

typedef struct details {
    bool hf, jax;
    const char *root; /* HF: "vit.", "deit." or ""; SiT: "backbone." */
    wf_vit_head head;
    uint32_t blocks, width, hidden, heads, patch, prefix, grid_h, grid_w;
    bool qkv_bias, qk_norm, layer_scale, distilled, mean, fc_norm;
    wf_map_norms norms;
    const char *stem_norm; /* "none", or the kind */
    const char *head_norm;
    bool repbn; /* SLAB's norm */
    uint32_t window; /* of SLAB's linear attention; 0: softmax attention */
    const char *position; /* "all", "grid", "none" */
    float eps;
} details;

static const char *block_name(wf_mapping *m, const details *d, uint32_t b) {
    return wf_map_format(m, d->hf ? "%sencoder.layer.%u" : d->jax ? "%stransformer.encoder_layers.%u" : "%sblocks.%u", d->root, b);
}

/* A tensor or module outside the blocks. */
static const char *named(wf_mapping *m, const details *d, const char *name) { return wf_map_format(m, "%s%s", d->root, name); }

static bool recognise(wf_mapping *m, details *d) {
    static const char *const roots[] = {"vit.", "deit.", ""}, *const timm_roots[] = {"", "backbone."};
    for (size_t i = 0; i < sizeof timm_roots / sizeof timm_roots[0]; i++) {
        d->root = timm_roots[i];
        const char *norm = named(m, d, "blocks.0.norm1");
        if (wf_map_has(m, d->root, "patch_embed.proj.weight") && wf_map_has(m, d->root, "blocks.0.attn.qkv.weight") &&
            wf_map_has(m, d->root, "blocks.0.mlp.fc1.weight") &&
            (wf_map_has(m, norm, ".weight") || wf_map_has(m, norm, "_out.weight") || wf_map_is_repbn(m, norm))) {
            return true;
        }
    }
    d->root = "";
    d->jax = wf_map_has(m, "embedding.weight", "") && wf_map_has(m, "transformer.encoder_layers.0.", "attn.query.weight");
    if (d->jax) {
        return true;
    }
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        if (wf_map_has(m, roots[i], "embeddings.patch_embeddings.projection.weight") &&
            wf_map_has(m, roots[i], "encoder.layer.0.attention.attention.query.weight") &&
            wf_map_has(m, roots[i], "encoder.layer.0.layernorm_before.weight")) {
            d->hf = true;
            d->root = roots[i];
            return true;
        }
    }
    return false;
}

/* ---- structure ---- */

static const wf_source_tensor *need(wf_mapping *m, const char *name, uint32_t n_dims) { return wf_map_need(m, name, n_dims, "ViT"); }

static const char *patch_name(wf_mapping *m, const details *d) {
    return named(m, d, d->hf ? "embeddings.patch_embeddings.projection" : d->jax ? "embedding" : "patch_embed.proj");
}

static uint32_t token_rows(wf_mapping *m, const char *name) {
    const wf_source_tensor *t = wf_map_find(m, name);
    return t == NULL ? 0 : t->n_dims == 3 ? (uint32_t)t->dims[1] : 1;
}

/* The names of the tokens in front of the patches, in order. */
static uint32_t prefix_names(wf_mapping *m, const details *d, const char *names[3]) {
    static const char *const timm[] = {"cls_token", "dist_token", "reg_token"}, *const sit[] = {"rot_token", "contrastive_token", ""};
    bool first_sit = !d->hf && wf_map_find(m, "rot_token") != NULL;
    uint32_t count = 0;
    for (int i = 0; i < 3 && d->window == 0; i++) {
        const char *name = first_sit ? sit[i]
                           : !d->hf ? named(m, d, timm[i])
                           : i == 0 ? wf_map_format(m, "%sembeddings.cls_token", d->root)
                           : i == 1 ? wf_map_format(m, "%sembeddings.distillation_token", d->root)
                                    : "";
        if (*name != '\0' && wf_map_find(m, name) != NULL) {
            names[count++] = name;
        }
    }
    return count;
}

static uint32_t square_root(uint64_t n) {
    uint64_t r = 0;
    while ((r + 1) * (r + 1) <= n && r < 4096) {
        r++;
    }
    return r * r == n ? (uint32_t)r : 0;
}

static const char *position_name(wf_mapping *m, const details *d) {
    return named(m, d, d->hf ? "embeddings.position_embeddings" : d->jax ? "transformer.pos_embedding.pos_embedding" : "pos_embed");
}

static void read_position(wf_mapping *m, details *d) {
    const char *name = position_name(m, d);
    uint32_t size[2] = {0, 0};
    bool told = wf_map_arg_size(m, d->hf || d->jax ? "image_size" : "img_size", size);
    d->position = "none";
    if (told && (size[0] % d->patch != 0 || size[1] % d->patch != 0)) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s gives pictures of %u × %u, no whole number of %u × %u patches: correct "
                    "%s", m->config.file, size[0], size[1], d->patch, d->patch, d->hf ? "image_size" : "img_size");
        return;
    }
    d->grid_h = told ? size[0] / d->patch : 224 / d->patch;
    d->grid_w = told ? size[1] / d->patch : 224 / d->patch;
    if (d->head.places != 0 && !told) {
        d->grid_h = d->grid_w = square_root(d->head.places);
    }
    if (d->head.places != 0 && d->grid_h * d->grid_w != d->head.places) {
        wf_map_fail(m, WF_E_SHAPE, "pos_head.weight", "the head knows %u places, which is no square grid%s; name the picture's size (img_size) "
                    "in --config", d->head.places, told ? " of the config's size" : "");
    }
    if (wf_map_find(m, name) == NULL) {
        return;
    }
    const wf_source_tensor *t = need(m, name, 3);
    uint64_t rows = t != NULL ? t->dims[1] : 0, wanted = (uint64_t)d->grid_h * d->grid_w + d->prefix;
    bool all = rows >= d->prefix && (told ? rows == wanted : square_root(rows - d->prefix) != 0);
    bool patches_only = wf_map_arg_bool(m, "no_embed_class", !all);
    uint64_t cells = patches_only ? rows : rows - d->prefix;
    d->position = patches_only ? "grid" : "all";
    if (!told) {
        d->grid_h = d->grid_w = square_root(cells);
    }
    if ((uint64_t)d->grid_h * d->grid_w != cells || cells == 0) {
        wf_map_fail(m, WF_E_SHAPE, name, "tensor \"%s\" has %llu rows, which is no square grid of patches%s; name the picture's size "
                    "(img_size or image_size) in --config", name, (unsigned long long)rows, told ? " of the config's size" : "");
    }
}

static void expect_arg(wf_mapping *m, const char *key, uint32_t found) {
    uint32_t told = wf_map_arg(m, key, found);
    if (told != found) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s of %s is %u, but the checkpoint has %u: another model's config?", key,
                    m->config.file, told, found);
    }
}

/* Settings that change the answer without changing a tensor's name. */
static void check_plain(wf_mapping *m) {
    static const struct {
        const char *key, *classes[3];
    } parts[] = {{"block_fn", {"Block", "ResPostBlock"}}, {"mlp_layer", {"Mlp"}}, {"attn_layer", {"Attention", "attn"}}, {"embed_layer", {"PatchEmbed"}}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        wf_map_need_class(m, parts[i].key, parts[i].classes);
    }
    if (wf_map_arg_bool(m, "pool_include_prefix", false)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "pool_include_prefix of %s is true: a mean over the class token too is not supported",
                    m->config.file);
    }
    if (wf_map_has(m, "dist_token", "") && wf_map_has(m, "patch_embed.proj", ".weight") && !wf_map_has(m, "head_dist", ".weight")) {
        wf_map_fail(m, WF_E_UNSUPPORTED, "dist_token", "the checkpoint has a dist_token, but no head_dist: what timm gives then, the mean of two "
                    "tokens, this version does not; save the model with both of its classifiers");
    }
}

static void read_heads(wf_mapping *m, details *d) {
    const wf_source_tensor *q = d->qk_norm ? wf_map_find(m, wf_map_format(m, "%s.attn.q_norm.weight", block_name(m, d, 0))) : NULL;
    const wf_source_tensor *query = d->jax ? need(m, wf_map_format(m, "%s.attn.query.weight", block_name(m, d, 0)), 3) : NULL;
    uint32_t assumed = q != NULL && q->elements != 0 ? d->width / (uint32_t)q->elements : d->width % 64 == 0 ? d->width / 64 : 0;
    const char *key = d->hf ? "num_attention_heads" : "num_heads";
    d->heads = wf_map_arg(m, key, 0);
    if (query != NULL && query->dims[1] <= d->width) { /* [width, heads, d] */
        d->heads = (uint32_t)query->dims[1];
        expect_arg(m, "num_heads", d->heads);
    }
    bool told = d->heads != 0;
    if (d->heads == 0) {
        d->heads = assumed;
        if (assumed == 0) {
            wf_map_fail(m, WF_E_MISSING, "num_heads", "tensors do not tell the number of attention heads and the width %u is no multiple of "
                        "64; give num_heads in --config", d->width);
        } else if (q == NULL) {
            wf_map_assume(m, "%u attention heads (64 wide)", assumed);
        }
    }
    if (d->heads != 0 && d->width % d->heads != 0) {
        wf_map_fail(m, WF_E_SHAPE, told ? m->config.file : q->name, told ? "%s gives the attention %u heads, which do not divide the width %u of "
                    "the checkpoint: correct %s, or give the config of this checkpoint" : "tensor \"%s\" tells %u heads, which do not divide the width %u: "
                    "name %s in --config", told ? m->config.file : q->name, d->heads, d->width, key);
    }
}

/* Where the answer is read. timm: global_pool and fc_norm; a model without a class token can only pool. */
static void read_pool(wf_mapping *m, details *d) {
    const char *pool = wf_map_arg_text(m, "global_pool");
    bool norm = wf_map_has(m, d->root, "norm.weight") || wf_map_is_repbn(m, "norm"), class_token = d->window == 0 && wf_map_has(m, d->root, "cls_token");
    d->fc_norm = !d->hf && wf_map_has(m, "fc_norm", ".weight");
    d->mean = !d->hf && (d->fc_norm || !class_token);
    if (d->hf || d->jax) {
        return;
    }
    if (d->head.count != 0 || d->head.concat != 0) {
        d->mean = true; /* concat reads the token besides, tasks say themselves what they read */
        return;
    }
    if (pool != NULL && strcmp(pool, "avg") != 0 && strcmp(pool, "token") != 0) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "global_pool \"%s\" is neither \"token\" nor \"avg\"", pool);
    } else if (pool != NULL) {
        d->mean = strcmp(pool, "avg") == 0;
    } else if (d->mean) {
        wf_map_assume(m, "the mean of the patches is classified (%s)",
                      d->fc_norm ? "fc_norm is there" : d->window != 0 ? "SLAB's way" : "no class token");
    }
    if (d->fc_norm && norm) {
        wf_map_fail(m, WF_E_UNSUPPORTED, "fc_norm.weight", "the checkpoint normalises both before and after pooling (norm and fc_norm), "
                    "which this version does not do");
    } else if (!d->mean && !class_token) {
        wf_map_fail(m, WF_E_MISSING, "cls_token", "%s classifies the class token, but the checkpoint has no cls_token", m->config.file);
    }
}

static void read_window(wf_mapping *m, details *d, const char *block) {
    d->window = d->hf ? 0 : wf_map_sla_kernel(m, wf_map_format(m, "%s.attn", block));
    if (d->window != 0 && d->qk_norm) {
        wf_map_fail(m, WF_E_UNSUPPORTED, block, "linear attention with normalised q and k (\"%s\") is not supported", block);
    }
}

static void read_eps(wf_mapping *m, details *d) {
    const wf_json *eps = wf_map_key(m, "layer_norm_eps");
    const char *layer = wf_map_arg_text(m, "norm_layer");
    bool told = layer != NULL && (wf_map_is_class(layer, "RepBN") || wf_map_is_class(layer, "LinearNorm"));
    if (layer != NULL && told != d->repbn) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "norm_layer of %s is %s, but the checkpoint %s RepBN: another model's config?",
                    m->config.file, layer, d->repbn ? "has" : "has no");
    }
    bool constant = d->repbn || strcmp(d->norms.kind, "un") == 0 || strcmp(d->norms.kind, "batch_norm") == 0;
    bool rms = strcmp(d->norms.kind, "rms_norm") == 0;
    if (rms && d->qk_norm) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "RMS norms of q and k are not supported (norm_layer and qk_norm of %s)",
                    m->config.file);
    }
    d->eps = constant || d->jax ? 1e-5f : d->hf ? 1e-12f : 1e-6f;
    if (d->norms.eps != 0) {
        d->eps = d->norms.eps;
    } else if (d->hf && eps != NULL && eps->kind == WF_JSON_NUMBER && eps->number >= 1e-12 && eps->number <= 0.1) {
        d->eps = (float)eps->number;
    } else if (!d->repbn) {
        wf_map_assume(m, "%s norm epsilon %g", rms ? "RMS" : constant ? "constant" : "layer", (double)d->eps);
    }
}

/* Layer and RMS norms look alike: timm's norm_layer or our norm_kind says which; with biases, layer norms are the default. */
static const char *kind_of_norm(wf_mapping *m, const details *d) {
    static const char *const known[] = {"LayerNorm", "layernorm", "RmsNorm", "RMSNorm", "rmsnorm", NULL};
    const char *block = block_name(m, d, 0), *first = wf_map_format(m, wf_map_has(m, block, ".norm1_out.weight") ? "%s.norm1_out" : "%s.norm1", block);
    const char *kind = wf_map_norm_kind(m, first), *layer = wf_map_arg_text(m, "norm_layer");
    if (kind != NULL) {
        return kind;
    }
    wf_map_need_class(m, "norm_layer", known);
    if (layer == NULL && !wf_map_has(m, first, ".bias") && wf_json_get(m->config.own, "norm_kind") == NULL) {
        wf_map_fail(m, WF_E_MISSING, wf_map_format(m, "%s.bias", first), "norms without biases may be layer norms or RMS norms: say which in "
                    "--config (norm_layer \"LayerNorm\" or \"RmsNorm\")");
    }
    return layer == NULL ? NULL : wf_map_is_class(layer, known[0]) || wf_map_is_class(layer, known[1]) ? "layer_norm" : "rms_norm";
}

static void read_norms(wf_mapping *m, details *d) {
    const char *block = wf_map_arg_text(m, "block_fn");
    bool post = !d->hf && block != NULL && wf_map_is_class(block, "ResPostBlock");
    wf_map_read_norms(m, d->hf || d->jax ? NULL : kind_of_norm(m, d), post ? "out" : NULL, d->blocks, &d->norms);
    d->repbn = strcmp(d->norms.kind, "repbn") == 0;
    if ((d->hf || d->jax) && (d->norms.count != 0 || d->norms.depth_scaling || strcmp(d->norms.kind, "layer_norm") != 0)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "norm_kind, norm_placement and norm_depth_scaling are for checkpoints with timm's names");
    }
    d->stem_norm = !d->hf && wf_map_has(m, d->root, "norm_pre.weight") ? d->norms.kind : "none";
    bool there = wf_map_has(m, d->root, "norm.weight") || wf_map_has(m, d->root, "fc_norm.weight") || wf_map_is_repbn(m, named(m, d, "norm"));
    bool missing = !d->hf && !d->jax && !there;
    d->head_norm = missing && d->norms.count != 0 ? "none" : d->norms.kind; /* Post-LN needs none */
}

static void configure(wf_mapping *m, details *d) {
    const wf_source_tensor *patch = need(m, wf_map_format(m, "%s.weight", patch_name(m, d)), 4);
    const char *fc1 = wf_map_format(m, d->hf ? "%s.intermediate.dense.weight" : "%s.mlp.fc1.weight", block_name(m, d, 0));
    const wf_source_tensor *up = need(m, fc1, 2);
    const char *names[3];
    if (m->status != WF_OK) {
        return;
    }
    if (patch->dims[2] != patch->dims[3] || patch->dims[2] > 256) {
        wf_map_fail(m, WF_E_UNSUPPORTED, patch->name, "patches of %llu × %llu are not supported (square ones up to 256 are)",
                    (unsigned long long)patch->dims[2], (unsigned long long)patch->dims[3]);
        return;
    }
    d->patch = (uint32_t)patch->dims[2];
    d->width = (uint32_t)patch->dims[0];
    m->channels = (uint32_t)patch->dims[1];
    d->hidden = (uint32_t)up->dims[0];
    while (d->blocks < MAX_BLOCKS && wf_map_has(m, block_name(m, d, d->blocks), d->hf ? ".intermediate.dense.weight" : ".mlp.fc1.weight")) {
        d->blocks++;
    }
    const char *first = block_name(m, d, 0);
    d->qkv_bias = wf_map_has(m, first, d->hf ? ".attention.attention.query.bias" : d->jax ? ".attn.query.bias" : ".attn.qkv.bias");
    d->qk_norm = !d->hf && wf_map_has(m, first, ".attn.q_norm.weight");
    d->layer_scale = !d->hf && wf_map_has(m, first, ".ls1.gamma");
    read_window(m, d, first);
    uint32_t count = prefix_names(m, d, names);
    for (uint32_t i = 0; i < count; i++) {
        d->prefix += token_rows(m, names[i]);
    }
    d->distilled = d->hf ? wf_map_has(m, "distillation_classifier", ".weight") : wf_map_has(m, "head_dist", ".weight");
    expect_arg(m, d->hf ? "hidden_size" : d->jax ? "emb_dim" : "embed_dim", d->width);
    expect_arg(m, d->hf ? "num_hidden_layers" : d->jax ? "num_layers" : "depth", d->blocks);
    uint32_t told[2] = {d->patch, d->patch};
    wf_map_arg_size(m, "patch_size", told);
    if (told[0] != d->patch || told[1] != d->patch) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "patch_size of %s is %u, but the checkpoint has %u: another model's config?",
                    m->config.file, told[told[0] == d->patch], d->patch);
    }
    if (d->hf || d->jax) {
        expect_arg(m, d->hf ? "intermediate_size" : "mlp_dim", d->hidden);
    }
    wf_vit_head_find(m, &d->head);
    const char *act = wf_map_arg_text(m, d->hf ? "hidden_act" : "act_layer");
    if (act != NULL && strcmp(act, "gelu") != 0 && strcmp(act, "GELU") != 0 && strcmp(act, "torch.nn.modules.activation.GELU") != 0) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "activation \"%s\" is not supported by ViT here (only the erf GELU is)", act);
    }
    read_norms(m, d);
    read_eps(m, d);
    read_heads(m, d);
    read_pool(m, d);
    if (m->status == WF_OK) {
        read_position(m, d);
    }
}

/* ---- tensors and taps ---- */

static void map_qkv(wf_mapping *m, const details *d, const char *from, const char *to) {
    static const char *const parts[] = {"query", "key", "value"};
    const char *weights[3], *biases[3];
    if (!d->hf && !d->jax) {
        wf_map_affine(m, wf_map_format(m, "%s.attn.qkv", from), wf_map_format(m, "%s.mixer.qkv", to), WF_MAP_LINEAR, !d->qkv_bias);
        wf_map_tap(m, wf_map_format(m, "%s.attn.qkv", from), wf_map_format(m, "%s.mixer.qkv", to), "nlc");
        return;
    }
    for (int i = 0; i < 3; i++) {
        weights[i] = wf_map_format(m, d->jax ? "%s.attn.%s.weight" : "%s.attention.attention.%s.weight", from, parts[i]);
        biases[i] = wf_map_format(m, d->jax ? "%s.attn.%s.bias" : "%s.attention.attention.%s.bias", from, parts[i]);
    }
    wf_map_stack(m, weights, 3, wf_map_format(m, "%s.mixer.qkv.weight", to), d->jax ? WF_MAP_INPUT_FIRST : WF_MAP_LINEAR);
    if (d->qkv_bias) {
        wf_map_stack(m, biases, 3, wf_map_format(m, "%s.mixer.qkv.bias", to), d->jax ? WF_MAP_FLAT : WF_MAP_VECTOR);
    }
}

static void map_block(wf_mapping *m, const details *d, uint32_t b) {
    const char *from = block_name(m, d, b), *to = wf_map_format(m, "blk.%u", b), *norm = NULL, *norm_node = NULL;
    const struct {
        const char *timm, *hf, *node;
    } rows[] = {{"norm1", "layernorm_before", "norm1"}, {NULL, NULL, NULL}, {"attn.proj", "attention.output.dense", "mixer.proj"},
                {"norm2", "layernorm_after", "norm2"},  {"mlp.fc1", "intermediate.dense", "ffn_up"}, {"mlp.fc2", "output.dense", "ffn_down"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].timm == NULL) {
            map_qkv(m, d, from, to);
            if (d->window != 0) {
                const char *attn = wf_map_format(m, "%s.attn", from);
                wf_map_sla(m, &attn, 1, wf_map_format(m, "%s.mixer", to));
            }
            if (d->qk_norm) {
                wf_map_affine(m, wf_map_format(m, "%s.attn.q_norm", from), wf_map_format(m, "%s.mixer.q_norm", to), WF_MAP_VECTOR, true);
                wf_map_affine(m, wf_map_format(m, "%s.attn.k_norm", from), wf_map_format(m, "%s.mixer.k_norm", to), WF_MAP_VECTOR, true);
            }
            continue;
        }
        uint32_t layer = i / 3;
        bool out = d->jax && i == 2;
        const char *source = wf_map_format(m, "%s.%s", from, d->hf ? rows[i].hf : out ? "attn.out" : rows[i].timm);
        const char *node = wf_map_format(m, "%s.%s", to, rows[i].node);
        if (i % 3 == 0) {
            norm = source, norm_node = node;
            wf_map_block_norm(m, &d->norms, b, layer, WF_NORM_IN, source, node, "nlc");
            continue;
        }
        wf_map_affine(m, source, node, out ? WF_MAP_INPUT_FIRST : WF_MAP_LINEAR, false);
        wf_map_tap(m, source, node, "nlc");
        if (i % 3 == 2) {
            wf_map_block_norm(m, &d->norms, b, layer, WF_NORM_OUT, norm, norm_node, "nlc");
            if (d->layer_scale) {
                wf_map_tensor(m, wf_map_format(m, "%s.ls%u.gamma", from, layer + 1), wf_map_format(m, "%s.scale%u", to, layer + 1),
                              WF_MAP_VECTOR, false);
            }
            wf_map_block_norm(m, &d->norms, b, layer, WF_NORM_RESIDUAL, norm, norm_node, "nlc");
        }
    }
    if (d->hf) {
        wf_map_tap(m, wf_map_format(m, "%s.attention", from), wf_map_format(m, "%s.mixer", to), "nlc");
        wf_map_tap(m, wf_map_format(m, "%slayers.%u", d->root, b), to, "nlc"); /* transformers 5 calls the module so */
    } else {
        wf_map_tap(m, wf_map_format(m, "%s.attn", from), wf_map_format(m, "%s.mixer", to), "nlc");
        wf_map_tap(m, wf_map_format(m, "%s.mlp.act", from), wf_map_format(m, "%s.ffn_act", to), "nlc");
        wf_map_tap(m, wf_map_format(m, "%s.mlp", from), wf_map_format(m, "%s.ffn_down", to), "nlc");
    }
    wf_map_tap(m, from, to, "nlc");
}

static void map_stem(wf_mapping *m, const details *d) {
    const char *names[3];
    wf_map_affine(m, patch_name(m, d), "stem", WF_MAP_CONV, strcmp(d->stem_norm, "none") != 0); /* CLIP's has none */
    wf_map_tap(m, patch_name(m, d), "stem", "nchw");
    wf_map_tap(m, named(m, d, d->hf ? "embeddings.patch_embeddings" : "patch_embed"), "stem", "nlc");
    const char *position = position_name(m, d);
    if (strcmp(d->position, "grid") == 0) {
        wf_map_tensor(m, position, "position.weight", WF_MAP_TABLE_ROWS, false);
    }
    uint32_t count = prefix_names(m, d, names);
    if (count != 0) {
        wf_map_stack(m, names, count, "prefix.weight", WF_MAP_TABLE_ROWS);
    }
    if (strcmp(d->position, "all") == 0) {
        wf_map_tensor(m, position, "position.weight", WF_MAP_TABLE_ROWS, false);
    }
    wf_map_tap(m, named(m, d, d->hf ? "embeddings" : d->jax ? "transformer.pos_embedding" : "pos_drop"), "tokens", "nlc");
    if (strcmp(d->stem_norm, "none") != 0) {
        wf_map_norm(m, d->stem_norm, named(m, d, "norm_pre"), "stem_norm");
        wf_map_tap(m, named(m, d, "norm_pre"), "stem_norm", "nlc");
    }
}

static void map_head(wf_mapping *m, const details *d) {
    const char *norm = named(m, d, d->hf ? "layernorm" : d->jax ? "transformer.norm" : d->fc_norm ? "fc_norm" : "norm");
    const char *fc = d->head.concat != 0 ? "head.2" : d->distilled && d->hf ? "cls_classifier" : d->hf || d->jax ? "classifier" : "head";
    const char *dist = d->hf ? "distillation_classifier" : "head_dist";
    if (strcmp(d->head_norm, "none") != 0) {
        wf_map_norm(m, d->head_norm, norm, "norm");
        wf_map_tap(m, norm, "norm", d->fc_norm ? "nc" : "nlc");
    }
    if (wf_vit_head_map(m, &d->head, d->grid_h, d->grid_w)) {
        return;
    }
    const wf_source_tensor *t = wf_map_find(m, wf_map_format(m, "%s.weight", fc));
    if (t != NULL && t->n_dims == 2) {
        m->classes = (uint32_t)t->dims[0];
        wf_map_affine(m, fc, "head", WF_MAP_LINEAR, false);
        wf_map_tap(m, fc, "head", "nc");
    }
    if (d->distilled) {
        wf_map_affine(m, dist, "head_dist", WF_MAP_LINEAR, false);
        wf_map_tap(m, dist, "head_dist", "nc");
    }
    expect_arg(m, d->hf ? "num_labels" : "num_classes", m->classes);
}

/* Anything of a block or in front of one that no part took would change the result: refuse it by name. */
static void check_left_over(wf_mapping *m, const details *d) {
    const char *inside[] = {named(m, d, d->hf ? "encoder." : d->jax ? "transformer." : "blocks."),
                            named(m, d, d->hf ? "embeddings." : "patch_embed."), d->hf ? "embeddings." : "attn_pool."};
    for (uint64_t i = 0; i < m->source->tensor_count && m->status == WF_OK; i++) {
        const char *name = m->source->tensors[i].name;
        bool part = false;
        for (size_t k = 0; k < sizeof inside / sizeof inside[0]; k++) {
            part = part || strncmp(name, inside[k], strlen(inside[k])) == 0;
        }
        const char *last = strrchr(name, '.'); /* mask_token: of training by masked pictures */
        if (part && !m->used[i] && wf_map_left_over(m, name) == NULL && (last == NULL || strcmp(last, ".mask_token") != 0)) {
            wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" belongs to a part that this version's ViT does not have", name);
        }
    }
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    const details *d = m->details;
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"vit.block_count", d->blocks},          {"vit.embedding_length", d->width},    {"vit.feed_forward_length", d->hidden},
                   {"vit.attention.head_count", d->heads},  {"vit.patch_size", d->patch},          {"vit.prefix_tokens", d->prefix},
                   {"vit.position.height", d->grid_h},      {"vit.position.width", d->grid_w},     {"vit.class_count", m->classes},
                   {"vit.input.channels", m->channels},     {"vit.input.height", m->image.height}, {"vit.input.width", m->image.width}};
    const struct {
        const char *key, *text;
    } texts[] = {{"vit.norm", wf_map_norm_now(m, d->norms.kind)},
                 {"vit.head.norm", wf_map_norm_now(m, d->head_norm)},
                 {"vit.stem.norm", d->stem_norm},
                 {"vit.position", d->position},
                 {"vit.position.resample", d->hf ? "bicubic" : "bicubic_antialias"},
                 {"vit.head", d->head.count != 0    ? "tasks"
                              : d->head.concat != 0 ? "concat"
                              : d->distilled        ? "distilled"
                              : d->fc_norm          ? "pool_norm"
                                                    : "norm_pool"},
                 {"vit.pool", d->mean ? "mean" : "token"},
                 {"vit.mixer", d->window != 0 ? "sla" : "attention"}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        WF_TRY(wf_gguf_add_u32(w, numbers[i].key, numbers[i].value, err));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        WF_TRY(wf_gguf_add_string(w, texts[i].key, texts[i].text, err));
    }
    WF_TRY(wf_map_write_norms(m, &d->norms, w, err));
    WF_TRY(wf_gguf_add_f32(w, "vit.norm_epsilon", d->eps, err));
    WF_TRY(wf_gguf_add_f32(w, "vit.head.norm_epsilon", d->eps, err));
    WF_TRY(wf_gguf_add_f32(w, "vit.attention.qk_norm_epsilon", d->eps, err));
    WF_TRY(d->window != 0 ? wf_gguf_add_u32(w, "vit.attention.window", d->window, err) : WF_OK);
    WF_TRY(wf_vit_head_write(&d->head, w, err));
    WF_TRY(wf_gguf_add_bool(w, "vit.attention.qkv_bias", d->qkv_bias || m->change.biases_made, err));
    WF_TRY(wf_gguf_add_bool(w, "vit.attention.qk_norm", d->qk_norm, err));
    return wf_gguf_add_bool(w, "vit.layer_scale", d->layer_scale && !m->change.scales_folded, err);
}

/* What a picture is assumed to want when no file says it. */
static wf_image_params assumed_image(const details *d) {
    wf_image_params p = wf_map_imagenet(d->grid_h * d->patch, d->repbn ? 0.875f : 0.9f);
    p.width = d->grid_w * d->patch;
    p.round_long = !d->hf && !d->repbn && !d->jax; /* the recorded results of the real ViT-Ti/16 come from such pictures (tests/golden/check_vit_photos.mjs) */
    bool deit = d->distilled || strcmp(d->root, "deit.") == 0 || d->repbn;
    bool sit = d->head.count != 0 || d->head.concat != 0;
    if (d->hf) {
        p.crop_pct = deit ? 0.875f : 1.0f;
        p.squash = !deit;
        p.resample = deit ? WF_RESAMPLE_BICUBIC : WF_RESAMPLE_BILINEAR;
    }
    if (d->jax) { /* resized without a crop */
        p.squash = true;
        p.crop_pct = 1;
        p.resample = WF_RESAMPLE_BILINEAR;
    }
    for (int i = 0; i < 3 && !deit && !sit; i++) {
        p.mean[i] = p.std[i] = 0.5f;
    }
    return p;
}

wf_status wf_map_vit(wf_mapping *m, bool *known) {
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
    m->architecture = "vit";
    static const char *const classes[] = {"VisionTransformer", "VisionTransformerDistilled", "DistilledVisionTransformer", "VisionTransformer_SiT", NULL};
    static const char *const types[] = {"vit", "deit", NULL};
    wf_map_check_class(m, classes, types);
    check_plain(m);
    configure(m, d);
    bool sit = d->head.concat != 0 || (d->head.count != 0 && d->head.places == 0);
    m->family = d->hf ? "transformers" : d->repbn ? "xinghaochen/SLAB" : d->jax ? "yogiprsty/Sparse-ViT" : sit ? "Sara-Ahmed/SiT" : "timm";
    if (m->status != WF_OK) {
        return m->status;
    }
    map_stem(m, d);
    for (uint32_t b = 0; b < d->blocks; b++) {
        map_block(m, d, b);
    }
    map_head(m, d);
    check_left_over(m, d);
    if (m->status == WF_OK) {
        wf_image_params image = assumed_image(d);
        wf_map_image(m, &image);
        m->golden_size = 0;
        m->golden_octaves = true;
    }
    return m->status;
}
