/* CSwin checkpoints, Microsoft's (cswin.py) and SLAB's (slab_cswin.py), → architecture cswin (models/pvt.c):

     stage1_conv_embed.{0 the convolution, 2 its norm}, stageS.B.{norm1, qkv, attns.K.get_v, proj, norm2, mlp.{fc1, fc2}} with S from 1,
     mergeS.{conv, norm} behind stage S, norm, head

   attns.1 is there where heads come in two halves: columns and rows. SLAB's norms are RepBN (inside LinearNorm), and blocks of type L
   have attns.K.{positional_encoding, dwc}, and a scale that nothing uses.
   What tensors do not tell: the heads of softmax attention, and the side of its stripes. They are in --config (num_heads, split_size),
   or the published ones of the width; the side of linear attention's stripes follows from positional_encoding and the picture's size.
   Sources: microsoft/CSWin-Transformer models/cswin.py, xinghaochen/SLAB classification/models/slab_cswin.py. */
#include <string.h>

#include "convert/mapping.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 96, STEM_STRIDE = 4 };

typedef struct details {
    uint32_t stages, side; /* of the picture */
    uint32_t blocks[MAX_STAGES], width[MAX_STAGES], hidden[MAX_STAGES], heads[MAX_STAGES], branches[MAX_STAGES], stripe[MAX_STAGES];
    uint32_t grid[MAX_STAGES]; /* side of the stage's map */
    bool linear[MAX_STAGES];
    uint32_t kernel, lepe; /* sides: of linear attention's kernel, 0 = none; of get_v */
    bool qkv_bias, repbn;
} details;

static const char *block_name(wf_mapping *m, uint32_t s, uint32_t b) { return wf_map_format(m, "stage%u.%u", s + 1, b); }

static const char *branch_name(wf_mapping *m, uint32_t s, uint32_t b, uint32_t branch) {
    return wf_map_format(m, "stage%u.%u.attns.%u", s + 1, b, branch);
}

static const wf_source_tensor *part(wf_mapping *m, const char *name, const char *what) {
    return wf_map_find(m, wf_map_format(m, "%s.%s", name, what));
}

static const wf_source_tensor *need(wf_mapping *m, const char *name, const char *what, uint32_t n_dims) {
    return wf_map_need(m, wf_map_format(m, "%s.%s", name, what), n_dims, "CSwin");
}

/* ---- structure ---- */

static uint32_t square_root(uint64_t n) {
    uint64_t r = 0;
    while (r * r < n && r < 4096) {
        r++;
    }
    return r * r == n ? (uint32_t)r : 0;
}

/* Cells of positions in each branch of a stage's first block; 0: no linear attention. */
static uint64_t positions_of(wf_mapping *m, uint32_t s) {
    const wf_source_tensor *t = part(m, branch_name(m, s, 0, 0), "positional_encoding");
    return t != NULL && t->n_dims == 3 ? t->dims[1] : 0;
}

/* From linear attention's kernel, the config, or the published models: 32 wide in those that begin with 64 channels, else 24, but the
   last stage of the largest has no more than the one before. */
static void read_heads(wf_mapping *m, details *d, uint32_t s) {
    const wf_source_tensor *dwc = part(m, branch_name(m, s, 0, 0), "dwc.weight");
    uint32_t told = wf_map_arg_item(m, "num_heads", s), dim = d->width[0] == 64 ? 32 : d->width[0] == 96 || d->width[0] == 144 ? 24 : 0;
    if (dwc != NULL && dwc->n_dims == 4 && dwc->dims[0] != 0) {
        d->heads[s] = d->width[s] / (uint32_t)dwc->dims[0];
        wf_map_expect_item(m, "num_heads", s, d->heads[s]);
    } else if (told != 0) {
        d->heads[s] = told;
    } else if (dim == 0) {
        wf_map_fail(m, WF_E_MISSING, "num_heads", "tensors do not tell the heads of softmax attention, and no published CSwin begins with %u "
                    "channels; give num_heads in --config", d->width[0]);
    } else {
        d->heads[s] = d->width[s] / (d->width[0] == 144 && s == 3 ? 48 : dim);
        wf_map_assume(m, "%u attention heads in stage %u (as in the published CSwins)", d->heads[s], s);
    }
    if (m->status == WF_OK && (d->heads[s] == 0 || d->width[s] % d->heads[s] != 0 || d->heads[s] % d->branches[s] != 0)) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%u heads do not divide the width %u of stage %u into %u branches", d->heads[s], d->width[s], s,
                    d->branches[s]);
    }
}

