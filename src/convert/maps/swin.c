/* Swin checkpoints of two libraries in three layouts → architecture swin (models/swin.c).

     old    Microsoft's layout, timm < 0.9: patch_embed.{proj, norm}, layers.S.blocks.B.{norm1, attn.{qkv, proj,
            relative_position_bias_table}, norm2, mlp.{fc1, fc2}}, layers.S.downsample.{norm, reduction} at the END of stage S, norm,
            head; relative_position_index and attn_mask are in the file and computed anew here. Windows must divide the grid.
     timm   ≥ 0.9: the same names, but layers.S.downsample at the START of stage S, head.fc. Rolls, then pads to whole windows.
     HF     [swin.]embeddings.{patch_embeddings.projection, norm}, encoder.layers.S.blocks.B.{layernorm_before, attention.self.{query,
            key, value, relative_position_bias_table}, attention.output.dense, layernorm_after, intermediate.dense, output.dense},
            encoder.layers.S.downsample at the end, layernorm, classifier. Pads, then rolls.

   SLAB's Swins are the old layout with RepBN (norm.alpha, norm.bn.*, or inside a LinearNorm), or after its own merge without norms; in
   their stages of type L all blocks, and of type M<n> the first n, have linear attention: attn.{positional_encoding, dwc}. Its windows
   are as large as the grid where window_size is larger; the mask that odd blocks carry is not used there.
   Heads and windows follow from the bias tables, or from positional_encoding and dwc; the picture's size from --config, or the old
   layout's masks, or 32 sides of softmax windows, or one of a linear one.
   Sources: timm 0.4.12 and 1.0.15, SLAB models/{swin_transformer, slab_swin}.py, transformers 5.12 models/swin/modeling_swin.py. */
#include <string.h>

#include "convert/mapping.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 96 };
typedef enum layout { OLD, TIMM, HF } layout;

/* Names in each layout. */
static const struct {
    const char *norm1, *proj, *norm2, *fc1, *fc2, *table, *map; /* map: order of a block's output */
} names_of[] = {
    [OLD] = {"norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2", "attn.relative_position_bias_table", "nlc"},
    [TIMM] = {"norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2", "attn.relative_position_bias_table", "nhwc"},
    [HF] = {"layernorm_before", "attention.output.dense", "layernorm_after", "intermediate.dense", "output.dense",
            "attention.self.relative_position_bias_table", "nlc"},
};

typedef struct details {
    layout lib;
    const char *root, *patch_conv, *patch_norm; /* root: "swin." or "" */
    uint32_t stages, patch, side[2];            /* of the picture, height first */
    uint32_t blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES], heads[MAX_STAGES];
    uint32_t window[2][MAX_STAGES], shift[2][MAX_STAGES];
    uint32_t linear[MAX_STAGES], sla_window[MAX_STAGES], sla_shift[MAX_STAGES], kernel; /* linear: blocks from the first on; kernel 0: none */
    bool qkv_bias, has_patch_norm;
    const char *norm; /* "layer_norm", "repbn" (SLAB) or "none" (SLAB's own merge) */
    float eps;
} details;

static const char *stage_name(wf_mapping *m, const details *d, uint32_t s) {
    return wf_map_format(m, "%s%slayers.%u", d->root, d->lib == HF ? "encoder." : "", s);
}

static const char *block_name(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    return wf_map_format(m, "%s.blocks.%u", stage_name(m, d, s), b);
}

/* The source's name of what stands in front of stage s. */
static const char *down_name(wf_mapping *m, const details *d, uint32_t s) {
    return wf_map_format(m, "%s.downsample", stage_name(m, d, d->lib == TIMM ? s : s - 1));
}

