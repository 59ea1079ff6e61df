/* Llama and its like (arXiv 2302.13971; transformers modeling_llama.py): a table of tokens, Pre-norm blocks of causal attention with
   rotary positions and grouped keys (arXiv 2305.13245) and of SwiGLU, and a head that gives a logit for each entry of the vocabulary
   behind every token. Two names with the same forward pass:

   "llama": files as llama.cpp writes them; RMS norm, rotary pairs of neighbours (q and k rows stand in that order). Keys under "llama.":
     block_count, context_length, embedding_length, feed_forward_length
     attention.head_count, attention.head_count_kv (absent: as many), attention.key_length (absent: embedding_length / head_count)
     attention.layer_norm_rms_epsilon, rope.freq_base (absent: 10000), rope.dimension_count (absent: the whole head)
   "wf.llama": the same keys under that name for models that llama.cpp does not have (SLAB's PRepBN, arXiv 2405.11582), and
     norm               a norm of parts.def; those that a conversion folded away are in wf.norm.bare
     rope.pairs         "halves" or "neighbours"
   Biases are taken where the file has them. The vocabulary is as large as token_embd.weight has rows. */
#include <string.h>

#include "models/models.h"
#include "parts/parts.h"

enum { MAX_BLOCKS = 192, MAX_WIDTH = 1 << 16, MAX_HEADS = 4096, MAX_CONTEXT = 1 << 20, USUAL_TOKENS = 128 };

typedef struct config {
    uint32_t blocks, width, vocabulary, context, turned;
    float theta;
    wf_block block;
} config;

wf_status wf_llama_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err);
void wf_llama_build(wf_graph *g, const void *cfg, const wf_input_class *in);

static uint32_t number_or(wf_meta *m, const char *key, uint32_t low, uint32_t high, uint32_t absent) {
    return wf_meta_has(m, key) ? wf_meta_u32(m, key, low, high) : absent;
}

static void read_attention(wf_meta *m, config *c) {
    wf_mixer *x = &c->block.mixer;
    x->kind = WF_MIXER_CAUSAL;
    x->heads = wf_meta_u32(m, "attention.head_count", 1, MAX_HEADS);
    x->kv_heads = number_or(m, "attention.head_count_kv", 1, MAX_HEADS, x->heads);
    if (m->status == WF_OK && x->heads % x->kv_heads != 0) {
        wf_meta_fail(m, "attention.head_count_kv", "does not divide attention.head_count");
    }
    if (m->status == WF_OK && !wf_meta_has(m, "attention.key_length") && c->width % x->heads != 0) {
        wf_meta_fail(m, "attention.head_count", "does not divide embedding_length");
    }
    x->head_dim = number_or(m, "attention.key_length", 1, MAX_HEADS, m->status == WF_OK ? c->width / x->heads : 1);
    c->turned = number_or(m, "rope.dimension_count", 2, MAX_HEADS, x->head_dim);
    c->theta = wf_meta_has(m, "rope.freq_base") ? wf_meta_f32(m, "rope.freq_base", 1.01f, 1e12f) : 10000;
    if (m->status == WF_OK && (c->turned > x->head_dim || c->turned % 2 != 0)) {
        wf_meta_fail(m, "rope.dimension_count", "is odd, or more than a head has");
    }
}

/* What llama.cpp's name has settled, and ours says. */
static void read_variant(wf_meta *m, config *c) {
    bool own = strcmp(m->arch, "llama") != 0;
    wf_norm_slot slot = {.kind = WF_NORM_RMS, .eps = wf_meta_f32(m, "attention.layer_norm_rms_epsilon", 1e-12f, 1e-1f)};
    c->block.mixer.pairs = WF_ROPE_NEIGHBOURS;
    if (own) {
        int kind = wf_norm_kind_of(wf_meta_string(m, "norm"));
        const char *pairs = wf_meta_string(m, "rope.pairs");
        if (kind < 0 || kind == WF_NORM_GROUP) {
            wf_meta_fail(m, "norm", "names no norm that this version has for tokens");
        } else {
            slot.kind = (wf_norm_kind)kind;
        }
        if (strcmp(pairs, "halves") == 0) {
            c->block.mixer.pairs = WF_ROPE_HALVES;
        } else if (strcmp(pairs, "neighbours") != 0) {
            wf_meta_fail(m, "rope.pairs", "is neither \"halves\" nor \"neighbours\"");
        }
    }
    c->block.norm1 = c->block.norm2 = slot;
    c->block.norm1_name = "attn_norm";
    c->block.norm2_name = "ffn_norm";
}