static void read_stage(wf_mapping *m, details *d, uint32_t s, uint32_t *total) {
    while (*total < MAX_BLOCKS && part(m, block_name(m, s, d->blocks[s]), "qkv.weight") != NULL) {
        d->blocks[s]++;
        (*total)++;
    }
    const wf_source_tensor *up = need(m, block_name(m, s, 0), "mlp.fc1.weight", 2);
    const wf_source_tensor *lepe = need(m, branch_name(m, s, 0, 0), "get_v.weight", 4);
    if (m->status != WF_OK) {
        return;
    }
    d->hidden[s] = (uint32_t)up->dims[0];
    d->width[s] = (uint32_t)up->dims[1];
    d->branches[s] = part(m, branch_name(m, s, 0, 1), "get_v.weight") != NULL ? 2 : 1;
    d->linear[s] = positions_of(m, s) != 0;
    uint32_t kernel = d->linear[s] ? wf_map_sla_kernel(m, branch_name(m, s, 0, 0)) : 0;
    bool other = (d->kernel != 0 && kernel != 0 && kernel != d->kernel) || (d->lepe != 0 && lepe->dims[2] != d->lepe);
    if (m->status == WF_OK && (other || lepe->dims[2] != lepe->dims[3] || lepe->dims[2] % 2 == 0 || lepe->dims[2] > 31 || (d->linear[s] && kernel == 0))) {
        wf_map_fail(m, WF_E_UNSUPPORTED, lepe->name, "the depthwise convolutions of stage %u (\"%s\") are no odd squares up to 31 of one size in all "
                    "stages", s, lepe->name);
    }
    d->kernel = kernel != 0 ? kernel : d->kernel;
    d->lepe = (uint32_t)lepe->dims[2];
    read_heads(m, d, s);
    wf_map_expect_item(m, "depth", s, d->blocks[s]);
}

/* What a picture's side gives in front of each stage: the source's convolutions pad so that strides divide it. */
static void read_grids(details *d) {
    for (uint32_t s = 0, side = d->side / STEM_STRIDE; s < d->stages; s++, side /= 2) {
        d->grid[s] = side;
    }
}

static void read_size(wf_mapping *m, details *d) {
    d->side = wf_map_arg(m, "img_size", 0);
    for (uint32_t s = 0; s < d->stages && d->side == 0; s++) {
        d->side = d->branches[s] == 1 ? square_root(positions_of(m, s)) * (STEM_STRIDE << s) : 0;
    }
    if (d->side == 0) {
        d->side = 224;
        wf_map_assume(m, "pictures of 224 × 224");
    }
    uint32_t unit = STEM_STRIDE << (d->stages - 1);
    if (d->side > 1 << 15 || d->side % unit != 0) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s gives pictures of %u × %u, no multiple of %u up to 32768: name the picture's size (img_size) in "
                    "--config", m->config.file, d->side, d->side, unit);
        return;
    }
    read_grids(d);
}

/* The number at place s of "56-28-14-7"; 0: none. */
static uint32_t dashed(const wf_json *v, uint32_t s) {
    const char *p = v != NULL && v->kind == WF_JSON_STRING ? v->string : "";
    uint32_t n = 0;
    for (uint32_t i = 0; i < s && p != NULL; i++) {
        p = strchr(p, '-');
        p = p != NULL ? p + 1 : NULL;
    }
    for (; p != NULL && *p >= '0' && *p <= '9' && n < 4096; p++) {
        n = 10 * n + (uint32_t)(*p - '0');
    }
    return n;
}

/* The side of the stripes: the table of positions has a column's cells, and split_size or the published 1-2-7-7 tells the others. */
static void read_stripe(wf_mapping *m, details *d, uint32_t s) {
    static const uint32_t published[] = {1, 2, 7, 7};
    uint32_t told = d->linear[s] ? dashed(wf_map_key(m, "la_split_size"), s) : wf_map_arg_item(m, "split_size", s), grid = d->grid[s];
    uint64_t cells = positions_of(m, s), whole = (uint64_t)grid * grid;
    if (d->branches[s] == 1) {
        if (d->linear[s] && cells != whole) {
            wf_map_fail(m, WF_E_SHAPE, m->config.file, "the positions of stage %u's linear attention belong to %llu cells, but pictures of %u × %u give "
                        "%u × %u there: name the picture's size (img_size) in --config", s, (unsigned long long)cells, d->side, d->side, grid,
                        grid);
        }
        return;
    }
    if (d->linear[s]) {
        d->stripe[s] = cells % grid == 0 ? (uint32_t)(cells / grid) : 0;
    } else {
        d->stripe[s] = told != 0 ? told : s < 4 ? published[s] : 0;
        if (told == 0) {
            wf_map_assume(m, "stripes of %u in stage %u (as in the published CSwins)", d->stripe[s], s);
        }
    }
    if (d->stripe[s] == 0 || grid % d->stripe[s] != 0 || (told != 0 && told != d->stripe[s])) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "stage %u has %u × %u cells, which stripes of %u%s do not divide: name the picture's size (img_size) "
                    "and %s in --config", s, grid, grid, told != 0 ? told : d->stripe[s], d->linear[s] ? " with its positions" : "",
                    d->linear[s] ? "la_split_size" : "split_size");
    }
}