static bool recognise(wf_mapping *m, details *d) {
    static const char *const roots[] = {"swin.", ""};
    const char *first = "layers.0.blocks.0";
    d->root = "";
    if (wf_map_has(m, "patch_embed.proj", ".weight") && wf_map_has(m, first, ".attn.qkv.weight") && wf_map_has(m, first, ".mlp.fc1.weight") &&
        (wf_map_has(m, first, ".attn.relative_position_bias_table") || wf_map_has(m, first, ".attn.positional_encoding"))) {
        bool merged = wf_map_has(m, "layers.0.downsample.reduction", ".bias") && !wf_map_has(m, first, ".norm1.weight") && !wf_map_has(m, "norm", ".weight");
        d->norm = wf_map_is_repbn(m, wf_map_format(m, "%s.norm1", first)) ? "repbn" : merged ? "none" : "layer_norm";
        bool start = wf_map_has(m, "layers.1.downsample.reduction", ".weight") && !wf_map_has(m, "layers.0.downsample.reduction", ".weight");
        /* of one stage and no classifier, only the old layout's stored indices tell */
        bool bare = !wf_map_has(m, "layers.0.downsample.reduction", ".weight") && !wf_map_has(m, "head", ".weight") &&
                    !wf_map_has(m, first, ".attn.relative_position_index");
        d->lib = start || bare || wf_map_has(m, "head.fc", ".weight") ? TIMM : OLD;
        d->patch_conv = "patch_embed.proj", d->patch_norm = "patch_embed.norm";
        return true;
    }
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        const char *self = wf_map_format(m, "%sencoder.%s.attention.self", roots[i], first);
        if (wf_map_has(m, self, ".query.weight") && wf_map_has(m, self, ".relative_position_bias_table")) {
            d->lib = HF;
            d->norm = "layer_norm";
            d->root = roots[i];
            d->patch_conv = wf_map_format(m, "%sembeddings.patch_embeddings.projection", d->root);
            d->patch_norm = wf_map_format(m, "%sembeddings.norm", d->root);
            return true;
        }
    }
    return false;
}

/* ---- structure ---- */

static const wf_source_tensor *need(wf_mapping *m, const char *name, uint32_t n_dims) { return wf_map_need(m, name, n_dims, "Swin"); }

/* window_size: one number or [height, width] for all stages, or a list with either for each; two numbers are a height and a width. */
static uint32_t told_window(wf_mapping *m, uint32_t stage, uint32_t axis) {
    const wf_json *v = wf_map_key(m, "window_size"), *first = wf_map_item(v, 0);
    bool by_stage = v != NULL && v->kind == WF_JSON_ARRAY && (v->count != 2 || (first != NULL && first->kind == WF_JSON_ARRAY));
    return wf_map_number(m, "window_size", wf_map_item(by_stage ? wf_map_item(v, stage) : v, axis));
}

/* Linear attention in the first blocks of a stage, and what its tensors tell. */
static void read_linear(wf_mapping *m, details *d, uint32_t s) {
    for (uint32_t b = 0; b < d->blocks[s] && m->status == WF_OK; b++) {
        const char *attn = wf_map_format(m, "%s.attn", block_name(m, d, s, b));
        const wf_source_tensor *positions = wf_map_find(m, wf_map_format(m, "%s.positional_encoding", attn));
        uint32_t side = 0, kernel = positions != NULL ? wf_map_sla_kernel(m, attn) : 0;
        while (positions != NULL && positions->n_dims == 3 && side < 4096 && (uint64_t)side * side < positions->dims[1]) {
            side++;
        }
        if (positions == NULL || m->status != WF_OK) {
            continue;
        }
        bool square = side != 0 && (uint64_t)side * side == positions->dims[1];
        if (b != d->linear[s] || kernel == 0 || !square || (d->kernel != 0 && kernel != d->kernel) || (b != 0 && side != d->sla_window[s])) {
            wf_map_fail(m, WF_E_UNSUPPORTED, positions->name, "tensor \"%s\": a stage's linear attentions stand in front of the others, and have "
                        "a square table and a kernel (dwc) of one size", positions->name);
        }
        d->linear[s]++;
        d->kernel = kernel;
        d->sla_window[s] = side;
    }
}

