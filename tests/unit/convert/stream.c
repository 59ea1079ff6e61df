/* Residual streams found in small graphs: the case table of the lossless rewrites (Pre-LN → Pre-RMSNorm → Pre-CRMSNorm). Each row is a
   layout that models have; it says whether norms can be replaced and folded, and if not, which tensor stands in the way. */
#include "convert/stream.h"

#include "base/alloc.h"
#include "check.h"

/* Every tensor exists, F32: "a@32x48.weight" is [32, 48], "n@32.weight" and both biases are vectors. */
static bool find(void *user, const char *name, wf_stored *out) {
    unsigned rows = 1, k = 0;
    const char *at = strrchr(name, '@');
    (void)user;
    bool matrix = at != NULL && sscanf(at, "@%ux%u", &rows, &k) == 2;
    rows = matrix ? rows : 1;
    if (!matrix && (at == NULL || sscanf(at, "@%u", &k) != 1)) {
        return false;
    }
    bool bias = strstr(at, ".bias") != NULL, single = strstr(at, ".alpha") != NULL;
    memset(out, 0, sizeof *out);
    out->type = WF_F32;
    out->n_dims = 2;
    out->dims[0] = single ? 1 : bias && matrix ? rows : k;
    out->dims[1] = bias ? 1 : rows;
    out->dims[2] = out->dims[3] = 1;
    return true;
}

typedef struct bench {
    wf_arena arena;
    wf_weights weights;
    wf_graph graph;
    wf_streams streams;
    wf_error err;
} bench;

/* A map of 4 × 4 cells with 32 channels, written by "stem". */
static wf_id begin(bench *b) {
    memset(b, 0, sizeof *b);
    wf_error_clear(&b->err);
    wf_arena_init(&b->arena);
    wf_weights_init(&b->weights, &b->arena, WF_BACKEND_SCALAR);
    b->weights.find = find;
    wf_graph_init(&b->graph, &b->arena, &b->weights);
    wf_id x = wf_graph_input(&b->graph, "input", (wf_shape){1, 4, 4, 48, WF_LAYOUT_ROWS});
    return wf_node_linear(&b->graph, x, "stem@32x48", 32, true);
}

/* A final norm, the mean, a classifier; then the streams. */
static void finish(bench *b, wf_id x) {
    wf_graph *g = &b->graph;
    wf_id n = wf_node_layer_norm(g, x, "norm@32", 1e-6f);
    wf_id head = wf_node_linear(g, wf_node_segment_mean(g, n, "pool", 0, 0), "head@10x32", 10, true);
    wf_graph_output(g, "output", "nc", head);
    CHECK_OK(wf_graph_check(g, &b->err), b->err);
    CHECK_OK(wf_streams_find(g, &b->arena, false, &b->streams, &b->err), b->err);
}

static void end(bench *b) {
    wf_graph_free(&b->graph);
    wf_weights_free(&b->weights);
    wf_arena_free(&b->arena);
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
}

static const wf_stream_norm *norm_named(const bench *b, const char *name) {
    for (uint32_t i = 0; i < b->streams.norm_count; i++) {
        if (strcmp(b->graph.nodes[b->streams.norms[i].node].name, name) == 0) {
            return &b->streams.norms[i];
        }
    }
    CHECK(false, "no norm %s", name);
    return &b->streams.norms[0];
}

/* Why the norms of the stream that `norm` reads cannot be replaced; "" = they can. */
static const char *refusal(const bench *b, const char *norm) {
    const char *why = b->streams.list[norm_named(b, norm)->stream].refusal;
    return why != NULL ? why : "";
}

/* The same where the mean is carried. */
static const char *uncarried(const bench *b, const char *norm) {
    const char *why = b->streams.list[norm_named(b, norm)->stream].uncarried;
    return why != NULL ? why : "";
}

static const char *unfoldable(const bench *b, const char *norm) {
    const char *why = norm_named(b, norm)->unfoldable;
    return why != NULL ? why : "";
}

static void expect(const char *got, const char *part) {
    CHECK(part[0] == '\0' ? got[0] == '\0' : strstr(got, part) != NULL, "\"%s\" should hold \"%s\"", got, part);
}

/* x + scale · down(gelu(up(n))) */
static wf_id mlp(wf_graph *g, wf_id x, wf_id n, const char *up, const char *down, uint32_t scale) {
    wf_id y = wf_node_gelu(g, wf_node_linear(g, n, up, 64, true), "act");
    return wf_node_residual(g, x, wf_node_linear(g, y, down, 32, true), "sum", scale);
}

