/* Rewrites of norms against the official converter's weights (ZixuanJiang/pre-rmsnorm-transformer; tests/golden/make_prerms_subset.py):
   the first blocks of its ViT and GPT, of a timm ViT and a nanoGPT with scales and shifts, and of its example. A graph of the block is
   rewritten as convert does it, then every stored tensor is read and compared. Theirs are floats made of doubles as ours, so what may
   differ is a rounding, 6e-8 of an element. Then weights that two parts share, means that are carried, and folds into the product in front. */
#include "convert/rewrite.h"

#include "base/alloc.h"
#include "check.h"

static FILE *goldens;

static wf_status read_file(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    if (fseek(user, (long)offset, SEEK_SET) != 0 || fread(dst, 1, n, user) != n) {
        return wf_fail(err, WF_E_IO, "prerms.safetensors", -1, "cannot be read");
    }
    return WF_OK;
}

typedef struct bench {
    wf_arena arena;
    wf_source source;
    wf_mapping m;
    wf_weights weights;
    wf_graph graph;
    wf_convert_options options;
    bool used[256];
    wf_error err;
} bench;

/* The graph finds what the map stores. */
static bool find(void *user, const char *name, wf_stored *out) {
    const wf_mapping *m = &((bench *)user)->m;
    for (uint32_t i = 0; i < m->row_count; i++) {
        if (strcmp(m->rows[i].name, name) == 0) {
            wf_map_stored s = wf_map_stored_of(m, &m->rows[i], WF_F32);
            memset(out, 0, sizeof *out);
            out->type = WF_F32;
            out->n_dims = 2;
            out->dims[0] = s.k;
            out->dims[1] = s.rows;
            out->dims[2] = out->dims[3] = 1;
            return true;
        }
    }
    return false;
}

static void begin(bench *b) {
    memset(b, 0, sizeof *b);
    wf_error_clear(&b->err);
    goldens = fopen("tests/golden/data/prerms.safetensors", "rb");
    CHECK(goldens != NULL, "tests/golden/data/prerms.safetensors is missing (programs run from the repository's root)");
    fseek(goldens, 0, SEEK_END);
    wf_file file = {goldens, (uint64_t)ftell(goldens), read_file};
    CHECK_OK(wf_source_open(file, &b->source, &b->err), b->err);
    wf_arena_init(&b->arena);
    wf_weights_init(&b->weights, &b->arena, WF_BACKEND_SCALAR);
    b->weights.find = find;
    b->weights.find_user = b;
    wf_graph_init(&b->graph, &b->arena, &b->weights);
    b->m.arena = &b->arena;
    b->m.source = &b->source;
    b->m.err = &b->err;
    b->m.used = b->used;
}

static void end(bench *b) {
    wf_graph_free(&b->graph);
    wf_weights_free(&b->weights);
    wf_source_close(&b->source);
    wf_arena_free(&b->arena);
    fclose(goldens);
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
}

static const wf_source_tensor *tensor(const bench *b, const char *golden, const char *form, const char *part) {
    char name[96];
    snprintf(name, sizeof name, "%s/%s/%s", golden, form, part);
    return wf_source_find(&b->source, name);
}

/* The golden's tensor of this part → a stored one called `name`, if there is one. */
static bool take(bench *b, const char *golden, const char *part, const char *name) {
    const wf_source_tensor *t = tensor(b, golden, "ln", part);
    if (t == NULL) {
        return false;
    }
    bool table = strncmp(part, "table", 5) == 0 || strncmp(part, "position", 8) == 0 || strncmp(part, "prefix", 6) == 0;
    wf_map_tensor(&b->m, t->name, name,
                  table ? WF_MAP_TABLE_ROWS : t->n_dims == 1 ? WF_MAP_VECTOR : t->n_dims == 4 ? WF_MAP_CONV : WF_MAP_LINEAR, false);
    return true;
}

static void take_pair(bench *b, const char *golden, const char *part) {
    static const char *const suffixes[] = {"weight", "bias"};
    for (int i = 0; i < 2; i++) {
        const char *name = wf_arena_format(&b->arena, "%s.%s", part, suffixes[i]);
        take(b, golden, name, name);
    }
}

static bool stored(bench *b, const char *name) { return wf_graph_stored_rows(&b->graph, name) != 0; }

static wf_id product(bench *b, wf_id x, const char *name) {
    const char *weight = wf_arena_format(&b->arena, "%s.weight", name), *bias = wf_arena_format(&b->arena, "%s.bias", name);
    return wf_node_linear(&b->graph, x, name, (uint32_t)wf_graph_stored_rows(&b->graph, weight), stored(b, bias));
}

