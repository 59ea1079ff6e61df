/* A block's norms at every place and of every kind: which nodes a slot gives, in which order, and what a place may be called. */
#include "parts/parts.h"

#include "base/alloc.h"
#include "check.h"

enum { C = 32, HIDDEN = 48 };

/* Every tensor exists: matrices by the part that they belong to, alpha and SSNorm's weight with one element, the rest vectors. */
static bool find(void *user, const char *name, wf_stored *out) {
    const bool *single = user;
    bool weight = strstr(name, ".weight") != NULL, norm = strncmp(name, "norm", 4) == 0;
    bool up = strncmp(name, "ffn_up", 6) == 0, down = strncmp(name, "ffn_down", 8) == 0, qkv = strstr(name, "qkv") != NULL;
    memset(out, 0, sizeof *out);
    out->type = WF_F32;
    out->n_dims = 2;
    out->dims[0] = strstr(name, "alpha") != NULL || (norm && weight && *single) ? 1 : up && !weight ? HIDDEN : qkv && !weight ? 3 * C : C;
    out->dims[0] = down && weight ? HIDDEN : out->dims[0];
    out->dims[1] = !weight || norm ? 1 : up ? HIDDEN : qkv ? 3 * C : C;
    out->dims[2] = out->dims[3] = 1;
    return true;
}

/* The names of the nodes behind the input, one space between. */
static void names_of(wf_norm_slot norm1, wf_norm_slot norm2, bool single, char *text, size_t n) {
    wf_arena arena;
    wf_weights weights;
    wf_graph g;
    wf_arena_init(&arena);
    wf_weights_init(&weights, &arena, WF_BACKEND_SCALAR);
    weights.find = find;
    weights.find_user = &single;
    wf_graph_init(&g, &arena, &weights);
    wf_block block = {.norm1 = norm1, .norm2 = norm2, .mixer = {.kind = WF_MIXER_IDENTITY}, .hidden = HIDDEN};
    wf_id x = wf_graph_input(&g, "input", (wf_shape){1, 3, 1, C, WF_LAYOUT_ROWS});
    wf_block_build(&g, x, &block);
    wf_error err;
    wf_error_clear(&err);
    CHECK_OK(wf_graph_check(&g, &err), err);
    text[0] = '\0';
    for (wf_id i = 1; i < g.count; i++) {
        const wf_node *node = &g.nodes[i];
        size_t at = strlen(text);
        snprintf(text + at, n - at, "%s%s%s", i > 1 ? " " : "", node->name, node->op == WF_OP_LAYER_NORM && node->p.depth > 1 ? "/√" : "");
    }
    wf_graph_free(&g);
    wf_weights_free(&weights);
    wf_arena_free(&arena);
    CHECK(wf_alloc_get_stats().live == 0, "%llu blocks leak", (unsigned long long)wf_alloc_get_stats().live);
}

static void expect_nodes(const char *placement, const char *wanted) {
    char got[512];
    uint32_t places[2];
    CHECK(wf_norm_places_of(placement, places), "%s is understood", placement);
    wf_norm_slot slot = {.kind = WF_NORM_LAYER, .eps = 1e-5f, .places = places[0]}, other = slot;
    other.places = places[1];
    names_of(slot, other, false, got, sizeof got);
    CHECK(strcmp(got, wanted) == 0, "%s gives \"%s\"", placement, got);
}

WF_TEST(places_of_norms) {
    expect_nodes("in", "norm1 mixed norm2 ffn_up ffn_act ffn_down out");                                       /* Pre-LN */
    expect_nodes("residual", "mixed norm1_residual ffn_up ffn_act ffn_down out norm2_residual");                /* Post-LN */
    expect_nodes("in+out", "norm1 norm1_out mixed norm2 ffn_up ffn_act ffn_down norm2_out out");                /* Peri-LN */
    expect_nodes("out", "norm1_out mixed ffn_up ffn_act ffn_down norm2_out out");                               /* OLMo-2 */
    expect_nodes("out+in+residual", "norm1 norm1_out mixed norm1_residual norm2 ffn_up ffn_act ffn_down norm2_out out norm2_residual");
    expect_nodes("in,residual", "norm1 mixed ffn_up ffn_act ffn_down out norm2_residual");
}

WF_TEST(a_slot_without_places_is_pre_ln) {
    char got[512];
    wf_norm_slot slot = {.kind = WF_NORM_RMS, .eps = 1e-5f};
    names_of(slot, slot, false, got, sizeof got);
    CHECK(strcmp(got, "norm1 mixed norm2 ffn_up ffn_act ffn_down out") == 0, "%s", got);
    slot.kind = WF_NORM_NONE;
    names_of(slot, slot, false, got, sizeof got);
    CHECK(strcmp(got, "mixed ffn_up ffn_act ffn_down out") == 0, "%s", got);
}

/* Every kind gives one node a place; of single rows' norms the one in front is divided by √depth, and no other. */
WF_TEST(kinds_of_norms) {
    for (int kind = WF_NORM_GROUP; kind < WF_NORM_COUNT; kind++) {
        char got[512];
        wf_norm_slot slot = {.kind = (wf_norm_kind)kind, .eps = 1e-5f, .places = WF_NORM_IN | WF_NORM_OUT, .depth = 3};
        bool rows = kind == WF_NORM_LAYER || kind == WF_NORM_RMS || kind == WF_NORM_CRMS || kind == WF_NORM_CARRY || kind == WF_NORM_SS;
        names_of(slot, slot, kind == WF_NORM_SS, got, sizeof got);
        const char *wanted = rows ? "norm1/√ norm1_out mixed norm2/√ ffn_up ffn_act ffn_down norm2_out out"
                                  : "norm1 norm1_out mixed norm2 ffn_up ffn_act ffn_down norm2_out out";
        CHECK(strcmp(got, wanted) == 0, "kind %d: \"%s\"", kind, got);
    }
}

WF_TEST(what_is_no_place) {
    static const char *const bad[] = {"", "before", "in+", "+in", "in+in", "in,", ",in", "in,out,in", "in out", "In", "in,in+in", "residuals"};
    uint32_t places[2];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!wf_norm_places_of(bad[i], places), "\"%s\" is no place", bad[i]);
    }
    CHECK(wf_norm_places_of("in+out,residual", places) && places[0] == (WF_NORM_IN | WF_NORM_OUT) && places[1] == WF_NORM_RESIDUAL,
          "%u %u", places[0], places[1]);
}

int main(void) {
    RUN(places_of_norms);
    RUN(a_slot_without_places_is_pre_ln);
    RUN(kinds_of_norms);
    RUN(what_is_no_place);
    return wf_test_done();
}