/* From the first table of biases, else from the width of a linear head. */
static uint32_t heads_of(wf_mapping *m, const details *d, uint32_t s) {
    if (d->linear[s] < d->blocks[s]) {
        const wf_source_tensor *table = need(m, wf_map_format(m, "%s.%s", block_name(m, d, s, d->linear[s]), names_of[d->lib].table), 2);
        return table != NULL ? (uint32_t)table->dims[1] : 0;
    }
    const wf_source_tensor *dwc = need(m, wf_map_format(m, "%s.attn.dwc.weight", block_name(m, d, s, 0)), 4);
    return dwc != NULL ? d->width[s] / (uint32_t)dwc->dims[0] : 0;
}

static void read_stages(wf_mapping *m, details *d) {
    const char *fc1 = names_of[d->lib].fc1;
    uint32_t total = 0;
    while (d->stages < MAX_STAGES && wf_map_has(m, block_name(m, d, d->stages, 0), wf_map_format(m, ".%s.weight", fc1))) {
        uint32_t s = d->stages++;
        while (total < MAX_BLOCKS && wf_map_has(m, block_name(m, d, s, d->blocks[s]), wf_map_format(m, ".%s.weight", fc1))) {
            d->blocks[s]++;
            total++;
        }
        const wf_source_tensor *up = need(m, wf_map_format(m, "%s.%s.weight", block_name(m, d, s, 0), fc1), 2);
        if (m->status != WF_OK) {
            return;
        }
        d->hidden[s] = (uint32_t)up->dims[0];
        d->width[s] = (uint32_t)up->dims[1];
        read_linear(m, d, s);
        d->heads[s] = heads_of(m, d, s);
        if (m->status != WF_OK) {
            return;
        }
        wf_map_expect_item(m, "depths", s, d->blocks[s]);
        wf_map_expect_item(m, "num_heads", s, d->heads[s]);
        if (d->heads[s] == 0 || d->width[s] % d->heads[s] != 0) {
            wf_map_fail(m, WF_E_UNSUPPORTED, block_name(m, d, s, 0), "stage %u has %u heads, which do not divide the width %u", s, d->heads[s],
                        d->width[s]);
        }
    }
}

/* Of the first block of stage s with a table of biases; 0: none. */
static uint64_t table_rows(wf_mapping *m, const details *d, uint32_t s) {
    const wf_source_tensor *t = wf_map_find(m, wf_map_format(m, "%s.%s", block_name(m, d, s, d->linear[s]), names_of[d->lib].table));
    return t != NULL ? t->dims[0] : 0;
}

/* The side of square windows whose table has so many rows; 0: of none. */
static uint32_t square_window(uint64_t rows) {
    uint32_t w = 1;
    while (w < 4096 && (uint64_t)(2 * w - 1) * (2 * w - 1) < rows) {
        w++;
    }
    return (uint64_t)(2 * w - 1) * (2 * w - 1) == rows ? w : 0;
}

/* The largest side of a stage's square windows, as the first tables tell it. */
static uint32_t first_window(wf_mapping *m, const details *d) {
    uint32_t s = 0;
    while (s + 1 < d->stages && table_rows(m, d, s) == 0) {
        s++;
    }
    return square_window(table_rows(m, d, s));
}

/* The old layout keeps a mask [windows of the grid, cells, cells] beside shifted blocks. */
static uint32_t side_of_masks(wf_mapping *m, const details *d) {
    for (uint32_t s = 0; d->lib == OLD && s < d->stages; s++) {
        const wf_source_tensor *mask = wf_map_find(m, wf_map_format(m, "layers.%u.blocks.1.attn_mask", s));
        uint32_t across = 1, cells = 1;
        if (mask == NULL || mask->n_dims != 3) {
            continue;
        }
        while (across < 4096 && (uint64_t)across * across < mask->dims[0]) {
            across++;
        }
        while (cells < 4096 && (uint64_t)cells * cells < mask->dims[1]) {
            cells++;
        }
        if ((uint64_t)across * across == mask->dims[0] && (uint64_t)cells * cells == mask->dims[1]) {
            return across * cells > 1 << 15 ? 0 : across * cells * (d->patch << s);
        }
    }
    return 0;
}