static void expect_attention(wf_mapping *m, const details *d) {
    const wf_json *types = wf_map_key(m, "attn_type");
    wf_map_key(m, "focusing_factor"); /* the source stores it and never uses it */
    wf_map_key(m, "la_split_size");
    wf_map_key(m, "split_size");
    if (d->kernel != 0) {
        wf_map_expect_item(m, "kernel_size", 0, d->kernel);
    }
    for (uint32_t s = 0; s < d->stages && types != NULL && types->kind == WF_JSON_STRING && strlen(types->string) == d->stages; s++) {
        if (types->string[s] != (d->linear[s] ? 'L' : 'S')) {
            wf_map_fail(m, WF_E_SHAPE, m->config.file, "attn_type of %s is \"%s\", but stage %u of the checkpoint has %s attention: another model's "
                        "config?", m->config.file, types->string, s, d->linear[s] ? "linear" : "softmax");
        }
    }
}

/* A square convolution of the size whose stride and padding the sources fix: 7 with 4 and 2, 3 with 2 and 1. */
static void expect_conv(wf_mapping *m, const char *name, uint32_t kernel) {
    const wf_source_tensor *t = need(m, name, "weight", 4);
    if (t != NULL && (t->dims[2] != kernel || t->dims[3] != kernel)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, t->name, "tensor \"%s\" is a convolution of %llu × %llu; in a CSwin it has %u × %u", t->name,
                    (unsigned long long)t->dims[2], (unsigned long long)t->dims[3], kernel, kernel);
    }
}

static void configure(wf_mapping *m, details *d) {
    static const char *const layer_norm[] = {"LayerNorm", NULL};
    uint32_t total = 0;
    d->repbn = wf_map_is_repbn(m, "stage1.0.norm1");
    d->qkv_bias = part(m, "stage1.0", "qkv.bias") != NULL;
    if (!d->repbn) {
        wf_map_need_class(m, "norm_layer", layer_norm);
    }
    expect_conv(m, "stage1_conv_embed.0", 7);
    while (m->status == WF_OK && d->stages < MAX_STAGES && part(m, block_name(m, d->stages, 0), "qkv.weight") != NULL) {
        read_stage(m, d, d->stages++, &total);
    }
    for (uint32_t s = 1; s < d->stages && m->status == WF_OK; s++) {
        expect_conv(m, wf_map_format(m, "merge%u.conv", s), 3);
    }
    if (m->status != WF_OK) {
        return;
    }
    m->channels = (uint32_t)part(m, "stage1_conv_embed.0", "weight")->dims[1];
    wf_map_expect_item(m, "embed_dim", 0, d->width[0]);
    expect_attention(m, d);
    if (!d->repbn) {
        wf_map_assume(m, "layer norm epsilon 1e-05");
    }
    read_size(m, d);
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        read_stripe(m, d, s);
    }
}

/* ---- tensors and taps ---- */

static void map_norm(wf_mapping *m, const details *d, const char *source, const char *node) {
    if (d->repbn) {
        wf_map_repbn(m, source, node);
    } else {
        wf_map_affine(m, source, node, WF_MAP_VECTOR, true);
    }
    wf_map_tap(m, source, node, "nlc");
}

static void map_product(wf_mapping *m, const char *source, const char *node, bool bias) {
    wf_map_affine(m, source, node, WF_MAP_LINEAR, !bias);
    wf_map_tap(m, source, node, "nlc");
}

