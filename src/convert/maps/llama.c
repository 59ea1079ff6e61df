/* Llama checkpoints of transformers' layout → architecture llama, or wf.llama where llama.cpp has no such model (models/llama.c).

     model.embed_tokens, model.layers.N.{input_layernorm, self_attn.{q,k,v,o}_proj, post_attention_layernorm,
     mlp.{gate,up,down}_proj}, model.norm, lm_head

   SLAB's LLaMA (xinghaochen/SLAB llama/modeling) has a LinearNorm for every norm: norm1 is the RMS norm that training began with, norm2
   the RepBN that is left of it (eps: rms_norm_eps). Its merge_bn puts the norms of the layers into the products behind them, which
   then have biases and no norm in front; the last norm stays. Either may come with `rotary_emb.inv_freq`, which tells the size of a
   head and the base of the rotary positions.

   What tensors cannot tell: the number of heads (without inv_freq), the length of sequences, the base, the epsilon. For "llama" the
   rows of q and k go into llama.cpp's order (wf_map_row.paired). */
#include <string.h>

#include "base/print.h"
#include "convert/mapping.h"
#include "kernels/angles.h"

enum { MAX_BLOCKS = 192 };

typedef struct details {
    uint32_t blocks, width, hidden, heads, kv_heads, head_dim, context;
    bool repbn, merged;
    float eps, theta;
} details;

static const char *layer(wf_mapping *m, uint32_t b, const char *part) { return wf_map_format(m, "model.layers.%u.%s", b, part); }

static const wf_source_tensor *layer_weight(wf_mapping *m, uint32_t b, const char *part) {
    return wf_map_find(m, wf_map_format(m, "model.layers.%u.%s.weight", b, part));
}

static bool is_known(wf_mapping *m) {
    return wf_map_find(m, "model.embed_tokens.weight") != NULL && layer_weight(m, 0, "self_attn.q_proj") != NULL &&
           layer_weight(m, 0, "mlp.gate_proj") != NULL && layer_weight(m, 0, "mlp.up_proj") != NULL;
}

/* ---- structure ---- */

static uint32_t rows_of(wf_mapping *m, const char *part) {
    const wf_source_tensor *t = layer_weight(m, 0, part);
    if (t == NULL || t->n_dims != 2 || t->dims[0] == 0 || t->dims[0] > 1 << 20) {
        wf_map_fail(m, t == NULL ? WF_E_MISSING : WF_E_SHAPE, layer(m, 0, part), "tensor \"%s.weight\" of this Llama %s", layer(m, 0, part),
                    t == NULL ? "is missing: save the whole state dict" : "is no matrix of up to 2^20 rows");
        return 1;
    }
    return (uint32_t)t->dims[0];
}

static void expect_arg(wf_mapping *m, const char *key, uint32_t found) {
    uint32_t told = wf_map_arg(m, key, found);
    if (told != found) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s of %s is %u, but the checkpoint has %u: another model's config?", key, m->config.file,
                    told, found);
    }
}

/* A number of the config; `assumed` where it is absent. */
static double number_arg(wf_mapping *m, const wf_json *v, const char *what, double low, double high, double assumed) {
    if (v == NULL || v->kind == WF_JSON_NULL) {
        wf_map_assume(m, "%s %g", what, assumed);
        return assumed;
    }
    if (v->kind != WF_JSON_NUMBER || !(v->number >= low && v->number <= high)) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "%s of %s is no number from %g to %g: correct it", what, m->config.file, low, high);
        return assumed;
    }
    return v->number;
}

static const wf_source_tensor *frequencies(wf_mapping *m) {
    return wf_map_find(m, layer(m, 0, "self_attn.rotary_emb.inv_freq"));
}

static void read_heads(wf_mapping *m, details *d) {
    const wf_source_tensor *f = frequencies(m);
    uint32_t q = rows_of(m, "self_attn.q_proj"), k = rows_of(m, "self_attn.k_proj");
    uint32_t told = f != NULL && f->n_dims == 1 && f->elements <= 2048 ? 2 * (uint32_t)f->elements : 0;
    d->heads = wf_map_arg(m, "num_attention_heads", told != 0 ? q / told : 0);
    if (d->heads == 0) {
        wf_map_fail(m, WF_E_MISSING, "num_attention_heads", "tensors do not tell the number of attention heads; give num_attention_heads in "
                    "--config");
        return;
    }
    d->head_dim = wf_map_arg(m, "head_dim", q / d->heads);
    if (d->head_dim == 0 || d->head_dim % 2 != 0 || q != d->heads * d->head_dim || k % d->head_dim != 0 ||
        d->heads % (k / d->head_dim) != 0 || (told != 0 && told != d->head_dim)) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%u heads of size %u do not fit the %u rows of q_proj and the %u of k_proj%s: another model's "
                    "config?", d->heads, d->head_dim, q, k, told != 0 && told != d->head_dim ? ", or inv_freq" : "");
        return;
    }
    d->kv_heads = k / d->head_dim;
    expect_arg(m, "num_key_value_heads", d->kv_heads);
}