static void read_size(wf_mapping *m, details *d) {
    const char *key = d->lib == HF ? "image_size" : "img_size";
    uint32_t known = side_of_masks(m, d), assumed = d->linear[0] != 0 ? d->sla_window[0] * d->patch : square_window(table_rows(m, d, 0)) * 32;
    for (uint32_t i = 0; i < 2; i++) {
        d->side[i] = wf_map_arg_item(m, key, i);
    }
    if (d->side[0] == 0 || d->side[1] == 0) {
        d->side[0] = d->side[1] = known != 0 ? known : assumed;
        if (known == 0) {
            wf_map_assume(m, "pictures of %u × %u (%s)", assumed, assumed, d->linear[0] != 0 ? "one linear window" : "32 sides of a window");
        }
    }
    if (d->side[0] == 0 || d->side[0] > 1 << 15 || d->side[1] > 1 << 15 || d->side[0] % d->patch != 0 || d->side[1] % d->patch != 0) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s gives pictures of %u × %u, no whole number of %u × %u patches up to 32768: name the picture's size "
                    "(%s) in --config", m->config.file, d->side[0], d->side[1], d->patch, d->patch, key);
    }
}

/* Windows of linear attention: the grid where window_size is larger, so that the table is bound to it. */
static void read_linear_windows(wf_mapping *m, details *d, uint32_t s, const uint32_t grid[2]) {
    uint32_t nominal = wf_map_arg_item(m, "window_size", 0), smaller = grid[0] < grid[1] ? grid[0] : grid[1];
    nominal = nominal != 0 ? nominal : d->sla_window[0];
    uint32_t side = smaller < nominal ? smaller : nominal;
    if (d->sla_window[s] != side || grid[0] % side != 0 || grid[1] % side != 0) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "the positions of stage %u's linear attention belong to windows of %u × %u, not to ones of "
                    "%u × %u in a grid of %u × %u: name window_size and the picture's size in --config", s, d->sla_window[s],
                    d->sla_window[s], side, side, grid[0], grid[1]);
    }
    d->sla_window[s] = side < nominal && grid[0] == grid[1] ? 0 : side;
    d->sla_shift[s] = side < nominal ? 0 : nominal / 2;
}

/* Window and shift of each stage by the layout's own rule at the picture's size; models/swin.c applies the first two layouts' rule
   "one window is not shifted" at run time. */
static void read_windows(wf_mapping *m, details *d) {
    uint32_t square = first_window(m, d), grid[2] = {d->side[0] / d->patch, d->side[1] / d->patch};
    bool always = d->lib == TIMM && wf_map_arg_bool(m, "always_partition", false);
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        uint32_t smaller = grid[0] < grid[1] ? grid[0] : grid[1], half[2] = {(grid[0] + 1) / 2, (grid[1] + 1) / 2};
        if (d->linear[s] != 0) {
            read_linear_windows(m, d, s, grid);
        }
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t nominal = d->kernel == 0 ? told_window(m, s, i) : 0, extent = d->lib == OLD ? smaller : grid[i];
            nominal = nominal != 0 ? nominal : square;
            bool shrinks = d->lib != HF && !always && extent <= nominal;
            d->window[i][s] = shrinks ? extent : nominal;
            d->shift[i][s] = shrinks && (d->lib != OLD || extent < nominal) ? 0 : nominal / 2;
            grid[i] = half[i];
        }
        if (d->linear[s] == d->blocks[s]) {
            d->window[0][s] = d->window[1][s] = 1; /* of no block */
            d->shift[0][s] = d->shift[1][s] = 0;
            continue;
        }
        uint64_t wanted = (uint64_t)(2 * (uint64_t)d->window[0][s] - 1) * (2 * (uint64_t)d->window[1][s] - 1), rows = table_rows(m, d, s);
        if (d->window[0][s] == 0 || d->window[1][s] == 0 || wanted != rows) {
            wf_map_fail(m, WF_E_SHAPE, m->config.file, "the position biases of stage %u have %llu rows, which do not belong to windows of "
                        "%u × %u: name window_size and the picture's size in --config", s, (unsigned long long)rows, d->window[0][s],
                        d->window[1][s]);
            return;
        }
    }
}

