/* How pictures become the model's input, and what its outputs are called. What no file says is assumed, said and stored. */
#include <string.h>

#include "convert/mapping.h"

static const wf_json *own(const wf_mapping *m, const char *key) { return wf_json_get(m->config.own, key); }

static bool number(const wf_json *v, double low, double high, double *out) {
    if (v == NULL || v->kind != WF_JSON_NUMBER || !(v->number >= low && v->number <= high)) {
        return false;
    }
    *out = v->number;
    return true;
}

static bool three(const wf_json *v, float out[3]) {
    for (size_t i = 0; i < 3; i++) {
        double d;
        if (v == NULL || v->count != 3 || !number(wf_json_at(v, i), -1e6, 1e6, &d)) {
            return false;
        }
        out[i] = (float)d;
    }
    return true;
}

static bool resample_of(const wf_json *v, wf_image_params *p) {
    double d;
    if (v == NULL) {
        return false;
    }
    if (v->kind == WF_JSON_STRING) {
        static const char *const names[] = {"nearest", "bilinear", "bicubic"};
        for (int i = 0; i < 3; i++) {
            if (strcmp(names[i], v->string) == 0) {
                p->resample = i;
                return true;
            }
        }
        return false;
    }
    if (!number(v, 0, 3, &d) || d == 1) { /* PIL: 0 nearest, 2 bilinear, 3 bicubic */
        return false;
    }
    p->resample = d == 3 ? WF_RESAMPLE_BICUBIC : d == 2 ? WF_RESAMPLE_BILINEAR : WF_RESAMPLE_NEAREST;
    return true;
}

/* {"shortest_edge": n}, {"height": h, "width": w}, or n. */
static bool size_of(const wf_json *v, uint32_t *h, uint32_t *w) {
    const wf_json *a = v, *b = v;
    double x, y;
    if (v != NULL && v->kind == WF_JSON_OBJECT) {
        a = wf_json_get(v, "shortest_edge");
        b = a;
        if (a == NULL) {
            a = wf_json_get(v, "height");
            b = wf_json_get(v, "width");
        }
    }
    if (v != NULL && v->kind == WF_JSON_ARRAY && v->count == 2) {
        a = wf_json_at(v, 0);
        b = wf_json_at(v, 1);
    }
    if (!number(a, 1, 16384, &x) || !number(b, 1, 16384, &y)) {
        return false;
    }
    *h = (uint32_t)x;
    *w = (uint32_t)y;
    return true;
}

static void from_preprocessor(wf_mapping *m, const wf_json *pre, bool *size, bool *crop, bool *norm, bool *resample) {
    wf_image_params *p = &m->image;
    double d;
    const wf_json *crop_size = wf_json_get(pre, "crop_size"), *center = wf_json_get(pre, "do_center_crop");
    bool no_crop = center != NULL && center->kind == WF_JSON_BOOL && !center->boolean;
    *size = (!no_crop && size_of(crop_size, &p->height, &p->width)) || size_of(wf_json_get(pre, "size"), &p->height, &p->width);
    if (number(wf_json_get(pre, "crop_pct"), 0.01, 1, &d)) {
        p->crop_pct = (float)d;
        *crop = true;
    } else if (no_crop) {
        p->crop_pct = 1;
        p->squash = wf_json_get(wf_json_get(pre, "size"), "shortest_edge") == NULL;
        *crop = true;
    }
    *norm = three(wf_json_get(pre, "image_mean"), p->mean) && three(wf_json_get(pre, "image_std"), p->std);
    *resample = resample_of(wf_json_get(pre, "resample"), p);
}

/* What timm.data.resolve_data_config reads. */
static void from_timm(wf_mapping *m, const wf_json *c, bool *size, bool *crop, bool *norm, bool *resample) {
    wf_image_params *p = &m->image;
    const wf_json *input = wf_json_get(c, "input_size"), *mode = wf_json_get(c, "crop_mode"); /* [channels, height, width] */
    double h, w, d;
    if (input != NULL && input->count == 3 && number(wf_json_at(input, 1), 1, 16384, &h) && number(wf_json_at(input, 2), 1, 16384, &w)) {
        p->height = (uint32_t)h;
        p->width = (uint32_t)w;
        *size = true;
    }
    if (number(wf_json_get(c, "crop_pct"), 0.01, 1, &d)) {
        p->crop_pct = (float)d;
        p->squash = mode != NULL && mode->kind == WF_JSON_STRING && strcmp(mode->string, "squash") == 0;
        *crop = true;
    }
    *norm = three(wf_json_get(c, "mean"), p->mean) && three(wf_json_get(c, "std"), p->std);
    *resample = resample_of(wf_json_get(c, "interpolation"), p);
}