/* The buffer that SLAB's and older files carry must mean the same positions. */
static void check_frequencies(wf_mapping *m, const details *d) {
    const wf_source_tensor *f = frequencies(m);
    double ratio = wf_angles_ratio(d->theta, d->head_dim), expected = 1, found = 0;
    for (uint64_t j = 0; f != NULL && m->status == WF_OK && j < f->elements; j++, expected *= ratio) {
        if (wf_source_read_f64(m->source, f, j, 1, &found, m->err) != WF_OK) {
            m->status = m->err->code;
        } else if (!(found > expected * 0.99 && found < expected * 1.01)) {
            wf_map_fail(m, WF_E_SHAPE, f->name, "element %llu of \"%s\" is %g, but a base of %g gives %g: give the right rope_theta in --config (scaled "
                        "positions are not supported)", (unsigned long long)j, f->name, found, (double)d->theta, expected);
        }
    }
}

static bool is_default(const wf_json *type) {
    return type != NULL && type->kind == WF_JSON_STRING && strcmp(type->string, "default") == 0;
}

static void read_rope(wf_mapping *m, details *d) {
    const wf_json *parameters = wf_map_key(m, "rope_parameters"), *scaling = wf_map_key(m, "rope_scaling");
    const wf_json *theta = wf_map_key(m, "rope_theta"), *type = wf_json_get(parameters, "rope_type");
    const wf_json *older = wf_json_get(scaling, "rope_type"), *inner = wf_json_get(parameters, "rope_theta");
    inner = inner != NULL ? inner : wf_json_get(scaling, "rope_theta");
    theta = inner != NULL ? inner : theta; /* as transformers 5 reads them */
    older = older != NULL ? older : wf_json_get(scaling, "type");
    bool scaled = (scaling != NULL && scaling->kind != WF_JSON_NULL && !is_default(older)) || (type != NULL && !is_default(type));
    if (scaled) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "%s asks for scaled rotary positions (%s), which this version does not have", m->config.file,
                    scaling != NULL ? "rope_scaling" : "rope_parameters");
    }
    d->theta = (float)number_arg(m, theta, "rope_theta", 1.01, 1e12, 10000);
    check_frequencies(m, d);
}

static void configure(wf_mapping *m, details *d) {
    const wf_source_tensor *table = wf_map_find(m, "model.embed_tokens.weight");
    const char *act = wf_map_arg_text(m, "hidden_act");
    const wf_json *type = m->config.kind == WF_CONFIG_HF ? wf_map_key(m, "model_type") : NULL;
    if (table->n_dims != 2 || table->dims[0] == 0 || table->dims[0] > 1 << 24) {
        wf_map_fail(m, WF_E_SHAPE, table->name, "tensor \"%s\" is no table of up to 2^24 tokens", table->name);
        return;
    }
    if (type != NULL && (type->kind != WF_JSON_STRING || strcmp(type->string, "llama") != 0)) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "the model_type of %s is \"%s\"; of this layout only \"llama\" is converted", m->config.file,
                    type->kind == WF_JSON_STRING ? type->string : "?");
    }
    if (act != NULL && strcmp(act, "silu") != 0) {
        wf_map_fail(m, WF_E_UNSUPPORTED, m->config.file, "hidden_act \"%s\" is not supported by Llama here (only silu is)", act);
    }
    m->vocabulary = (uint32_t)table->dims[0];
    d->width = (uint32_t)table->dims[1];
    d->hidden = rows_of(m, "mlp.gate_proj");
    while (d->blocks < MAX_BLOCKS && layer_weight(m, d->blocks, "self_attn.q_proj") != NULL) {
        d->blocks++;
    }
    d->merged = layer_weight(m, 0, "input_layernorm") == NULL && !wf_map_is_repbn(m, layer(m, 0, "input_layernorm"));
    d->repbn = wf_map_is_repbn(m, "model.norm");
    if (d->merged && !d->repbn) {
        wf_map_fail(m, WF_E_MISSING, layer(m, 0, "input_layernorm"), "the checkpoint has no tensor \"%s.weight\", and no merged PRepBN explains that: "
                    "Llamas of another make are not supported", layer(m, 0, "input_layernorm"));
    }
    expect_arg(m, "hidden_size", d->width);
    expect_arg(m, "num_hidden_layers", d->blocks);
    expect_arg(m, "intermediate_size", d->hidden);
    expect_arg(m, "vocab_size", m->vocabulary);
    read_heads(m, d);
    d->eps = (float)number_arg(m, wf_map_key(m, "rms_norm_eps"), "rms_norm_eps", 1e-12, 0.1, 1e-6);
    d->context = (uint32_t)number_arg(m, wf_map_key(m, "max_position_embeddings"), "max_position_embeddings", 1, 1 << 20, 2048);
    if (m->status == WF_OK) {
        read_rope(m, d);
    }
    if (m->status == WF_OK && wf_map_find(m, "lm_head.weight") == NULL) {
        wf_map_fail(m, WF_E_UNSUPPORTED, "lm_head.weight", "the checkpoint has no tensor \"lm_head.weight\": heads that share their matrix with "
                    "embed_tokens (tie_word_embeddings) are not supported yet");
    }
    wf_map_arg_bool(m, "tie_word_embeddings", false);
    m->context = d->context;
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

