/* The four forms of --config: a bare object of constructor arguments, a golden's JSON (its "constructor" and "class" are read), a Hugging
   Face config.json (it has "model_type"), and timm's config.json on the hub ("pretrained_cfg", and "model_args" for constructor arguments;
   image_config.c reads the former). In all but HF's an object "wf" may add what a constructor cannot say:
   {"name", "license", "image_size", "crop_pct", "resample", "round_long_side", "mean", "std", "labels", "scores", "threshold"}. */
#include "convert/mapping.h"

#include <string.h>

wf_status wf_map_read_config(wf_mapping *m, const wf_convert_options *o) {
    wf_map_config *c = &m->config;
    wf_json *root = NULL, *pre = NULL;
    memset(c, 0, sizeof *c);
    c->file = o->config_name != NULL ? o->config_name : "config";
    if (o->config == NULL) {
        return WF_OK;
    }
    WF_TRY(wf_json_parse(m->arena, o->config, o->config_bytes, c->file, &root, m->err));
    if (root->kind != WF_JSON_OBJECT) {
        return wf_fail(m->err, WF_E_FORMAT, c->file, -1, "%s is no JSON object; give the constructor's arguments as {…}, or an "
                       "HF config.json", c->file);
    }
    const wf_json *inner = wf_json_get(root, "constructor"), *class_name = wf_json_get(root, "class");
    c->own = wf_json_get(root, "wf");
    c->kind = wf_json_get(root, "model_type") != NULL ? WF_CONFIG_HF : WF_CONFIG_CONSTRUCTOR;
    c->args = c->kind == WF_CONFIG_CONSTRUCTOR && inner != NULL && inner->kind == WF_JSON_OBJECT ? inner : root;
    const wf_json *timm = wf_json_get(root, "pretrained_cfg"), *arguments = wf_json_get(root, "model_args");
    if (timm != NULL && timm->kind == WF_JSON_OBJECT && c->kind == WF_CONFIG_CONSTRUCTOR) {
        c->pretrained = timm;
        c->outer = arguments != NULL && arguments->kind == WF_JSON_OBJECT ? root : NULL;
        c->args = c->outer != NULL ? arguments : c->args;
    }
    c->class_name = class_name != NULL ? class_name->string : NULL;
    if (o->preprocessor != NULL) {
        WF_TRY(wf_json_parse(m->arena, o->preprocessor, o->preprocessor_bytes, "preprocessor_config.json", &pre, m->err));
        c->preprocessor = pre;
    }
    return WF_OK;
}

bool wf_map_arg_size(wf_mapping *m, const char *key, uint32_t out[2]) {
    const wf_json *v = wf_map_key(m, key);
    if (v == NULL || v->kind == WF_JSON_NULL) {
        return false;
    }
    bool list = v->kind == WF_JSON_ARRAY && v->count == 2;
    for (size_t i = 0; i < 2; i++) {
        unsigned long long u;
        const wf_json *item = list ? wf_json_at(v, i) : v;
        if (item == NULL || !wf_json_to_u64(item, &u) || u == 0 || u > 1 << 15) {
            wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"%s\" in %s is no size of a picture: one whole number from 1 to 32768, or "
                        "[height, width], is wanted", key, m->config.file);
            return false;
        }
        out[i] = (uint32_t)u;
    }
    return true;
}

/* Not for the reader of a finished model: training, what the tensors tell, and what a library notes about itself. */
static const char *const silent[] = {
    "wf", "class", "constructor", "model_type",
    /* training */
    "drop_rate", "drop_path_rate", "layer_scale_init_value", "initializer_range", "init_cfg", "pretrained", "proj_drop_rate",
    "pos_drop_rate", "problem_type", "layer_scale_init_values", "res_scale_init_values",
    "attn_drop_rate", "patch_drop_rate", "dropout_rate", "attn_dropout_rate", "feat_dim", "attention_probs_dropout_prob", "hidden_dropout_prob",
    "attention_dropout", "use_cache", "pretraining_tp",
    /* the tensors tell */
    "in_patch_size", "down_patch_size", "patch_sizes", "patch_size", "stride", "in_chans", "num_channels", "mlp_ratio",
    "num_encoder_blocks", "add_pos_embs", "downsample_norm", "use_mlp_head", "mlp_bias", "attention_bias",
    "qkv_bias", "class_token", "pos_embed", "init_values", "qk_norm", "reg_tokens", "distilled",
    /* notes */
    "architectures", "dtype", "torch_dtype", "transformers_version", "label2id", "_name_or_path", "return_dict", "output_attentions",
    "output_hidden_states", "use_return_dict", "encoder_stride", "pooler_act", "pooler_output_size", "id2label", "num_labels", "bos_token_id",
    "architecture", "pretrained_cfg", "model_args", "num_features", "eos_token_id", "pad_token_id", "chunk_size_feed_forward", "is_encoder_decoder"};
static const char *const own_keys[] = {"name", "license", "image_size", "crop_pct", "resample", "mean", "std", "labels", "round_long_side",
                                       "norm_kind", "norm_placement", "norm_depth_scaling", "norm_epsilon",
                                       "scores", "threshold"};

static bool listed(const char *key, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool passed_over(const wf_json *v) { return v->kind == WF_JSON_STRING && wf_map_is_partial(v->string); }

void wf_map_name_ignored(wf_mapping *m) {
    const wf_map_config *c = &m->config;
    const wf_json *v = c->args != NULL ? c->args->first : NULL;
    for (; v != NULL; v = v->next) {
        if (!v->seen && !passed_over(v) && !listed(v->key, silent, sizeof silent / sizeof silent[0])) {
            wf_map_list_add(m, &m->ignored, wf_map_format(m, "\"%.100s\" of %s: this model has no such setting, check its spelling",
                                                          v->key, c->file));
        }
    }
    for (v = c->own != NULL ? c->own->first : NULL; v != NULL; v = v->next) {
        if (v->key != NULL && !listed(v->key, own_keys, sizeof own_keys / sizeof own_keys[0])) {
            wf_map_list_add(m, &m->ignored, wf_map_format(m, "\"%.100s\" in \"wf\" of %s: known are name, license, image_size, "
                                                          "crop_pct, resample, round_long_side, mean, std, labels, norm_kind, norm_placement, "
                                                          "norm_depth_scaling, norm_epsilon, scores and threshold", v->key, c->file));
        }
    }
}
