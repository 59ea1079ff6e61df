/* PVT and PVT-v2 checkpoints → architecture pvt (models/pvt.c). Stages are numbered from 1 in the first layout, from 0 in the others.

     official  whai362/PVT and SLAB's slab_pvt.py, slab_pvt_v2.py: patch_embedS.{proj, norm}, pos_embedS, cls_token, blockS.B.{norm1,
               attn.{q, kv, sr, norm, proj}, norm2, mlp.{fc1, dwconv.dwconv, fc2}}, normS (v2) or norm, head; SLAB has RepBN for norms
               (norm.{alpha, bn.*} or inside a LinearNorm), and with linear attention attn.{positional_encoding, dwc}
     timm      pvt_v2.py: patch_embed, stages.S.{downsample, blocks.B, norm}, mlp.dwconv; the rest as above
     HF        [pvt.]encoder.{patch_embeddings.S.{projection, layer_norm, position_embeddings, cls_token}, block.S.B.{layer_norm_1,
               attention.self.{query, key, value, sequence_reduction, layer_norm}, attention.output.dense, layer_norm_2, mlp.dense1,
               mlp.dense2}, layer_norm}, classifier
     HF v2     [pvt_v2.]encoder.layers.S.{patch_embedding.{proj, layer_norm}, blocks.B.{layer_norm_1, attention.{query, key, value,
               spatial_reduction, layer_norm, proj}, layer_norm_2, mlp.{dense1, dwconv.dwconv, dense2}}, layer_norm}, classifier

   What tensors cannot tell: the heads of softmax attention (1, 2, 5, 8 in every published model, so assumed) and the layer norms'
   epsilon (official and timm: 1e-6, but PyTorch's 1e-5 behind convolutions). A v2 has a depthwise convolution in its MLP; its patch
   convolutions of k × k have a stride of (k + 1)/2 and a padding of k/2, those of v1 do not overlap. */
#include <string.h>

#include "convert/mapping.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 96 };
typedef enum layout { OFFICIAL, TIMM, HF, HF2 } layout;

/* Names behind a block's in each layout; key_value: one product or the two before. */
static const struct {
    const char *norm1, *query, *key_value, *key, *value, *reduce, *reduce_norm, *proj, *attention, *norm2, *fc1, *window, *fc2;
} names_of[] = {
    [OFFICIAL] = {"norm1", "attn.q", "attn.kv", NULL, NULL, "attn.sr", "attn.norm", "attn.proj", "attn", "norm2", "mlp.fc1",
                  "mlp.dwconv.dwconv", "mlp.fc2"},
    [TIMM] = {"norm1", "attn.q", "attn.kv", NULL, NULL, "attn.sr", "attn.norm", "attn.proj", "attn", "norm2", "mlp.fc1", "mlp.dwconv",
              "mlp.fc2"},
    [HF] = {"layer_norm_1", "attention.self.query", NULL, "attention.self.key", "attention.self.value",
            "attention.self.sequence_reduction", "attention.self.layer_norm", "attention.output.dense", "attention", "layer_norm_2",
            "mlp.dense1", "mlp.dwconv.dwconv", "mlp.dense2"},
    [HF2] = {"layer_norm_1", "attention.query", NULL, "attention.key", "attention.value", "attention.spatial_reduction",
             "attention.layer_norm", "attention.proj", "attention", "layer_norm_2", "mlp.dense1", "mlp.dwconv.dwconv", "mlp.dense2"},
};

typedef struct details {
    layout lib;
    const char *root; /* HF: "pvt.", "pvt_v2." or "" */
    uint32_t stages, side[2]; /* of the picture, height first */
    uint32_t blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES], heads[MAX_STAGES], reduction[MAX_STAGES];
    uint32_t kernel[MAX_STAGES], stride[MAX_STAGES], pad[MAX_STAGES], position[2][MAX_STAGES];
    bool linear[MAX_STAGES]; /* SLA */
    uint32_t prefix, attention_window, hidden_window;
    bool qkv_bias;
    const char *norm, *embed_norm[MAX_STAGES], *reduction_norm[MAX_STAGES], *out_norm[MAX_STAGES]; /* as models/pvt.c names them */
    float eps, conv_eps; /* behind convolutions */
} details;

static bool is_hf(const details *d) { return d->lib == HF || d->lib == HF2; }