static void map_layer(wf_mapping *m, const details *d, uint32_t b) {
    static const struct {
        const char *source, *node, *tap; /* tap: what the product's output is called too */
        bool norm, turned;
    } rows[] = {{"input_layernorm", "attn_norm", NULL, true, false},  {"self_attn.q_proj", "attn_q", NULL, false, true},
                {"self_attn.k_proj", "attn_k", NULL, false, true},    {"self_attn.v_proj", "attn_v", NULL, false, false},
                {"self_attn.o_proj", "attn_output", "self_attn", false, false}, {"post_attention_layernorm", "ffn_norm", NULL, true, false},
                {"mlp.gate_proj", "ffn_gate", NULL, false, false},    {"mlp.up_proj", "ffn_up", NULL, false, false},
                {"mlp.down_proj", "ffn_down", "mlp", false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *source = layer(m, b, rows[i].source), *node = wf_map_format(m, "blk.%u.%s", b, rows[i].node);
        uint32_t paired = rows[i].turned && !d->repbn ? d->head_dim : 0;
        if (rows[i].norm && d->merged) {
            wf_map_list_add(m, &m->change.bare_norms, node);
        } else if (rows[i].norm) {
            map_norm(m, d, source, node);
        } else {
            wf_map_paired(m, wf_map_format(m, "%s.weight", source), wf_map_format(m, "%s.weight", node), WF_MAP_LINEAR, paired, false);
            wf_map_paired(m, wf_map_format(m, "%s.bias", source), wf_map_format(m, "%s.bias", node), WF_MAP_VECTOR, paired, true);
            if (paired == 0) {
                wf_map_tap(m, source, node, "nlc");
            }
        }
        if (rows[i].tap != NULL) {
            wf_map_tap(m, layer(m, b, rows[i].tap), node, "nlc");
        }
    }
    wf_map_tap(m, wf_map_format(m, "model.layers.%u", b), wf_map_format(m, "blk.%u", b), "nlc");
}

/* Anything in a layer that no part took would change the result: refuse it by name. */
static void check_left_over(wf_mapping *m) {
    for (uint64_t i = 0; i < m->source->tensor_count && m->status == WF_OK; i++) {
        const char *name = m->source->tensors[i].name;
        if (!m->used[i] && wf_map_left_over(m, name) == NULL && strncmp(name, "model.", 6) == 0) {
            wf_map_fail(m, WF_E_UNSUPPORTED, name, "tensor \"%s\" belongs to a part that this version's Llama does not have", name);
        }
    }
}

static wf_status write_metadata(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    const details *d = m->details;
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"vocab_size", m->vocabulary},         {"context_length", d->context},    {"embedding_length", d->width},
                   {"block_count", d->blocks},            {"feed_forward_length", d->hidden}, {"attention.head_count", d->heads},
                   {"attention.head_count_kv", d->kv_heads}, {"attention.key_length", d->head_dim}, {"attention.value_length", d->head_dim},
                   {"rope.dimension_count", d->head_dim}};
    char key[64];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        wf_print(key, sizeof key, "%s.%s", m->architecture, numbers[i].key);
        WF_TRY(wf_gguf_add_u32(w, key, numbers[i].value, err));
    }
    wf_print(key, sizeof key, "%s.rope.freq_base", m->architecture);
    WF_TRY(wf_gguf_add_f32(w, key, d->theta, err));
    wf_print(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", m->architecture);
    WF_TRY(wf_gguf_add_f32(w, key, d->eps, err));
    if (!d->repbn) {
        return WF_OK;
    }
    WF_TRY(wf_gguf_add_string(w, "wf.llama.norm", "repbn", err));
    return wf_gguf_add_string(w, "wf.llama.rope.pairs", "halves", err);
}

wf_status wf_map_llama(wf_mapping *m, bool *known) {
    details *d = wf_arena_alloc(m->arena, sizeof *d);
    *known = false;
    if (d == NULL) {
        return wf_fail(m->err, WF_E_MEMORY, "convert", -1, "no memory for the map of the checkpoint");
    }
    if (!is_known(m)) {
        return m->status;
    }
    *known = true;
    m->details = d;
    m->metadata = write_metadata;
    configure(m, d);
    m->architecture = d->repbn ? "wf.llama" : "llama";
    m->unpadded = !d->repbn;
    m->family = d->repbn ? "xinghaochen/SLAB" : "transformers";
    m->channels = 1;
    if (m->status != WF_OK) {
        return m->status;
    }
    wf_map_tensor(m, "model.embed_tokens.weight", "token_embd.weight", WF_MAP_LOOKUP, false);
    wf_map_tap(m, "model.embed_tokens", "token_embd", "nlc");
    for (uint32_t b = 0; b < d->blocks; b++) {
        map_layer(m, d, b);
    }
    map_norm(m, d, "model.norm", "output_norm");
    wf_map_affine(m, "lm_head", "output", WF_MAP_LINEAR, true);
    check_left_over(m);
    return m->status;
}