static void map_block(wf_mapping *m, const details *d, uint32_t s, uint32_t b) {
    const char *from = block_name(m, s, b), *to = wf_map_format(m, "stage.%u.blk.%u", s, b), *mixer = wf_map_format(m, "%s.mixer", to);
    const char *branches[2] = {branch_name(m, s, b, 0), branch_name(m, s, b, 1)};
    map_norm(m, d, wf_map_format(m, "%s.norm1", from), wf_map_format(m, "%s.norm1", to));
    map_product(m, wf_map_format(m, "%s.qkv", from), wf_map_format(m, "%s.qkv", mixer), d->qkv_bias);
    if (d->linear[s]) {
        wf_map_sla(m, branches, d->branches[s], mixer);
    }
    wf_map_stack_parts(m, branches, d->branches[s], "get_v.weight", wf_map_format(m, "%s.lepe.weight", mixer), WF_MAP_DEPTHWISE);
    wf_map_stack_parts(m, branches, d->branches[s], "get_v.bias", wf_map_format(m, "%s.lepe.bias", mixer), WF_MAP_VECTOR);
    if (d->branches[s] == 1) {
        wf_map_tap(m, branches[0], wf_map_format(m, "%s.lepe", mixer), "nlc");
    }
    map_product(m, wf_map_format(m, "%s.proj", from), wf_map_format(m, "%s.proj", mixer), true);
    map_norm(m, d, wf_map_format(m, "%s.norm2", from), wf_map_format(m, "%s.norm2", to));
    map_product(m, wf_map_format(m, "%s.mlp.fc1", from), wf_map_format(m, "%s.ffn_up", to), true);
    wf_map_tap(m, wf_map_format(m, "%s.mlp.act", from), wf_map_format(m, "%s.ffn_act", to), "nlc");
    map_product(m, wf_map_format(m, "%s.mlp.fc2", from), wf_map_format(m, "%s.ffn_down", to), true);
    wf_map_tap(m, wf_map_format(m, "%s.mlp", from), wf_map_format(m, "%s.ffn_down", to), "nlc");
    wf_map_tap(m, from, to, "nlc");
}

static void map_stage(wf_mapping *m, const details *d, uint32_t s) {
    const char *whole = s == 0 ? "stage1_conv_embed" : wf_map_format(m, "merge%u", s), *to = wf_map_format(m, "stage.%u.embed", s);
    const char *conv = wf_map_format(m, "%s.%s", whole, s == 0 ? "0" : "conv"), *norm = wf_map_format(m, "%s.%s", whole, s == 0 ? "2" : "norm");
    wf_map_affine(m, conv, to, WF_MAP_CONV, false);
    wf_map_tap(m, conv, to, "nchw");
    map_norm(m, d, norm, wf_map_format(m, "%s_norm", to));
    wf_map_tap(m, whole, wf_map_format(m, "%s_norm", to), "nlc");
    for (uint32_t b = 0; b < d->blocks[s]; b++) {
        map_block(m, d, s, b);
    }
}

static void map_head(wf_mapping *m, const details *d) {
    map_norm(m, d, "norm", "norm");
    const wf_source_tensor *t = wf_map_find(m, "head.weight");
    if (t != NULL && t->n_dims == 2) {
        m->classes = (uint32_t)t->dims[0];
        wf_map_affine(m, "head", "head", WF_MAP_LINEAR, false);
        wf_map_tap(m, "head", "head", "nc");
    }
    wf_map_expect_item(m, "num_classes", 0, m->classes);
}

/* Anything of a stage or between two that no part took would change the result: refuse it by name. */
static void check_left_over(wf_mapping *m) {
    for (uint64_t i = 0; i < m->source->tensor_count && m->status == WF_OK; i++) {
        const char *name = m->source->tensors[i].name;
        if (!m->used[i] && wf_map_left_over(m, name) == NULL && (strncmp(name, "stage", 5) == 0 || strncmp(name, "merge", 5) == 0)) {
            wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" belongs to a part that this version's CSwin does not have", name);
        }
    }
}