WF_TEST(a_pre_ln_block_converts) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = wf_node_residual(g, x, wf_node_linear(g, wf_node_layer_norm(g, x, "n1@32", 1e-6f), "mix@32x32", 32, true), "mixed", WF_NONE);
    x = mlp(g, x, wf_node_layer_norm(g, x, "n2@32", 1e-6f), "up@64x32", "down@32x64", wf_graph_vector(g, "scale@32", 32));
    finish(&b, x);
    CHECK(b.streams.count == 1 && b.streams.writer_count == 3 && b.streams.norm_count == 3, "%u streams, %u writers, %u norms",
          b.streams.count, b.streams.writer_count, b.streams.norm_count);
    expect(refusal(&b, "n1@32"), "");
    expect(unfoldable(&b, "n1@32"), "");
    expect(unfoldable(&b, "norm@32"), ""); /* through the mean */
    CHECK(b.streams.writers[2].scale != WF_NONE && b.streams.writers[1].scale == WF_NONE, "the layer scale belongs to the MLP");
    end(&b);
}

/* GPT-J, PaLM, ViT-22B: one norm, two readers, two writers. */
WF_TEST(parallel_branches_convert) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_id n = wf_node_layer_norm(g, x, "n@32", 1e-6f);
    x = wf_node_residual(g, x, wf_node_linear(g, n, "mix@32x32", 32, true), "mixed", WF_NONE);
    x = mlp(g, x, n, "up@64x32", "down@32x64", WF_NONE);
    finish(&b, x);
    expect(refusal(&b, "n@32"), "");
    CHECK(norm_named(&b, "n@32")->reader_count == 2 && b.streams.writer_count == 3, "two readers, three writers");
    end(&b);
}