/* ---- names ---- */

static const char *block_name(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    switch (d->lib) {
    case OFFICIAL:
        return wf_map_format(m, "block%u.%u", s + 1, b);
    case TIMM:
        return wf_map_format(m, "stages.%u.blocks.%u", s, b);
    case HF:
        return wf_map_format(m, "%sencoder.block.%u.%u", d->root, s, b);
    default:
        return wf_map_format(m, "%sencoder.layers.%u.blocks.%u", d->root, s, b);
    }
}

/* What a stage's patch embedding is called, its convolution and its norm. */
typedef struct embed_names {
    const char *whole, *conv, *norm;
} embed_names;

static embed_names embed_of(wf_mapping *m, const details *d, uint32_t s) {
    const char *whole = d->lib == OFFICIAL      ? wf_map_format(m, "patch_embed%u", s + 1)
                        : d->lib == TIMM && !s  ? "patch_embed"
                        : d->lib == TIMM        ? wf_map_format(m, "stages.%u.downsample", s)
                        : d->lib == HF          ? wf_map_format(m, "%sencoder.patch_embeddings.%u", d->root, s)
                                                : wf_map_format(m, "%sencoder.layers.%u.patch_embedding", d->root, s);
    return (embed_names){whole, wf_map_format(m, "%s.%s", whole, d->lib == HF ? "projection" : "proj"),
                         wf_map_format(m, "%s.%s", whole, is_hf(d) ? "layer_norm" : "norm")};
}

static const char *position_name(wf_mapping *m, const details *d, uint32_t s) {
    return d->lib == HF ? wf_map_format(m, "%s.position_embeddings", embed_of(m, d, s).whole) : wf_map_format(m, "pos_embed%u", s + 1);
}

static const char *class_token_name(wf_mapping *m, const details *d) {
    return d->lib == HF ? wf_map_format(m, "%s.cls_token", embed_of(m, d, d->stages - 1).whole) : "cls_token";
}

/* The norm at a stage's end; PVT has one behind the last stage at most, without a number. */
static const char *out_norm_name(wf_mapping *m, const details *d, uint32_t s) {
    bool last = s + 1 == d->stages;
    switch (d->lib) {
    case OFFICIAL:
        return last && d->hidden_window == 0 ? "norm" : wf_map_format(m, "norm%u", s + 1);
    case TIMM:
        return wf_map_format(m, "stages.%u.norm", s);
    case HF:
        return wf_map_format(m, last ? "%sencoder.layer_norm" : "%sencoder.layer_norms.%u", d->root, s);
    default:
        return wf_map_format(m, "%sencoder.layers.%u.layer_norm", d->root, s);
    }
}

static bool recognise(wf_mapping *m, details *d) {
    static const char *const roots[2][2] = {{"pvt.", ""}, {"pvt_v2.", ""}};
    d->root = "";
    for (int lib = OFFICIAL; lib <= HF2; lib++) {
        for (int i = 0; i < (lib < HF ? 1 : 2); i++) {
            d->lib = (layout)lib;
            d->root = lib < HF ? "" : roots[lib - HF][i];
            const char *block = block_name(m, d, 0, 0);
            const char *query = wf_map_format(m, "%s.%s.weight", block, names_of[lib].query);
            if (wf_map_has(m, embed_of(m, d, 0).conv, ".weight") && wf_map_find(m, query) != NULL &&
                wf_map_has(m, block, wf_map_format(m, ".%s.weight", names_of[lib].fc1))) {
                return true;
            }
        }
    }
    return false;
}

/* ---- structure ---- */

static const wf_source_tensor *need(wf_mapping *m, const char *name, uint32_t n_dims) { return wf_map_need(m, name, n_dims, "PVT"); }

/* A convolution's weight with a square kernel up to 63. */
static const wf_source_tensor *need_square(wf_mapping *m, const char *name) {
    const wf_source_tensor *t = need(m, name, 4);
    if (t != NULL && (t->dims[2] != t->dims[3] || t->dims[2] > 63)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" has a kernel of %llu × %llu; square ones up to 63 are supported", name,
                    (unsigned long long)t->dims[2], (unsigned long long)t->dims[3]);
    }
    return m->status == WF_OK ? t : NULL;
}