static wf_status add_norms(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    static const struct {
        const char *key, *node; /* NULL: there is none */
    } lists[] = {{"cswin.norm", "blk.0.norm1"}, {"cswin.embed.norm", "embed_norm"}, {"cswin.reduction.norm", NULL}, {"cswin.out.norm", ""}};
    const details *d = m->details;
    const char *norm = d->repbn ? "repbn" : "layer_norm", *names[MAX_STAGES];
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (uint32_t s = 0; s < d->stages; s++) {
            char node[32] = "stage.0.";
            node[6] = (char)('0' + s);
            bool out = lists[i].node != NULL && *lists[i].node == '\0', none = lists[i].node == NULL || (out && s + 1 < d->stages);
            names[s] = none ? "none" : out ? wf_map_norm_of(m, "norm", norm) : wf_map_norm_of(m, strcat(node, lists[i].node), norm);
        }
        WF_TRY(wf_gguf_add_array(w, lists[i].key, WF_GGUF_STRING, names, d->stages, err));
    }
    return WF_OK;
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    const details *d = m->details;
    const char *mixers[MAX_STAGES];
    uint32_t kernel[MAX_STAGES], stride[MAX_STAGES], pad[MAX_STAGES], reduction[MAX_STAGES], none[MAX_STAGES] = {0};
    for (uint32_t s = 0; s < d->stages; s++) {
        kernel[s] = s == 0 ? 7 : 3, stride[s] = s == 0 ? STEM_STRIDE : 2, pad[s] = s == 0 ? 2 : 1;
        reduction[s] = 1;
        mixers[s] = d->linear[s] ? "sla" : "attention";
    }
    const struct {
        const char *key;
        const uint32_t *values;
    } arrays[] = {{"cswin.block_count", d->blocks},         {"cswin.embedding_length", d->width},  {"cswin.feed_forward_length", d->hidden},
                  {"cswin.attention.stripe", d->stripe},    {"cswin.attention.head_count", d->heads}, {"cswin.attention.reduction", reduction},
                  {"cswin.embed.kernel", kernel},           {"cswin.embed.stride", stride},        {"cswin.embed.padding", pad},
                  {"cswin.position.height", none},          {"cswin.position.width", none}};
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"cswin.prefix_tokens", 0},              {"cswin.feed_forward.window", 0},      {"cswin.lepe.kernel", d->lepe},
                   {"cswin.class_count", m->classes},       {"cswin.input.channels", m->channels}, {"cswin.input.height", m->image.height},
                   {"cswin.input.width", m->image.width}};
    static const char *const epsilons[] = {"cswin.norm_epsilon", "cswin.embed.norm_epsilon", "cswin.reduction.norm_epsilon"};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        WF_TRY(wf_gguf_add_array(w, arrays[i].key, WF_GGUF_U32, arrays[i].values, d->stages, err));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        WF_TRY(wf_gguf_add_u32(w, numbers[i].key, numbers[i].value, err));
    }
    for (size_t i = 0; i < sizeof epsilons / sizeof epsilons[0]; i++) {
        WF_TRY(wf_gguf_add_f32(w, epsilons[i], 1e-5f, err));
    }
    WF_TRY(d->kernel != 0 ? wf_gguf_add_u32(w, "cswin.attention.window", d->kernel, err) : WF_OK);
    WF_TRY(wf_gguf_add_array(w, "cswin.mixer", WF_GGUF_STRING, mixers, d->stages, err));
    WF_TRY(add_norms(m, w, err));
    return wf_gguf_add_bool(w, "cswin.attention.qkv_bias", d->qkv_bias, err);
}

wf_status wf_map_cswin(wf_mapping *m, bool *known) {
    static const char *const classes[] = {"CSWinTransformer", NULL};
    details *d = wf_arena_alloc(m->arena, sizeof *d);
    *known = false;
    if (d == NULL) {
        return wf_fail(m->err, WF_E_MEMORY, "convert", -1, "no memory for the map of the checkpoint");
    }
    if (wf_map_find(m, "stage1_conv_embed.0.weight") == NULL || wf_map_find(m, "stage1.0.qkv.weight") == NULL ||
        wf_map_find(m, "stage1.0.attns.0.get_v.weight") == NULL) {
        return m->status;
    }
    *known = true;
    m->details = d;
    m->metadata = write_metadata;
    m->architecture = "cswin";
    m->norms_by_stage = true;
    wf_map_check_class(m, classes, classes); /* no library of transformers has it */
    configure(m, d);
    m->family = d->repbn ? "xinghaochen/SLAB" : "microsoft/CSWin-Transformer";
    for (uint32_t s = 0; s < d->stages && m->status == WF_OK; s++) {
        map_stage(m, d, s);
    }
    if (m->status == WF_OK) {
        map_head(m, d);
        check_left_over(m);
    }
    if (m->status == WF_OK) {
        wf_image_params image = wf_map_imagenet(d->side, d->side > 224 ? 1.0f : d->repbn ? 0.875f : 0.9f);
        wf_map_image(m, &image);
        m->golden_size = 0;
        m->golden_octaves = d->repbn;
    }
    return m->status;
}