/* ViT: class tokens, positions, and DeiT-III's or MAE's pooling in front of the norm. */
WF_TEST(tokens_and_positions_are_writers) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_position p = {1, 3, 3, 4, 4, WF_POSITION_BICUBIC};
    x = wf_node_prefix(g, x, "cls@1x32", 1);
    x = wf_node_position(g, x, "pos@10x32", &p);
    x = mlp(g, x, wf_node_layer_norm(g, x, "n@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    finish(&b, wf_node_segment_mean(g, x, "first", 1, 0));
    CHECK(b.streams.count == 1 && b.streams.writer_count == 4, "%u streams, %u writers", b.streams.count, b.streams.writer_count);
    expect(refusal(&b, "norm@32"), "");
    end(&b);
}

/* PVT's and PoolFormer's downsampling, U-net skips, hidden-state outputs: whatever reads the stream without a norm. */
WF_TEST(a_raw_reader_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = mlp(g, x, wf_node_layer_norm(g, x, "n@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    wf_conv down = {32, 2, 2, 0, true};
    finish(&b, wf_node_conv2d(g, x, "merge@32x128", &down));
    expect(refusal(&b, "n@32"), "\"merge@32x128.weight\" (conv2d) reads the residual stream without a norm");
    expect(refusal(&b, "norm@32"), ""); /* the stream behind it is another one */
    expect(uncarried(&b, "n@32"), "");
    CHECK(b.streams.raw_count == 1 && strcmp(g->nodes[b.streams.raw[0].node].name, "merge@32x128") == 0, "the raw reader is known");
    end(&b);
}

/* BERT: the next layer reads what a norm wrote. */
WF_TEST(post_ln_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = wf_node_residual(g, x, wf_node_linear(g, x, "mix@32x32", 32, true), "mixed", WF_NONE);
    x = wf_node_layer_norm(g, x, "after1@32", 1e-6f);
    x = wf_node_layer_norm(g, mlp(g, x, x, "up@64x32", "down@32x64", WF_NONE), "after2@32", 1e-6f);
    finish(&b, x);
    expect(refusal(&b, "after1@32"), "\"mix@32x32.weight\" (linear) reads the residual stream without a norm");
    expect(refusal(&b, "after2@32"), "(layer_norm) begins the residual stream");
    expect(unfoldable(&b, "after1@32"), "(residual) reads it");
    end(&b);
}

/* GPT-NeoX: attention and MLP side by side, each with a norm of its own. */
WF_TEST(parallel_branches_with_norms_of_their_own_convert) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_id mix = wf_node_linear(g, wf_node_layer_norm(g, x, "n1@32", 1e-6f), "mix@32x32", 32, true);
    wf_id up = wf_node_gelu(g, wf_node_linear(g, wf_node_layer_norm(g, x, "n2@32", 1e-6f), "up@64x32", 64, true), "act");
    x = wf_node_residual(g, x, mix, "mixed", WF_NONE);
    finish(&b, wf_node_residual(g, x, wf_node_linear(g, up, "down@32x64", 32, true), "sum", WF_NONE));
    CHECK(b.streams.count == 1 && b.streams.writer_count == 3, "%u streams, %u writers", b.streams.count, b.streams.writer_count);
    expect(refusal(&b, "n1@32"), "");
    expect(unfoldable(&b, "n1@32"), "");
    expect(unfoldable(&b, "n2@32"), "");
    end(&b);
}

/* Pre-LN encoder and decoder: the decoder's products read the encoder's last norm, which folds into them. */
WF_TEST(encoder_and_decoder_convert) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = mlp(g, x, wf_node_layer_norm(g, x, "n1@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    wf_id memory = wf_node_layer_norm(g, x, "memory@32", 1e-6f);
    wf_id y = wf_node_linear(g, wf_graph_find(g, "input"), "target@32x48", 32, true);
    wf_id cross = wf_node_linear(g, wf_node_gelu(g, wf_node_linear(g, memory, "kv@48x32", 48, true), "soft"), "cross@32x48", 32, true);
    y = wf_node_residual(g, y, cross, "crossed", WF_NONE);
    finish(&b, mlp(g, y, wf_node_layer_norm(g, y, "n2@32", 1e-6f), "up2@64x32", "down2@32x64", WF_NONE));
    CHECK(b.streams.count == 2 && b.streams.writer_count == 5, "%u streams, %u writers", b.streams.count, b.streams.writer_count);
    expect(refusal(&b, "n1@32"), "");
    expect(refusal(&b, "norm@32"), "");
    expect(unfoldable(&b, "memory@32"), "");
    end(&b);
}

/* Experts: a mean of their products is no product here; refused, though it would stay exact. */
WF_TEST(a_mixture_of_experts_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_id n = wf_node_layer_norm(g, x, "n@32", 1e-6f);
    wf_id both = wf_node_average(g, wf_node_linear(g, n, "e1@32x32", 32, true), wf_node_linear(g, n, "e2@32x32", 32, true), "experts");
    finish(&b, wf_node_residual(g, x, both, "mixed", WF_NONE));
    expect(refusal(&b, "n@32"), "\"experts\" (average) adds to the residual stream and is no product");
    expect(unfoldable(&b, "n@32"), "");
    end(&b);
}

/* Peri-LN and Gemma's output norm: it gives the branch a mean again. The norm in front of the branch still folds. */
WF_TEST(peri_ln_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_id n = wf_node_linear(g, wf_node_layer_norm(g, x, "in@32", 1e-6f), "mix@32x32", 32, true);
    finish(&b, wf_node_residual(g, x, wf_node_layer_norm(g, n, "out@32", 1e-6f), "mixed", WF_NONE));
    expect(refusal(&b, "in@32"), "\"out@32\" (layer_norm) adds to the residual stream and is no product");
    expect(uncarried(&b, "in@32"), "\"out@32\" (layer_norm) adds to the residual stream");
    expect(unfoldable(&b, "in@32"), "");
    expect(unfoldable(&b, "out@32"), "\"mixed\" (residual) reads it");
    end(&b);
}

/* PatchEmbed.norm of Swin, PVT and HAT, BLOOM's norm of embeddings: the writer is a norm. */
WF_TEST(a_norm_that_begins_a_stream_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = wf_node_layer_norm(g, x, "patch@32", 1e-6f);
    finish(&b, mlp(g, x, wf_node_layer_norm(g, x, "n@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE));
    expect(refusal(&b, "n@32"), "\"patch@32\" (layer_norm) begins the residual stream and is no product");
    expect(refusal(&b, "patch@32"), ""); /* what it reads has one writer and this norm alone */
    end(&b);
}

/* HAT: the convolution behind a group of blocks reads the stream raw and adds to it; CAB's last step is a gate, no product. */
WF_TEST(hat_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_conv conv = {32, 3, 1, 1, true};
    wf_id n = wf_node_layer_norm(g, x, "n1@32", 1e-6f);
    x = wf_node_residual(g, x, wf_node_linear(g, n, "mix@32x32", 32, true), "attended", WF_NONE);
    wf_id gated = wf_node_residual(g, wf_node_conv2d(g, n, "cab@32x288", &conv), wf_node_linear(g, n, "gate@32x32", 32, true), "gated", WF_NONE);
    x = wf_node_residual(g, x, gated, "mixed", WF_NONE);
    finish(&b, wf_node_residual(g, x, wf_node_conv2d(g, x, "group@32x288", &conv), "grouped", WF_NONE));
    expect(refusal(&b, "n1@32"), "\"gated\" (residual) adds to the residual stream and is no product");
    CHECK(b.streams.raw_count == 1 && strcmp(g->nodes[b.streams.raw[0].node].name, "group@32x288") == 0, "the raw reader is known");
    expect(uncarried(&b, "n1@32"), "\"gated\" (residual) adds to the residual stream and is no product");
    expect(unfoldable(&b, "n1@32"), "\"cab@32x288\" (conv2d) reads it with a padded border");
    end(&b);
}

/* A U-net's skip: what one stream holds is added to another. */
WF_TEST(a_skip_to_another_stream_is_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = mlp(g, x, wf_node_layer_norm(g, x, "n@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    wf_id y = wf_node_linear(g, wf_node_gelu(g, x, "between"), "next@32x32", 32, true);
    finish(&b, wf_node_residual(g, y, x, "skip", WF_NONE));
    expect(refusal(&b, "n@32"), "\"between\" (gelu) reads the residual stream without a norm");
    expect(uncarried(&b, "n@32"), "\"between\" (gelu) reads the residual stream without a norm");
    expect(refusal(&b, "norm@32"), "\"sum\" (residual) adds to the residual stream and is no product");
    end(&b);
}

/* SLAB: constant statistics take no mean away. Behind a product that nothing else reads such a norm folds back, else forward. */
WF_TEST(constant_statistics_are_folded_not_replaced) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = wf_node_repbn(g, x, "patch@32", 1e-5f);
    x = mlp(g, x, wf_node_un(g, x, "n@32", 1e-5f), "up@64x32", "down@32x64", WF_NONE);
    finish(&b, x);
    expect(refusal(&b, "patch@32"), "\"patch@32\" (repbn) has constant statistics");
    expect(refusal(&b, "n@32"), "\"patch@32\" (repbn) begins the residual stream");
    expect(unfoldable(&b, "n@32"), "");
    CHECK(norm_named(&b, "n@32")->producer == WF_NONE, "it goes forward");
    expect(unfoldable(&b, "patch@32"), "reads it");
    CHECK(norm_named(&b, "patch@32")->producer == wf_graph_find(g, "stem@32x48"), "it goes into the product in front");
    end(&b);
}

/* PoolFormer: statistics over the map, a mixer that is no product. */
WF_TEST(group_norm_and_pooling_are_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_id n = wf_node_group_norm(g, x, "n1@32", 1e-5f);
    x = wf_node_residual(g, x, wf_node_pool2d(g, n, "mixer", 3, true), "mixed", WF_NONE);
    x = mlp(g, x, wf_node_group_norm(g, x, "n2@32", 1e-5f), "up@64x32", "down@32x64", WF_NONE);
    finish(&b, x);
    expect(refusal(&b, "n1@32"), "\"n1@32\" (group_norm) takes its statistics over more than one row");
    expect(unfoldable(&b, "n1@32"), "\"mixer\" (pool2d) reads it");
    expect(unfoldable(&b, "n2@32"), ""); /* its scale and shift can still go into the MLP */
    end(&b);
}

/* HAT's CAB and PVT-v2: β would be missing in the padded border. A convolution without padding takes both. */
WF_TEST(a_padded_convolution_takes_no_shift) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_conv padded = {32, 3, 1, 1, true}, plain = {32, 2, 2, 0, true};
    wf_id n = wf_node_layer_norm(g, x, "n1@32", 1e-6f);
    x = wf_node_residual(g, x, wf_node_conv2d(g, n, "cab@32x288", &padded), "mixed", WF_NONE);
    x = wf_node_conv2d(g, wf_node_layer_norm(g, x, "n2@32", 1e-6f), "sr@32x128", &plain);
    finish(&b, x);
    expect(unfoldable(&b, "n1@32"), "\"cab@32x288\" (conv2d) reads it with a padded border");
    expect(unfoldable(&b, "n2@32"), "");
    expect(refusal(&b, "n1@32"), "");
    end(&b);
}

/* PVT: k and v come from a map that a convolution reduces. The norm in front folds into both its readers; the one behind is alone with
   the convolution and the product, so it folds and loses its mean whatever the residual stream does. */
WF_TEST(a_reduction_is_a_stream_of_its_own) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    wf_conv embed = {32, 2, 2, 0, true}, cells = {32, 2, 2, 0, true};
    x = wf_node_layer_norm(g, wf_node_conv2d(g, x, "embed@32x128", &embed), "en@32", 1e-5f);
    wf_id n = wf_node_layer_norm(g, x, "n1@32", 1e-6f), r = wf_node_conv2d(g, n, "sr@32x128", &cells);
    wf_id kv = wf_node_linear(g, wf_node_layer_norm(g, r, "rn@32", 1e-5f), "kv@64x32", 64, true);
    wf_attention a = {.heads = 2, .head_dim = 16, .scale = 0.25f, .table = WF_NONE, .padding = WF_NONE, .others = kv};
    wf_id heads = wf_node_attention(g, wf_node_linear(g, n, "q@32x32", 32, true), "heads", &a);
    x = wf_node_residual(g, x, wf_node_linear(g, heads, "proj@32x32", 32, true), "mixed", WF_NONE);
    finish(&b, x);
    expect(unfoldable(&b, "n1@32"), "");
    CHECK(norm_named(&b, "n1@32")->reader_count == 2, "q and the reduction read it");
    expect(unfoldable(&b, "rn@32"), "");
    expect(refusal(&b, "rn@32"), "");
    expect(refusal(&b, "en@32"), "");
    expect(unfoldable(&b, "en@32"), "(layer_norm) reads it");
    expect(refusal(&b, "n1@32"), "\"en@32\" (layer_norm) begins the residual stream");
    end(&b);
}

/* Sharing (WideNet, tied embeddings): one tensor cannot be two things. */
WF_TEST(shared_weights_are_refused) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    for (int i = 0; i < 2; i++) {
        x = mlp(g, x, wf_node_layer_norm(g, x, i == 0 ? "n1@32" : "n2@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    }
    finish(&b, x);
    expect(refusal(&b, "n1@32"), "is used by more than one part of the model");
    expect(unfoldable(&b, "n1@32"), "\"up@64x32.weight\" is used by more than one part of the model");
    end(&b);
}

/* An output of the stream itself shows its mean; an output of a norm keeps the norm's scale. */
WF_TEST(outputs_hold_their_norms) {
    bench b;
    wf_id x = begin(&b);
    wf_graph *g = &b.graph;
    x = mlp(g, x, wf_node_layer_norm(g, x, "n@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    wf_graph_output(g, "output0", "nlc", wf_node_layer_norm(g, x, "out@32", 1e-6f));
    finish(&b, x);
    expect(unfoldable(&b, "out@32"), "\"out@32\" is an output");
    expect(refusal(&b, "out@32"), "");
    end(&b);
    x = begin(&b);
    x = mlp(g, x, wf_node_layer_norm(g, x, "n@32", 1e-6f), "up@64x32", "down@32x64", WF_NONE);
    wf_graph_output(g, "output0", "nlc", x);
    finish(&b, x);
    expect(refusal(&b, "n@32"), "is an output that shows the residual stream itself");
    end(&b);
}

int main(void) {
    RUN(a_pre_ln_block_converts);
    RUN(parallel_branches_convert);
    RUN(tokens_and_positions_are_writers);
    RUN(a_raw_reader_is_refused);
    RUN(post_ln_is_refused);
    RUN(parallel_branches_with_norms_of_their_own_convert);
    RUN(encoder_and_decoder_convert);
    RUN(a_mixture_of_experts_is_refused);
    RUN(peri_ln_is_refused);
    RUN(a_norm_that_begins_a_stream_is_refused);
    RUN(hat_is_refused);
    RUN(a_skip_to_another_stream_is_refused);
    RUN(constant_statistics_are_folded_not_replaced);
    RUN(group_norm_and_pooling_are_refused);
    RUN(a_padded_convolution_takes_no_shift);
    RUN(a_reduction_is_a_stream_of_its_own);
    RUN(shared_weights_are_refused);
    RUN(outputs_hold_their_norms);
    return wf_test_done();
}