/* attn_type: a letter a stage, or a list of such and M<n>. */
static void expect_attention(wf_mapping *m, const details *d) {
    const wf_json *types = wf_map_key(m, "attn_type");
    wf_map_expect_item(m, "kernel_size", 0, d->kernel);
    wf_map_key(m, "focusing_factor"); /* the source stores it and never uses it */
    for (uint32_t s = 0; s < d->stages && types != NULL && types->kind == WF_JSON_STRING && strlen(types->string) == d->stages; s++) {
        bool linear = d->linear[s] == d->blocks[s];
        if ((types->string[s] == 'L' && !linear) || (types->string[s] == 'S' && d->linear[s] != 0)) {
            wf_map_fail(m, WF_E_SHAPE, m->config.file, "attn_type of %s is \"%s\", but %u of the %u blocks of the checkpoint's stage %u have "
                        "linear attention: another model's config?", m->config.file, types->string, d->linear[s], d->blocks[s], s);
        }
    }
}

static void configure(wf_mapping *m, details *d) {
    const wf_source_tensor *patch = need(m, wf_map_format(m, "%s.weight", d->patch_conv), 4);
    if (m->status == WF_OK && (patch->dims[2] != patch->dims[3] || patch->dims[2] > 256)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, patch->name, "patches of %llu × %llu are not supported (square ones up to 256 are)",
                    (unsigned long long)patch->dims[2], (unsigned long long)patch->dims[3]);
    }
    if (m->status != WF_OK) {
        return;
    }
    d->patch = (uint32_t)patch->dims[2];
    m->channels = (uint32_t)patch->dims[1];
    d->has_patch_norm = wf_map_has(m, d->patch_norm, ".weight") || wf_map_is_repbn(m, d->patch_norm);
    read_stages(m, d);
    const char *first = block_name(m, d, 0, 0);
    static const char *const gelu[] = {"gelu", NULL}, *const layer_norm[] = {"LayerNorm", "layernorm", NULL};
    wf_map_need_class(m, "hidden_act", gelu);
    if (strcmp(d->norm, "layer_norm") == 0) {
        wf_map_need_class(m, "norm_layer", layer_norm);
    }
    d->qkv_bias = wf_map_has(m, first, d->lib == HF ? ".attention.self.query.bias" : ".attn.qkv.bias");
    wf_map_expect_item(m, "embed_dim", 0, (uint32_t)patch->dims[0]);
    wf_map_expect_item(m, "patch_size", 0, d->patch);
    if (d->lib == HF) { /* what follows from the rest, or is for other uses of the backbone */
        static const char *const known[] = {"use_absolute_embeddings", "stage_names", "out_features", "out_indices"};
        wf_map_expect_item(m, "num_layers", 0, d->stages);
        wf_map_expect_item(m, "hidden_size", 0, d->stages > 0 ? d->width[d->stages - 1] : 0);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            wf_map_key(m, known[i]);
        }
    }
    if (d->kernel != 0) {
        expect_attention(m, d);
    }
    const wf_json *eps = wf_map_key(m, "layer_norm_eps");
    d->eps = 1e-5f;
    if (d->lib == HF && eps != NULL && eps->kind == WF_JSON_NUMBER && eps->number >= 1e-12 && eps->number <= 0.1) {
        d->eps = (float)eps->number;
    } else if (strcmp(d->norm, "layer_norm") == 0) {
        wf_map_assume(m, "layer norm epsilon %g", (double)d->eps);
    }
    if (m->status == WF_OK) {
        read_size(m, d);
    }
    if (m->status == WF_OK) {
        read_windows(m, d);
    }
}