static const char *norm_kind(wf_mapping *m, const char *name) {
    return wf_map_is_repbn(m, name) ? "repbn" : wf_map_has(m, name, ".weight") ? "layer_norm" : "none";
}

static void read_embed(wf_mapping *m, details *d, uint32_t s) {
    const embed_names e = embed_of(m, d, s);
    const wf_source_tensor *conv = need_square(m, wf_map_format(m, "%s.weight", e.conv));
    if (conv == NULL) {
        return;
    }
    bool overlaps = d->hidden_window != 0;
    d->kernel[s] = (uint32_t)conv->dims[2];
    d->stride[s] = overlaps ? (d->kernel[s] + 1) / 2 : d->kernel[s];
    d->pad[s] = overlaps ? d->kernel[s] / 2 : 0;
    d->embed_norm[s] = norm_kind(m, e.norm);
    d->width[s] = (uint32_t)conv->dims[0];
    m->channels = s == 0 ? (uint32_t)conv->dims[1] : m->channels;
    if (is_hf(d)) { /* of v1 transformers takes the strides for kernels, and the sizes for strides */
        wf_map_expect_item(m, d->lib == HF2 ? "patch_sizes" : "strides", s, d->kernel[s]);
        uint32_t told = wf_map_arg_item(m, d->lib == HF2 ? "strides" : "patch_sizes", s);
        d->stride[s] = told != 0 ? told : d->stride[s];
    }
    if (m->status == WF_OK && (d->stride[s] == 0 || d->stride[s] > 64)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "stride %u of a patch convolution is not supported (1 to 64 are)", d->stride[s]);
    }
}

/* Of one block, which stands for its stage. */
static void read_attention(wf_mapping *m, details *d, uint32_t s, const char *block) {
    static const uint32_t usual[] = {1, 2, 5, 8};
    const char *key = is_hf(d) ? "num_attention_heads" : "num_heads";
    const char *reduce = wf_map_format(m, "%s.%s.weight", block, names_of[d->lib].reduce), *dwc = wf_map_format(m, "%s.attn.dwc.weight", block);
    d->reduction[s] = 1;
    d->reduction_norm[s] = "none";
    if (wf_map_find(m, reduce) != NULL) {
        const wf_source_tensor *t = need_square(m, reduce);
        if (t != NULL && t->dims[2] == 1) {
            wf_map_fail(m, WF_E_UNSUPPORTED, reduce, "tensor \"%s\" reduces by pooling (the linear attention of PVT-v2 Li), which this "
                        "version does not do", reduce);
        }
        d->reduction[s] = t != NULL ? (uint32_t)t->dims[2] : 1;
        d->reduction_norm[s] = norm_kind(m, wf_map_format(m, "%s.%s", block, names_of[d->lib].reduce_norm));
    }
    d->heads[s] = wf_map_arg_item(m, key, s);
    if (d->lib == OFFICIAL && wf_map_find(m, dwc) != NULL) {
        const wf_source_tensor *t = need_square(m, dwc);
        if (t == NULL) {
            return;
        }
        if (t->dims[2] % 2 == 0 || t->dims[2] > 31 || d->width[s] % t->dims[0] != 0 ||
            (d->attention_window != 0 && d->attention_window != t->dims[2])) {
            wf_map_fail(m, WF_E_SHAPE, dwc, "tensor \"%s\" of a linear attention is no odd square window [d, 1, k, k], one k up to 31 for all, "
                        "d a divisor of the width", dwc);
            return;
        }
        d->linear[s] = true;
        d->attention_window = (uint32_t)t->dims[2];
        wf_map_expect_item(m, key, s, d->width[s] / (uint32_t)t->dims[0]);
        d->heads[s] = d->width[s] / (uint32_t)t->dims[0];
    } else if (d->heads[s] == 0 && s < 4 && d->width[s] % usual[s] == 0) {
        d->heads[s] = usual[s];
        wf_map_assume(m, "%u heads in stage %u", d->heads[s], s);
    }
    if (m->status == WF_OK && (d->heads[s] == 0 || d->width[s] % d->heads[s] != 0)) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%u heads do not divide the %u channels of stage %u: name them (%s) in --config",
                    d->heads[s], d->width[s], s, key);
    }
}

