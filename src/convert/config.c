/* The three forms of --config: a bare object of constructor arguments, a golden's JSON (its "constructor" and "class" are read),
   and a Hugging Face config.json (it has "model_type"). In the first two an object "wf" may add what a constructor cannot say:
   {"name", "license", "image_size", "crop_pct", "resample", "round_long_side", "mean", "std", "labels"}. */
#include <string.h>

#include "convert/mapping.h"

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
    c->class_name = class_name != NULL ? class_name->string : NULL;
    if (o->preprocessor != NULL) {
        WF_TRY(wf_json_parse(m->arena, o->preprocessor, o->preprocessor_bytes, "preprocessor_config.json", &pre, m->err));
        c->preprocessor = pre;
    }
    return WF_OK;
}