wf_image_params wf_map_imagenet(uint32_t size, float crop_pct) {
    wf_image_params p = {.height = size, .width = size, .crop_pct = crop_pct, .resample = WF_RESAMPLE_BICUBIC,
                         .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    return p;
}

void wf_map_image_defaults(wf_mapping *m, uint32_t size, float crop_pct) {
    wf_image_params p = wf_map_imagenet(size, crop_pct);
    wf_map_image(m, &p);
}

void wf_map_image(wf_mapping *m, const wf_image_params *assumed) {
    static const char *const resamplings[] = {"nearest", "bilinear", "bicubic"};
    wf_image_params *p = &m->image;
    bool has_size = false, has_crop = false, has_norm = false, has_resample = false;
    double d;
    memset(p, 0, sizeof *p);
    if (m->config.preprocessor != NULL) {
        from_preprocessor(m, m->config.preprocessor, &has_size, &has_crop, &has_norm, &has_resample);
    }
    if (m->config.pretrained != NULL) {
        from_timm(m, m->config.pretrained, &has_size, &has_crop, &has_norm, &has_resample);
    }
    has_size = size_of(own(m, "image_size"), &p->height, &p->width) || has_size;
    if (number(own(m, "crop_pct"), 0.01, 1, &d)) {
        p->crop_pct = (float)d;
        has_crop = true;
    }
    has_norm = (three(own(m, "mean"), p->mean) && three(own(m, "std"), p->std)) || has_norm;
    has_resample = resample_of(own(m, "resample"), p) || has_resample;
    if (!has_size) {
        p->height = assumed->height;
        p->width = assumed->width;
        wf_map_assume(m, "picture size %u × %u", p->height, p->width);
    }
    if (m->channels != 3) { /* no picture becomes its input: nothing to assume about one */
        wf_map_note(m, "the input has %u channels, not a picture's three: the model runs on tensors", m->channels);
        p->crop_pct = 1;
        return;
    }
    if (!has_crop) {
        p->crop_pct = assumed->crop_pct;
        p->squash = assumed->squash;
        wf_map_assume(m, "crop_pct %g%s", (double)p->crop_pct, p->squash ? ", both sides scaled to the size" : "");
    }
    if (!has_norm) {
        memcpy(p->mean, assumed->mean, sizeof p->mean);
        memcpy(p->std, assumed->std, sizeof p->std);
        wf_map_assume(m, "mean %g, %g, %g and std %g, %g, %g%s", (double)p->mean[0], (double)p->mean[1], (double)p->mean[2],
                      (double)p->std[0], (double)p->std[1], (double)p->std[2], p->mean[0] == 0.485f ? " (ImageNet)" : "");
    }
    if (!has_resample) {
        p->resample = assumed->resample;
        wf_map_assume(m, "%s resampling", resamplings[p->resample]);
    }
    const wf_json *round_long = own(m, "round_long_side");
    p->round_long = round_long != NULL && round_long->kind == WF_JSON_BOOL ? round_long->boolean : assumed->round_long;
    if (round_long == NULL && p->round_long && !p->squash) {
        wf_map_assume(m, "the long side of a resized picture is rounded, not cut off");
    }
    if (p->std[0] <= 0 || p->std[1] <= 0 || p->std[2] <= 0) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "the std of %s has a value that is not above zero: give three numbers that are", m->config.file);
    }
}

/* Several classes at once: our "scores" says so, or HF's problem_type. */
static void read_scores(wf_mapping *m) {
    const wf_json *scores = own(m, "scores"), *problem = wf_map_key(m, "problem_type");
    double threshold = 0.5;
    if (scores != NULL && (scores->kind != WF_JSON_STRING || (strcmp(scores->string, "sigmoid") != 0 && strcmp(scores->string, "softmax") != 0))) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"scores\" of %s is neither \"softmax\" (one class) nor \"sigmoid\" (any number of "
                    "them)", m->config.file);
        return;
    }
    m->sigmoid = scores != NULL ? strcmp(scores->string, "sigmoid") == 0
                                : problem != NULL && problem->kind == WF_JSON_STRING &&
                                      strcmp(problem->string, "multi_label_classification") == 0;
    if (own(m, "threshold") != NULL && !number(own(m, "threshold"), 0, 1, &threshold)) {
        wf_map_fail(m, WF_E_FORMAT, m->config.file, "\"threshold\" of %s is no number from 0 to 1", m->config.file);
    }
    m->threshold = (float)threshold;
}

void wf_map_labels(wf_mapping *m) {
    const wf_json *list = own(m, "labels");
    const wf_json *by_id = m->config.kind == WF_CONFIG_HF ? wf_map_key(m, "id2label") : NULL;
    const wf_json *from = list != NULL ? list : by_id;
    if (m->classes == 0) {
        return;
    }
    read_scores(m);
    if (from == NULL) {
        wf_map_assume(m, "labels class_0 … class_%u", m->classes - 1);
    } else if (from->count != m->classes) {
        wf_map_fail(m, WF_E_SHAPE, m->config.file, "%s has %zu labels, but the classifier has %u outputs", m->config.file,
                    from->count, m->classes);
    }
    for (uint32_t i = 0; i < m->classes && m->status == WF_OK; i++) {
        const wf_json *v = from == NULL ? NULL
                           : list != NULL ? wf_json_at(list, i)
                                          : wf_json_get(by_id, wf_map_format(m, "%u", i));
        if (from != NULL && (v == NULL || v->kind != WF_JSON_STRING)) {
            wf_map_fail(m, WF_E_FORMAT, m->config.file, "%s has no text for label %u", m->config.file, i);
        }
        wf_map_list_add(m, &m->labels, v != NULL && v->string != NULL ? v->string : wf_map_format(m, "class_%u", i));
    }
}

wf_status wf_map_write_meaning(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    if (m->output_count != 0) {
        WF_TRY(wf_gguf_add_array(w, "wf.outputs", WF_GGUF_STRING, m->outputs, m->output_count, err));
    }
    if (m->grid[0] != 0) {
        WF_TRY(wf_gguf_add_array(w, "wf.grid", WF_GGUF_U32, m->grid, 2, err));
    }
    if (!m->sigmoid) {
        return WF_OK;
    }
    WF_TRY(wf_gguf_add_string(w, "wf.scores", "sigmoid", err));
    return wf_gguf_add_f32(w, "wf.threshold", m->threshold, err);
}