static wf_id norm(bench *b, wf_id x, const char *name) { return wf_node_layer_norm(&b->graph, x, name, 1e-5f); }

/* Embeddings, a block and a head, of whatever the golden has. What the official models call Pre-LN has no scales and shifts. */
static void build(bench *b, const char *golden) {
    static const char *const parts[] = {"stem", "table", "position", "prefix", "norm1", "qkv", "out", "norm2", "up", "down", "norm", "head"};
    static const char *const bare[] = {"norm1", "norm"};
    wf_graph *g = &b->graph;
    bool affine = tensor(b, golden, "ln", "norm1.weight") != NULL, tied = strcmp(golden, "nanogpt_tied") == 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!(tied && strcmp(parts[i], "head") == 0)) {
            take_pair(b, golden, parts[i]);
        }
    }
    if (!affine) {
        g->bare_norms = bare;
        g->bare_norm_count = 2;
    }
    uint32_t c = (uint32_t)tensor(b, golden, "ln", "out.weight")->dims[0];
    if (!stored(b, "stem.weight")) { /* a stream begins with a product; text models begin with their table */
        take(b, golden, "out.weight", "stem.weight");
    }
    const wf_source_tensor *stem = tensor(b, golden, "ln", "stem.weight"), *table = tensor(b, golden, "ln", "table.weight");
    const wf_source_tensor *position = tensor(b, golden, "ln", "position.weight");
    bool conv = stem != NULL && stem->n_dims == 4;
    uint32_t k = stem == NULL ? c : (uint32_t)(stem->elements / stem->dims[0]);
    uint32_t rows = table != NULL ? (uint32_t)table->dims[0] : conv ? 16 : (uint32_t)position->dims[0];
    wf_conv patch = {c, 8, 8, 0, true};
    wf_id x = wf_graph_input(g, "input", conv ? (wf_shape){1, 32, 32, 3, WF_LAYOUT_NCHW} : (wf_shape){1, rows, 1, k, WF_LAYOUT_ROWS});
    x = conv ? wf_node_conv2d(g, x, "stem", &patch) : product(b, x, "stem");
    x = table != NULL ? wf_node_add_table(g, x, "table", wf_graph_table(g, "table.weight", rows, c)) : x;
    wf_position p = {conv ? 1 : 0, conv ? 4 : rows, conv ? 4 : 1, conv ? 4 : rows, conv ? 4 : 1, WF_POSITION_BICUBIC};
    x = position != NULL && !conv ? wf_node_position(g, x, "position", &p) : x;
    x = wf_node_prefix(g, x, "prefix", (uint32_t)wf_graph_stored_rows(g, "prefix.weight"));
    x = position != NULL && conv ? wf_node_position(g, x, "position", &p) : x;
    wf_attention a = {.heads = 1, .head_dim = c, .scale = 1, .table = WF_NONE, .padding = WF_NONE, .others = WF_NONE};
    wf_id heads = wf_node_attention(g, product(b, norm(b, x, "norm1"), "qkv"), "heads", &a);
    x = wf_node_residual(g, x, product(b, heads, "out"), "mixed", WF_NONE);
    if (stored(b, "up.weight")) {
        wf_id up = wf_node_gelu(g, product(b, norm(b, x, "norm2"), "up"), "act");
        x = wf_node_residual(g, x, product(b, up, "down"), "sum", WF_NONE);
    }
    x = norm(b, x, "norm");
    if (tied) { /* a matrix of its own first, then the table's */
        take(b, golden, "table.weight", "head.weight");
    }
    x = product(b, x, "head");
    if (tied && x != WF_NONE) {
        b->m.row_count--;
        g->nodes[x].w[0] = g->nodes[wf_graph_find(g, "table")].w[0];
        b->weights.entries[g->nodes[x].w[0]].uses = 2;
    }
    wf_graph_output(g, "output", "nlc", x);
    CHECK_OK(wf_graph_check(g, &b->err), b->err);
}

static const wf_map_row *row_named(const bench *b, const char *name) {
    for (uint32_t i = 0; i < b->m.row_count; i++) {
        if (strcmp(b->m.rows[i].name, name) == 0) {
            return &b->m.rows[i];
        }
    }
    return NULL;
}

