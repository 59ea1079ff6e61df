/* One picture at a time: the plan, the buffers and the resizer's sizes stay the same from one to the next. */
#include "cli/picture.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/files.h"

enum { MAX_PICTURE_BYTES = 512 << 20 };

wf_status wf_viewer_open(const wf_cli *cli, const char *model, wf_viewer *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    out->cli = cli;
    WF_TRY(wf_load_model(cli, model, true, &out->loaded, err));
    const wf_image_params *p = out->image = wf_model_image(out->loaded.model);
    if (p == NULL) {
        return wf_fail(
            err, WF_E_MISSING, "wf.image", -1,
            "%s does not say how a picture becomes its input: give tensors to `wasmformer run` instead",
            out->loaded.name);
    }
    WF_TRY(wf_session_create(out->loaded.model, NULL, 0, &out->loaded.session, err));
    WF_TRY(wf_session_prepare(out->loaded.session, 1, p->height, p->width, err));
    return wf_alloc_array((void **)&out->pixels, (uint64_t)3 * p->width * p->height, sizeof(float),
                          "a picture", err);
}

void wf_viewer_close(wf_viewer *v) {
    wf_free(v->pixels);
    wf_loaded_free(&v->loaded);
}

static wf_status check_output(wf_classifier *c, wf_error *err) {
    const wf_loaded *l = &c->view.loaded;
    wf_output_info out;
    WF_TRY(wf_session_output(l->session, 0, &out, err));
    const char *kind = wf_model_output_kind(l->model, 0);
    if (kind != NULL && strcmp(kind, "position") == 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, "output", -1, "%s says where the tiles of a shuffled picture belong, not classes: use "
                       "`wasmformer jigsaw`", l->name);
    }
    if (wf_session_output_count(l->session) != 1 || out.n_dims != 2 || kind != NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, "output", -1,
                       "%s gives feature maps or what another task needs, not classes: use `wasmformer run` to read them",
                       l->name);
    }
    c->classes = out.dims[1];
    return WF_OK;
}

wf_status wf_classifier_open(const wf_cli *cli, const char *model, wf_classifier *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    WF_TRY(wf_viewer_open(cli, model, &out->view, err));
    WF_TRY(check_output(out, err));
    return wf_alloc_array((void **)&out->logits, out->classes, sizeof(float), "the scores", err);
}

void wf_classifier_close(wf_classifier *c) {
    wf_free(c->logits);
    wf_viewer_close(&c->view);
}

wf_status wf_picture_read(const char *path, const wf_image_params *p, float *dst, wf_error *err) {
    char *bytes;
    size_t n;
    WF_TRY(wf_input_all(path, MAX_PICTURE_BYTES, &bytes, &n, err));
    wf_pixels pixels;
    memset(&pixels, 0, sizeof pixels);
    wf_status status = wf_image_decode(bytes, n, wf_path_base(path), &pixels, err);
    wf_free(bytes);
    if (status == WF_OK) {
        status = wf_image_to_tensor(&pixels, p, dst, err);
    }
    wf_pixels_free(&pixels);
    return status;
}

wf_status wf_viewer_show(wf_viewer *v, const char *picture, wf_error *err) {
    WF_TRY(wf_check_interrupt(err));
    WF_TRY(wf_picture_read(picture, v->image, v->pixels, err));
    uint64_t n = wf_session_input_elements(v->loaded.session);
    void *input = wf_session_input(v->loaded.session);
    if (v->cli->backend == WF_BACKEND_F64) {
        for (uint64_t i = 0; i < n; i++) {
            ((double *)input)[i] = v->pixels[i];
        }
    } else {
        memcpy(input, v->pixels, (size_t)n * sizeof(float));
    }
    return WF_OK;
}

wf_status wf_classifier_run(wf_classifier *c, const char *picture, wf_error *err) {
    WF_TRY(wf_viewer_show(&c->view, picture, err));
    WF_TRY(wf_run_session(c->view.cli, c->view.loaded.session, NULL, err));
    WF_TRY(wf_session_read_f32(c->view.loaded.session, 0, c->logits, err));
    return wf_classify_check(c->logits, c->classes, err);
}

const char *wf_classifier_label(const wf_classifier *c, uint32_t index, char buffer[24]) {
    const char *label = wf_model_label(c->view.loaded.model, index);
    if (label == NULL) {
        snprintf(buffer, 24, "class_%u", index);
        label = buffer;
    }
    return label;
}