static void read_stages(wf_mapping *m, details *d) {
    const char *fc1 = names_of[d->lib].fc1, *first = block_name(m, d, 0, 0);
    const char *window = wf_map_format(m, "%s.%s.weight", first, names_of[d->lib].window);
    uint32_t total = 0;
    if (wf_map_find(m, window) != NULL) {
        const wf_source_tensor *t = need_square(m, window);
        if (t != NULL && t->dims[2] % 2 == 0) {
            wf_map_fail(m, WF_E_UNSUPPORTED, window, "tensor \"%s\" has an even kernel; only odd ones keep the size of the map", window);
        }
        d->hidden_window = t != NULL ? (uint32_t)t->dims[2] : 0;
    }
    d->qkv_bias = wf_map_has(m, first, wf_map_format(m, ".%s.bias", names_of[d->lib].query));
    d->norm = norm_kind(m, wf_map_format(m, "%s.%s", first, names_of[d->lib].norm1));
    while (m->status == WF_OK && d->stages < MAX_STAGES && wf_map_has(m, block_name(m, d, d->stages, 0), wf_map_format(m, ".%s.weight", fc1))) {
        uint32_t s = d->stages++;
        while (total < MAX_BLOCKS && wf_map_has(m, block_name(m, d, s, d->blocks[s]), wf_map_format(m, ".%s.weight", fc1))) {
            d->blocks[s]++;
            total++;
        }
        const wf_source_tensor *up = need(m, wf_map_format(m, "%s.%s.weight", block_name(m, d, s, 0), fc1), 2);
        read_embed(m, d, s);
        if (m->status != WF_OK) {
            return;
        }
        d->hidden[s] = (uint32_t)up->dims[0];
        read_attention(m, d, s, block_name(m, d, s, 0));
        wf_map_expect_item(m, "depths", s, d->blocks[s]);
        wf_map_expect_item(m, is_hf(d) ? "hidden_sizes" : "embed_dims", s, d->width[s]);
        const char *told = d->linear[s] ? NULL : d->lib == HF ? "sequence_reduction_ratios" : "sr_ratios";
        if (told != NULL) {
            wf_map_expect_item(m, told, s, d->reduction[s]);
        }
    }
    for (uint32_t s = 0; s < d->stages; s++) {
        d->out_norm[s] = norm_kind(m, out_norm_name(m, d, s));
    }
}

/* ---- the picture's size, which tables of positions are bound to ---- */

static uint32_t square_root(uint64_t n) {
    uint64_t r = 0;
    while ((r + 1) * (r + 1) <= n && r < 4096) {
        r++;
    }
    return r * r == n ? (uint32_t)r : 0;
}

static uint64_t table_rows(wf_mapping *m, const char *name) {
    const wf_source_tensor *t = wf_map_find(m, name);
    return t == NULL ? 0 : t->n_dims == 3 && t->dims[0] == 1 ? t->dims[1] : t->n_dims == 2 ? t->dims[0] : 0;
}

static const char *keys_table(wf_mapping *m, const details *d, uint32_t s) {
    return wf_map_format(m, "%s.attn.positional_encoding", block_name(m, d, s, 0));
}

/* The side of square pictures by the first stage whose table tells it; 0: none does. */
static uint32_t side_of_tables(wf_mapping *m, const details *d) {
    uint32_t scale = 1;
    for (uint32_t s = 0; s < d->stages; s++) {
        scale *= d->stride[s];
        uint64_t rows = table_rows(m, position_name(m, d, s)) - (s + 1 == d->stages && wf_map_find(m, position_name(m, d, s)) != NULL ? d->prefix : 0);
        if (rows != 0) {
            return square_root(rows) * scale;
        }
        if (d->linear[s]) {
            return square_root(table_rows(m, keys_table(m, d, s))) * scale * d->reduction[s];
        }
    }
    return 0;
}

static void expect_rows(wf_mapping *m, const char *name, uint64_t wanted, const details *d, uint32_t s) {
    uint64_t rows = table_rows(m, name);
    if (rows != wanted) {
        wf_map_fail(m, WF_E_SHAPE, name, "tensor \"%s\" has %llu rows, but pictures of %u × %u give %llu in stage %u; name the picture's size "
                    "(%s) in --config", name, (unsigned long long)rows, d->side[0], d->side[1], (unsigned long long)wanted, s,
                    is_hf(d) ? "image_size" : "img_size");
    }
}