/* ---- tensors and taps ---- */

static void map_qkv(wf_mapping *m, const details *d, const char *from, const char *to) {
    static const char *const parts[] = {"query", "key", "value"};
    const char *weights[3], *biases[3];
    if (d->lib != HF) {
        wf_map_affine(m, wf_map_format(m, "%s.attn.qkv", from), wf_map_format(m, "%s.mixer.qkv", to), WF_MAP_LINEAR, !d->qkv_bias);
        return;
    }
    for (int i = 0; i < 3; i++) {
        weights[i] = wf_map_format(m, "%s.attention.self.%s.weight", from, parts[i]);
        biases[i] = wf_map_format(m, "%s.attention.self.%s.bias", from, parts[i]);
    }
    wf_map_stack(m, weights, 3, wf_map_format(m, "%s.mixer.qkv.weight", to), WF_MAP_LINEAR);
    if (d->qkv_bias) {
        wf_map_stack(m, biases, 3, wf_map_format(m, "%s.mixer.qkv.bias", to), WF_MAP_VECTOR);
    }
}

/* A product of a block, and its tap unless order is NULL. */
static void map_part(wf_mapping *m, const char *source, const char *node, wf_map_kind kind, const char *order) {
    wf_map_affine(m, source, node, kind, false);
    if (order != NULL) {
        wf_map_tap(m, source, node, order);
    }
}

static void map_norm(wf_mapping *m, const details *d, const char *source, const char *node, const char *order) {
    if (strcmp(d->norm, "none") == 0) {
        return;
    }
    if (strcmp(d->norm, "repbn") == 0) {
        wf_map_repbn(m, source, node);
    } else {
        wf_map_affine(m, source, node, WF_MAP_VECTOR, true);
    }
    wf_map_tap(m, source, node, order);
}

static void map_block(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    const char *from = block_name(m, d, s, b), *to = wf_map_format(m, "stage.%u.blk.%u", s, b), *order = names_of[d->lib].map;
    const char *proj = wf_map_format(m, "%s.%s", from, names_of[d->lib].proj), *mixer = wf_map_format(m, "%s.mixer", to);
    map_norm(m, d, wf_map_format(m, "%s.%s", from, names_of[d->lib].norm1), wf_map_format(m, "%s.norm1", to), order);
    map_qkv(m, d, from, to);
    bool linear = b < d->linear[s];
    const char *window = linear && d->sla_window[s] == 0 ? "nlc" : "window"; /* one window is the map */
    if (linear) {
        const char *attn = wf_map_format(m, "%s.attn", from);
        wf_map_sla(m, &attn, 1, mixer);
    } else {
        wf_map_tensor(m, wf_map_format(m, "%s.%s", from, names_of[d->lib].table), wf_map_format(m, "%s.position.weight", mixer),
                      WF_MAP_TABLE_ROWS, false);
    }
    map_part(m, proj, wf_map_format(m, "%s.proj", mixer), WF_MAP_LINEAR, NULL);
    wf_map_tap(m, proj, mixer, window);
    map_norm(m, d, wf_map_format(m, "%s.%s", from, names_of[d->lib].norm2), wf_map_format(m, "%s.norm2", to), "nlc");
    map_part(m, wf_map_format(m, "%s.%s", from, names_of[d->lib].fc1), wf_map_format(m, "%s.ffn_up", to), WF_MAP_LINEAR, "nlc");
    map_part(m, wf_map_format(m, "%s.%s", from, names_of[d->lib].fc2), wf_map_format(m, "%s.ffn_down", to), WF_MAP_LINEAR, "nlc");
    if (d->lib != HF) {
        wf_map_tap(m, wf_map_format(m, "%s.attn", from), mixer, window);
        wf_map_tap(m, wf_map_format(m, "%s.mlp.act", from), wf_map_format(m, "%s.ffn_act", to), "nlc");
        wf_map_tap(m, wf_map_format(m, "%s.mlp", from), wf_map_format(m, "%s.ffn_down", to), "nlc");
    }
    wf_map_tap(m, from, to, order);
}