/* Ours has a channel more than theirs where `form` is "crms": zeros. Convolutions are stored channels last. */
static void compare(bench *b, const wf_source_tensor *theirs, const char *name) {
    const wf_map_row *row = row_named(b, name);
    CHECK(row != NULL, "%s is not stored", name);
    if (row == NULL) {
        return;
    }
    static double line[1024], want[1024];
    wf_map_reader reader;
    CHECK_OK(wf_map_reader_open(&reader, &b->m, row, &b->err), b->err);
    uint64_t cells = theirs->n_dims == 4 ? theirs->dims[2] * theirs->dims[3] : 1, rows = theirs->n_dims == 1 ? 1 : theirs->dims[0];
    uint64_t k = theirs->elements / rows, channels = k / cells;
    double difference = 0, size = 0;
    for (uint64_t i = 0; i < reader.stored.rows; i++) {
        CHECK_OK(wf_map_read_rewritten(&reader, i, line, &b->err), b->err);
        if (i < rows) {
            CHECK_OK(wf_source_read_f64(&b->source, theirs, i * k, k, want, &b->err), b->err);
        }
        for (uint64_t c = 0; c < reader.stored.k; c++) {
            double w = i < rows && c < k ? want[c % channels * cells + c / channels] : 0;
            difference += (line[c] - w) * (line[c] - w);
            size += w * w;
        }
    }
    CHECK(sqrt(difference / size) < 1e-7, "%s: relative L2 %.2e", theirs->name, sqrt(difference / size));
    wf_map_reader_close(&reader);
}

/* Every tensor of the golden's form; how many there were. */
static int compare_all(bench *b, const char *golden, const char *form) {
    char prefix[64];
    int count = 0;
    snprintf(prefix, sizeof prefix, "%s/%s/", golden, form);
    for (uint64_t i = 0; i < b->source.tensor_count; i++) {
        const wf_source_tensor *t = &b->source.tensors[i];
        if (strncmp(t->name, prefix, strlen(prefix)) == 0) {
            compare(b, t, t->name + strlen(prefix));
            count++;
        }
    }
    return count;
}

static void check_golden(const char *golden, int rms, int crms) {
    for (int form = 0; form < 2; form++) {
        bench b;
        begin(&b);
        build(&b, golden);
        b.options.fold = true;
        b.options.untie = strcmp(golden, "nanogpt_tied") == 0;
        b.options.norm = form == 0 ? WF_CONVERT_NORM_RMS : WF_CONVERT_NORM_CRMS;
        CHECK_OK(wf_rewrite_graph(&b.m, &b.options, &b.graph, &b.err), b.err);
        int count = compare_all(&b, golden, form == 0 ? "rms" : "crms");
        CHECK(count == (form == 0 ? rms : crms), "%s: %d tensors compared", golden, count);
        end(&b);
    }
}

WF_TEST(the_official_vit) { check_golden("official_vit", 6, 8); }
WF_TEST(the_official_gpt) { check_golden("official_gpt", 4, 6); }
WF_TEST(the_official_example) { check_golden("official_example", 2, 6); }
WF_TEST(a_timm_vit_with_scales_and_shifts) { check_golden("vit_affine", 14, 14); }

/* nanoGPT's table and head are one tensor: doubled when told, for one is centred and the other takes the last norm's scale. */
WF_TEST(a_nanogpt_with_tied_embeddings) { check_golden("nanogpt_tied", 11, 11); }

WF_TEST(shared_weights_are_refused_unless_told) {
    bench b;
    begin(&b);
    build(&b, "nanogpt_tied");
    b.options.norm = WF_CONVERT_NORM_RMS;
    CHECK(wf_rewrite_graph(&b.m, &b.options, &b.graph, &b.err) == WF_E_UNSUPPORTED &&
              strstr(b.err.text, "\"table.weight\" is used by more than one part of the model") != NULL,
          "%s", b.err.text);
    end(&b);
    begin(&b);
    build(&b, "nanogpt_tied");
    b.options.untie = true; /* nothing changes one of the two: they stay one */
    CHECK_OK(wf_rewrite_graph(&b.m, &b.options, &b.graph, &b.err), b.err);
    CHECK(row_named(&b, "head.weight") == NULL, "doubled without need");
    end(&b);
    begin(&b);
    build(&b, "nanogpt_tied");
    b.options.fold = true;
    CHECK_OK(wf_rewrite_graph(&b.m, &b.options, &b.graph, &b.err), b.err);
    CHECK(row_named(&b, "norm.weight") != NULL && row_named(&b, "norm1.weight") == NULL && b.m.notes.count == 1 &&
              strstr(b.m.notes.items[0], "\"norm\" keeps its scale and shift: \"table.weight\" is used by") != NULL,
          "the last norm keeps its scale, and a note says why");
    end(&b);
}

int main(void) {
    RUN(the_official_vit);
    RUN(the_official_gpt);
    RUN(the_official_example);
    RUN(a_timm_vit_with_scales_and_shifts);
    RUN(a_nanogpt_with_tied_embeddings);
    RUN(shared_weights_are_refused_unless_told);
    return wf_test_done();
}