static void read_size(wf_mapping *m, details *d) {
    const char *key = is_hf(d) ? "image_size" : "img_size";
    uint64_t grid[2];
    for (uint32_t i = 0; i < 2; i++) {
        d->side[i] = wf_map_arg_item(m, key, i);
    }
    if (m->status == WF_OK && (d->side[0] == 0 || d->side[1] == 0)) {
        uint32_t side = side_of_tables(m, d);
        d->side[0] = d->side[1] = side != 0 ? side : 224;
        if (side == 0) {
            wf_map_assume(m, "pictures of 224 × 224");
        }
    }
    if (d->side[0] > 1 << 15 || d->side[1] > 1 << 15) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "pictures of %u × %u are not supported (up to 32768 are)", d->side[0], d->side[1]);
    }
    grid[0] = d->side[0], grid[1] = d->side[1];
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t padded = grid[i] + 2 * (uint64_t)d->pad[s];
            grid[i] = padded < d->kernel[s] ? 0 : (padded - d->kernel[s]) / d->stride[s] + 1;
        }
        const char *name = position_name(m, d, s);
        if (wf_map_find(m, name) != NULL) {
            d->position[0][s] = (uint32_t)grid[0], d->position[1][s] = (uint32_t)grid[1];
            expect_rows(m, name, grid[0] * grid[1] + (s + 1 == d->stages ? d->prefix : 0), d, s);
        }
        if (d->linear[s]) {
            expect_rows(m, keys_table(m, d, s), (grid[0] / d->reduction[s]) * (grid[1] / d->reduction[s]), d, s);
        }
    }
}

static void configure(wf_mapping *m, details *d) {
    read_stages(m, d);
    if (m->status != WF_OK) {
        return;
    }
    d->prefix = wf_map_find(m, class_token_name(m, d)) != NULL ? 1 : 0;
    bool repbn = strcmp(d->norm, "repbn") == 0;
    const wf_json *eps = wf_map_key(m, "layer_norm_eps");
    d->eps = repbn ? 1e-5f : 1e-6f;
    d->conv_eps = is_hf(d) ? 1e-6f : 1e-5f;
    if (is_hf(d) && eps != NULL && eps->kind == WF_JSON_NUMBER && eps->number >= 1e-12 && eps->number <= 0.1) {
        d->eps = d->conv_eps = (float)eps->number;
    } else if (!repbn) {
        wf_map_assume(m, "layer norm epsilon %g, behind convolutions %g", (double)d->eps, (double)d->conv_eps);
    }
    static const char *const gelu[] = {"gelu", NULL};
    wf_map_need_class(m, "hidden_act", gelu);
    static const char *const layer_norm[] = {"LayerNorm", "layernorm", NULL};
    if (!repbn) {
        wf_map_need_class(m, "norm_layer", layer_norm);
    }
    if (wf_map_arg_bool(m, "linear", false) || wf_map_arg_bool(m, "linear_attention", false)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "%s asks for the pooled linear attention of PVT-v2 Li, which this version does not do",
                    m->config.file);
    }
    static const char *const known[] = {"sr_ratios", "la_sr_ratios", "attn_type", "mlp_ratios", "kernel_size", "focusing_factor", "num_stages",
                                        "norm_layer", "stage_names", "out_features", "out_indices"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) { /* the tensors tell, or nothing reads it (focusing_factor) */
        wf_map_key(m, known[i]);
    }
    read_size(m, d);
}

/* ---- tensors and taps ---- */

static void map_norm(wf_mapping *m, const char *kind, const char *source, const char *node, const char *order) {
    if (strcmp(kind, "none") == 0) {
        return;
    }
    if (strcmp(kind, "repbn") == 0) {
        wf_map_repbn(m, source, node);
    } else {
        wf_map_affine(m, source, node, WF_MAP_VECTOR, true);
    }
    wf_map_tap(m, source, node, order);
}

/* Products one below the other, weights and biases. */
static void map_stacked(wf_mapping *m, const details *d, const char *const *sources, uint32_t count, const char *node) {
    const char *weights[3], *biases[3];
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = wf_map_format(m, "%s.weight", sources[i]);
        biases[i] = wf_map_format(m, "%s.bias", sources[i]);
    }
    wf_map_stack(m, weights, count, wf_map_format(m, "%s.weight", node), WF_MAP_LINEAR);
    if (d->qkv_bias) {
        wf_map_stack(m, biases, count, wf_map_format(m, "%s.bias", node), WF_MAP_VECTOR);
    }
}