static void map_stage(wf_mapping *m, const details *d, uint32_t s) {
    const char *order = names_of[d->lib].map, *to = wf_map_format(m, "stage.%u", s);
    if (s > 0) {
        const char *from = down_name(m, d, s);
        map_norm(m, d, wf_map_format(m, "%s.norm", from), wf_map_format(m, "%s.down.norm", to), order);
        wf_map_affine(m, wf_map_format(m, "%s.reduction", from), wf_map_format(m, "%s.down.reduction", to), WF_MAP_LINEAR, true);
        wf_map_tap(m, wf_map_format(m, "%s.reduction", from), wf_map_format(m, "%s.down", to), order);
        wf_map_tap(m, from, wf_map_format(m, "%s.down", to), order);
    }
    for (uint32_t b = 0; b < d->blocks[s]; b++) {
        map_block(m, d, s, b);
    }
    bool merged = d->lib != TIMM && s + 1 < d->stages; /* what the source calls a stage ends with the merging behind it */
    wf_map_tap(m, stage_name(m, d, s), merged ? wf_map_format(m, "stage.%u.down", s + 1) : to, order);
}

static void map_ends(wf_mapping *m, const details *d, bool front) {
    const char *order = names_of[d->lib].map, *stem = d->has_patch_norm ? "stem_norm" : "stem";
    if (front) {
        map_part(m, d->patch_conv, "stem", WF_MAP_CONV, "nchw");
        if (d->has_patch_norm) {
            map_norm(m, d, d->patch_norm, "stem_norm", order);
        }
        wf_map_tap(m, d->lib == HF ? wf_map_format(m, "%sembeddings", d->root) : "patch_embed", stem, order);
        return;
    }
    const char *fc = d->lib == HF ? "classifier" : d->lib == TIMM ? "head.fc" : "head";
    map_norm(m, d, d->lib == HF ? wf_map_format(m, "%slayernorm", d->root) : "norm", "norm", order);
    const wf_source_tensor *t = wf_map_find(m, wf_map_format(m, "%s.weight", fc));
    if (t != NULL && t->n_dims == 2) {
        m->classes = (uint32_t)t->dims[0];
        map_part(m, fc, "head", WF_MAP_LINEAR, "nc");
    }
    wf_map_expect_item(m, d->lib == HF ? "num_labels" : "num_classes", 0, m->classes);
}