/* What such files may hold and this version does not compute: better refused than left out. */
static void check_settled(wf_meta *m) {
    char name[64];
    strcpy(name, m->arch);
    const char *scaling = wf_gguf_get_string(m->gguf, strcat(name, ".rope.scaling.type"));
    if (scaling != NULL && strcmp(scaling, "none") != 0) {
        wf_meta_refuse(m, "rope.scaling.type", "asks for scaled rotary positions");
    }
    if (wf_gguf_find_tensor(m->gguf, "rope_freqs.weight") != NULL) {
        wf_meta_refuse(m, "rope.scaling", "comes with rope_freqs.weight (Llama-3.1's scaled positions)");
    }
    if (number_or(m, "expert_count", 0, 1 << 16, 0) != 0) {
        wf_meta_refuse(m, "expert_count", "asks for a mixture of experts");
    }
    if (number_or(m, "attention.sliding_window", 0, 1u << 30, 0) != 0) {
        wf_meta_refuse(m, "attention.sliding_window", "asks for attention within a window");
    }
    if (wf_gguf_find_tensor(m->gguf, "output.weight") == NULL) {
        wf_meta_refuse(m, "output", "is not in the file: a head that shares its matrix with token_embd.weight is meant");
    }
}

wf_status wf_llama_configure(const wf_gguf *gguf, wf_arena *arena, const void **out, wf_input_spec *input, wf_error *err) {
    const char *arch = wf_gguf_get_string(gguf, "general.architecture");
    wf_meta meta = {gguf, arch != NULL && strcmp(arch, "llama") == 0 ? "llama" : "wf.llama", err, WF_OK}, *m = &meta;
    config *c = wf_arena_alloc(arena, sizeof *c);
    if (c == NULL) {
        return wf_fail(err, WF_E_MEMORY, "metadata", -1, "no memory for the model's configuration");
    }
    const wf_gguf_tensor *table = wf_gguf_find_tensor(gguf, "token_embd.weight");
    if (table == NULL || table->n_dims != 2 || table->dims[1] > 1u << 24) {
        return wf_fail(err, table == NULL ? WF_E_MISSING : WF_E_SHAPE, "token_embd.weight", -1,
                       "tensor \"token_embd.weight\" of a language model %s; convert the checkpoint again",
                       table == NULL ? "is missing" : "is no table of up to 2^24 rows");
    }
    c->vocabulary = (uint32_t)table->dims[1];
    c->blocks = wf_meta_u32(m, "block_count", 1, MAX_BLOCKS);
    c->context = wf_meta_u32(m, "context_length", 1, MAX_CONTEXT);
    c->width = wf_meta_u32(m, "embedding_length", 1, MAX_WIDTH);
    c->block.hidden = wf_meta_u32(m, "feed_forward_length", 1, MAX_WIDTH * 8);
    c->block.channel = WF_CHANNEL_GATED;
    read_attention(m, c);
    read_variant(m, c);
    check_settled(m);
    input->name = "input_ids";
    input->vocabulary = c->vocabulary;
    input->context = c->context;
    input->channels = 1;
    input->height = c->context < USUAL_TOKENS ? c->context : USUAL_TOKENS;
    input->width = 1;
    *out = c;
    return m->status;
}

void wf_llama_build(wf_graph *g, const void *cfg, const wf_input_class *in) {
    const config *c = cfg;
    if (in->w != 1 || in->h > c->context) {
        wf_graph_fail(g, WF_E_SHAPE, "input_ids", in->w != 1 ? "an input of %u × %u is no sequence of tokens: give [n, tokens]"
                      : "%u tokens are more than the %u that this model was made for (its context_length); give fewer", in->h,
                      in->w != 1 ? in->w : c->context);
        return;
    }
    wf_block block = c->block;
    wf_id ids = wf_graph_input(g, "input_ids", (wf_shape){in->n, in->h, 1, 1, WF_LAYOUT_NCHW});
    wf_id x = wf_node_embed(g, ids, "token_embd", c->vocabulary, c->width); /* [n, t, width] */
    block.mixer.angles = wf_node_rope_angles(g, ids, "rope_angles", c->turned, c->theta); /* [t, turned] */
    for (uint32_t b = 0; b < c->blocks; b++) {
        uint32_t mark = wf_graph_enter(g, "blk.%u", b);
        x = wf_block_build(g, x, &block);
        wf_graph_scope_output(g, x);
        wf_graph_leave(g, mark);
    }
    wf_head_tokens(g, x, block.norm1, c->vocabulary); /* [n, t, vocabulary] */
}