static void map_attention(wf_mapping *m, const details *d, uint32_t s, const char *from, const char *mixer) {
    bool joint = names_of[d->lib].key_value != NULL;
    const char *q = wf_map_format(m, "%s.%s", from, names_of[d->lib].query), *heads = wf_map_format(m, "%s.heads", mixer);
    const char *k = wf_map_format(m, "%s.%s", from, joint ? names_of[d->lib].key_value : names_of[d->lib].key);
    const char *v = joint ? NULL : wf_map_format(m, "%s.%s", from, names_of[d->lib].value);
    const char *all[] = {q, k, v}, *proj = wf_map_format(m, "%s.%s", from, names_of[d->lib].proj);
    if (d->reduction[s] > 1) {
        const char *reduce = wf_map_format(m, "%s.%s", from, names_of[d->lib].reduce), *node = wf_map_format(m, "%s.reduce", mixer);
        wf_map_affine(m, reduce, node, WF_MAP_CONV, false);
        wf_map_tap(m, reduce, node, "nchw");
        map_norm(m, d->reduction_norm[s], wf_map_format(m, "%s.%s", from, names_of[d->lib].reduce_norm),
                 wf_map_format(m, "%s.reduce_norm", mixer), "nlc");
        map_stacked(m, d, all + 1, joint ? 1 : 2, wf_map_format(m, "%s.kv", mixer));
        map_stacked(m, d, all, 1, wf_map_format(m, "%s.q", mixer));
        wf_map_tap(m, q, wf_map_format(m, "%s.q", mixer), "nlc");
        if (joint) {
            wf_map_tap(m, k, wf_map_format(m, "%s.kv", mixer), "nlc");
        }
    } else {
        map_stacked(m, d, all, joint ? 2 : 3, wf_map_format(m, "%s.qkv", mixer));
    }
    if (d->linear[s]) {
        const char *dwc = wf_map_format(m, "%s.attn.dwc", from);
        wf_map_tensor(m, wf_map_format(m, "%s.attn.positional_encoding", from), wf_map_format(m, "%s.position.weight", heads), WF_MAP_TABLE_ROWS,
                      false);
        wf_map_tensor(m, wf_map_format(m, "%s.weight", dwc), wf_map_format(m, "%s.window.weight", heads), WF_MAP_DEPTHWISE, false);
        wf_map_tensor(m, wf_map_format(m, "%s.bias", dwc), wf_map_format(m, "%s.window.bias", heads), WF_MAP_VECTOR, false);
    }
    wf_map_affine(m, proj, wf_map_format(m, "%s.proj", mixer), WF_MAP_LINEAR, false);
    wf_map_tap(m, proj, wf_map_format(m, "%s.proj", mixer), "nlc");
    wf_map_tap(m, wf_map_format(m, "%s.%s", from, names_of[d->lib].attention), mixer, "nlc");
}

static void map_product(wf_mapping *m, const char *from, const char *source, const char *node, wf_map_kind kind, const char *order) {
    wf_map_affine(m, wf_map_format(m, "%s.%s", from, source), node, kind, false);
    wf_map_tap(m, wf_map_format(m, "%s.%s", from, source), node, order);
}

static void map_block(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    const char *from = block_name(m, d, s, b), *to = wf_map_format(m, "stage.%u.blk.%u", s, b);
    map_norm(m, d->norm, wf_map_format(m, "%s.%s", from, names_of[d->lib].norm1), wf_map_format(m, "%s.norm1", to), "nlc");
    map_attention(m, d, s, from, wf_map_format(m, "%s.mixer", to));
    map_norm(m, d->norm, wf_map_format(m, "%s.%s", from, names_of[d->lib].norm2), wf_map_format(m, "%s.norm2", to), "nlc");
    map_product(m, from, names_of[d->lib].fc1, wf_map_format(m, "%s.ffn_up", to), WF_MAP_LINEAR, "nlc");
    if (d->hidden_window != 0) {
        map_product(m, from, names_of[d->lib].window, wf_map_format(m, "%s.ffn_window", to), WF_MAP_DEPTHWISE, "nchw");
        if (d->lib != TIMM) { /* a module around the convolution */
            wf_map_tap(m, wf_map_format(m, "%s.mlp.dwconv", from), wf_map_format(m, "%s.ffn_window", to), "nlc");
        }
    }
    map_product(m, from, names_of[d->lib].fc2, wf_map_format(m, "%s.ffn_down", to), WF_MAP_LINEAR, "nlc");
    wf_map_tap(m, wf_map_format(m, is_hf(d) ? "%s.mlp.intermediate_act_fn" : "%s.mlp.act", from), wf_map_format(m, "%s.ffn_act", to), "nlc");
    wf_map_tap(m, wf_map_format(m, "%s.mlp", from), wf_map_format(m, "%s.ffn_down", to), "nlc");
    wf_map_tap(m, from, to, "nlc");
}