/* Anything of a stage or of the embedding that no part took would change the result: refuse it by name. */
static void check_left_over(wf_mapping *m, const details *d) {
    const char *inside = wf_map_format(m, "%s%slayers.", d->root, d->lib == HF ? "encoder." : "");
    const char *position = d->lib == HF ? wf_map_format(m, "%sembeddings.position_embeddings", d->root) : "absolute_pos_embed";
    for (uint64_t i = 0; i < m->source->tensor_count && m->status == WF_OK; i++) {
        const char *name = m->source->tensors[i].name;
        if (!m->used[i] && wf_map_left_over(m, name) == NULL && (strncmp(name, inside, strlen(inside)) == 0 || strcmp(name, position) == 0)) {
            wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" belongs to a part that this version's Swin does not have", name);
        }
    }
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    static const char *const rules[] = {[OLD] = "divide", [TIMM] = "roll_pad", [HF] = "pad_roll"};
    const details *d = m->details;
    const struct {
        const char *key;
        const uint32_t *values;
    } arrays[] = {{"swin.block_count", d->blocks},          {"swin.embedding_length", d->width},   {"swin.feed_forward_length", d->hidden},
                  {"swin.attention.head_count", d->heads},  {"swin.window.height", d->window[0]},  {"swin.window.width", d->window[1]},
                  {"swin.shift.height", d->shift[0]},       {"swin.shift.width", d->shift[1]}};
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"swin.patch_size", d->patch},          {"swin.class_count", m->classes},       {"swin.input.channels", m->channels},
                   {"swin.input.height", m->image.height}, {"swin.input.width", m->image.width}};
    const char *norms[MAX_STAGES], *norm = d->norm;
    for (uint32_t s = 0; s < d->stages; s++) {
        char node[] = "stage.0.blk.0.norm1";
        node[6] = (char)('0' + s);
        norms[s] = wf_map_norm_of(m, node, norm);
    }
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        WF_TRY(wf_gguf_add_array(w, arrays[i].key, WF_GGUF_U32, arrays[i].values, d->stages, err));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        WF_TRY(wf_gguf_add_u32(w, numbers[i].key, numbers[i].value, err));
    }
    if (d->kernel != 0) {
        WF_TRY(wf_gguf_add_array(w, "swin.sla.block_count", WF_GGUF_U32, d->linear, d->stages, err));
        WF_TRY(wf_gguf_add_array(w, "swin.sla.window", WF_GGUF_U32, d->sla_window, d->stages, err));
        WF_TRY(wf_gguf_add_array(w, "swin.sla.shift", WF_GGUF_U32, d->sla_shift, d->stages, err));
        WF_TRY(wf_gguf_add_u32(w, "swin.sla.kernel", d->kernel, err));
    }
    WF_TRY(wf_gguf_add_array(w, "swin.norm", WF_GGUF_STRING, norms, d->stages, err));
    WF_TRY(wf_gguf_add_string(w, "swin.stem.norm", d->has_patch_norm ? wf_map_norm_of(m, "stem_norm", norm) : "none", err));
    WF_TRY(wf_gguf_add_string(w, "swin.down.norm", norm, err));
    WF_TRY(wf_gguf_add_string(w, "swin.head.norm", wf_map_norm_of(m, "norm", norm), err));
    WF_TRY(wf_gguf_add_string(w, "swin.window.rule", rules[d->lib], err));
    WF_TRY(wf_gguf_add_f32(w, "swin.norm_epsilon", d->eps, err));
    return wf_gguf_add_bool(w, "swin.attention.qkv_bias", d->qkv_bias, err);
}

wf_status wf_map_swin(wf_mapping *m, bool *known) {
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
    m->architecture = "swin";
    m->family = d->lib == HF ? "transformers" : strcmp(d->norm, "layer_norm") == 0 ? "timm" : "xinghaochen/SLAB";
    m->norms_by_stage = true;
    static const char *const classes[] = {"SwinTransformer", "SlabSwinTransformer", NULL}, *const types[] = {"swin", "donut-swin", NULL};
    wf_map_check_class(m, classes, types);
    configure(m, d);
    if (m->status != WF_OK) {
        return m->status;
    }
    map_ends(m, d, true);
    for (uint32_t s = 0; s < d->stages; s++) {
        map_stage(m, d, s);
    }
    map_ends(m, d, false);
    check_left_over(m, d);
    if (m->status == WF_OK) {
        bool slab = strcmp(m->family, "xinghaochen/SLAB") == 0;
        wf_image_params image = wf_map_imagenet(d->side[0], d->side[0] > 224 ? 1.0f : slab ? 0.875f : 0.9f);
        image.width = d->side[1];
        image.round_long = d->lib == TIMM;
        if (d->lib == HF) {
            image.crop_pct = 1.0f;
            image.squash = true;
        }
        wf_map_image(m, &image);
        m->golden_size = 0;
        m->golden_octaves = d->kernel != 0;
    }
    return m->status;
}