static void map_stage(wf_mapping *m, const details *d, uint32_t s) {
    const embed_names e = embed_of(m, d, s);
    const char *to = wf_map_format(m, "stage.%u", s), *embed = wf_map_format(m, "%s.embed", to), *norm = wf_map_format(m, "%s.embed_norm", to);
    bool last = s + 1 == d->stages, tables = d->position[0][s] != 0;
    wf_map_affine(m, e.conv, embed, WF_MAP_CONV, false);
    wf_map_tap(m, e.conv, embed, "nchw");
    map_norm(m, d->embed_norm[s], e.norm, norm, "nlc");
    if (d->lib != HF) {
        wf_map_tap(m, e.whole, strcmp(d->embed_norm[s], "none") == 0 ? embed : norm, "nlc");
    }
    if (last && d->prefix != 0) {
        wf_map_tensor(m, class_token_name(m, d), wf_map_format(m, "%s.prefix.weight", to), WF_MAP_TABLE_ROWS, false);
    }
    if (tables) {
        wf_map_tensor(m, position_name(m, d, s), wf_map_format(m, "%s.position.weight", to), WF_MAP_TABLE_ROWS, false);
        wf_map_tap(m, d->lib == HF ? e.whole : wf_map_format(m, "pos_drop%u", s + 1), wf_map_format(m, "%s.tokens", to), "nlc");
    }
    for (uint32_t b = 0; b < d->blocks[s]; b++) {
        map_block(m, d, s, b);
    }
    const char *end = last ? "norm" : wf_map_format(m, "%s.out_norm", to);
    map_norm(m, d->out_norm[s], out_norm_name(m, d, s), end, "nlc");
    if (d->lib == TIMM) {
        wf_map_tap(m, wf_map_format(m, "stages.%u", s), strcmp(d->out_norm[s], "none") == 0 ? to : end, "nchw");
    }
}

static void map_head(wf_mapping *m, const details *d) {
    const char *fc = is_hf(d) ? "classifier" : "head";
    const wf_source_tensor *t = wf_map_find(m, wf_map_format(m, "%s.weight", fc));
    if (t != NULL && t->n_dims == 2) {
        m->classes = (uint32_t)t->dims[0];
        wf_map_affine(m, fc, "head", WF_MAP_LINEAR, false);
        wf_map_tap(m, fc, "head", "nc");
    }
    wf_map_expect_item(m, is_hf(d) ? "num_labels" : "num_classes", 0, m->classes);
}

/* Anything of a stage that no part took would change the result: refuse it by name. */
static void check_left_over(wf_mapping *m, const details *d) {
    const char *inside[] = {d->lib == OFFICIAL ? "block" : d->lib == TIMM ? "stages." : wf_map_format(m, "%sencoder.", d->root),
                            "patch_embed", "pos_embed"};
    for (uint64_t i = 0; i < m->source->tensor_count && m->status == WF_OK; i++) {
        const char *name = m->source->tensors[i].name;
        for (size_t p = 0; p < sizeof inside / sizeof inside[0] && !m->used[i] && wf_map_left_over(m, name) == NULL; p++) {
            if (strncmp(name, inside[p], strlen(inside[p])) == 0) {
                wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" belongs to a part that this version's PVT does not have", name);
            }
        }
    }
}

/* ---- metadata ---- */

static wf_status add_norms(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    static const char *const nodes[] = {"blk.0.norm1", "embed_norm", "blk.0.mixer.reduce_norm", "out_norm"};
    static const char *const keys[] = {"pvt.norm", "pvt.embed.norm", "pvt.reduction.norm", "pvt.out.norm"};
    const details *d = m->details;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const char *names[MAX_STAGES];
        for (uint32_t s = 0; s < d->stages; s++) {
            char node[40] = "stage.0.";
            node[6] = (char)('0' + s);
            strcat(node, nodes[k]);
            const char *before = k == 0 ? d->norm : k == 1 ? d->embed_norm[s] : k == 2 ? d->reduction_norm[s] : d->out_norm[s];
            names[s] = wf_map_norm_of(m, k == 3 && s + 1 == d->stages ? "norm" : node, before);
        }
        WF_TRY(wf_gguf_add_array(w, keys[k], WF_GGUF_STRING, names, d->stages, err));
    }
    return WF_OK;
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    const details *d = m->details;
    const struct {
        const char *key;
        const uint32_t *values;
    } arrays[] = {{"pvt.block_count", d->blocks},         {"pvt.embedding_length", d->width},    {"pvt.feed_forward_length", d->hidden},
                  {"pvt.attention.head_count", d->heads}, {"pvt.attention.reduction", d->reduction}, {"pvt.embed.kernel", d->kernel},
                  {"pvt.embed.stride", d->stride},        {"pvt.embed.padding", d->pad},         {"pvt.position.height", d->position[0]},
                  {"pvt.position.width", d->position[1]}};
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"pvt.prefix_tokens", d->prefix},       {"pvt.feed_forward.window", d->hidden_window}, {"pvt.class_count", m->classes},
                   {"pvt.input.channels", m->channels},    {"pvt.input.height", m->image.height},         {"pvt.input.width", m->image.width}};
    const char *mixers[MAX_STAGES];
    for (uint32_t s = 0; s < d->stages; s++) {
        mixers[s] = d->linear[s] ? "sla" : "attention";
    }
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        WF_TRY(wf_gguf_add_array(w, arrays[i].key, WF_GGUF_U32, arrays[i].values, d->stages, err));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        WF_TRY(wf_gguf_add_u32(w, numbers[i].key, numbers[i].value, err));
    }
    WF_TRY(wf_gguf_add_array(w, "pvt.mixer", WF_GGUF_STRING, mixers, d->stages, err));
    WF_TRY(add_norms(m, w, err));
    WF_TRY(d->attention_window != 0 ? wf_gguf_add_u32(w, "pvt.attention.window", d->attention_window, err) : WF_OK);
    WF_TRY(wf_gguf_add_f32(w, "pvt.norm_epsilon", d->eps, err));
    WF_TRY(wf_gguf_add_f32(w, "pvt.embed.norm_epsilon", d->conv_eps, err));
    WF_TRY(wf_gguf_add_f32(w, "pvt.reduction.norm_epsilon", d->conv_eps, err));
    return wf_gguf_add_bool(w, "pvt.attention.qkv_bias", d->qkv_bias, err);
}

wf_status wf_map_pvt(wf_mapping *m, bool *known) {
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
    m->architecture = "pvt";
    m->norms_by_stage = true;
    static const char *const classes[] = {"PyramidVisionTransformer", "PyramidVisionTransformerV2", NULL}, *const types[] = {"pvt", "pvt_v2", NULL};
    wf_map_check_class(m, classes, types);
    configure(m, d);
    if (m->status != WF_OK) {
        return m->status;
    }
    m->family = is_hf(d) ? "transformers" : d->lib == TIMM ? "timm" : strcmp(d->norm, "repbn") == 0 ? "xinghaochen/SLAB" : "whai362/PVT";
    for (uint32_t s = 0; s < d->stages; s++) {
        map_stage(m, d, s);
    }
    map_head(m, d);
    check_left_over(m, d);
    if (m->status == WF_OK) {
        wf_image_params image = wf_map_imagenet(d->side[0], d->lib == TIMM ? 0.9f : is_hf(d) ? 1.0f : 0.875f);
        image.width = d->side[1];
        image.squash = is_hf(d);
        wf_map_image(m, &image);
        m->golden_size = d->attention_window != 0 || d->side[0] <= 64 || d->side[1] <= 64 ? 0 : 64;
        m->golden_octaves = true;
    }
    return m->status;
}
