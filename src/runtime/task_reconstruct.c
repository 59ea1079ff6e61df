/* Reconstruction: the output "reconstruct" [1, 3, h, w] is a picture normalised as the input is; here it becomes bytes again,
   v · std + mean, times 255, cut to 0 … 255, halves to the even number. */
#include "base/alloc.h"
#include "runtime/model.h"

static wf_status find(const wf_model *m, const wf_session *s, uint32_t *index, wf_output_info *info, wf_error *err) {
    *index = wf_model_find_output(m, "reconstruct");
    if (*index == WF_NO_OUTPUT || !m->has_image) {
        return wf_fail(err, WF_E_UNSUPPORTED, "reconstruct", -1, "%s gives no pictures: use a model with an output \"reconstruct\"", m->file_name);
    }
    WF_TRY(wf_session_output(s, *index, info, err));
    return info->n_dims == 4 && info->dims[0] == 1 && info->dims[1] == 3
               ? WF_OK
               : wf_fail(err, WF_E_SHAPE, "reconstruct", -1, "the output is not one picture of three channels");
}

wf_status wf_reconstruct_size(const wf_model *m, const wf_session *s, uint32_t *width, uint32_t *height, wf_error *err) {
    uint32_t index;
    wf_output_info info;
    WF_TRY(find(m, s, &index, &info, err));
    *width = info.dims[3];
    *height = info.dims[2];
    return WF_OK;
}

static uint8_t byte_of(float v) {
    if (!(v > 0)) { /* NaN too */
        return 0;
    }
    return v >= 255 ? 255 : (uint8_t)__builtin_rintf(v);
}

wf_status wf_reconstruct_read(const wf_model *m, const wf_session *s, uint8_t *rgba, wf_error *err) {
    uint32_t index;
    wf_output_info info;
    void *memory;
    WF_TRY(find(m, s, &index, &info, err));
    const size_t cells = (size_t)info.dims[2] * info.dims[3];
    WF_TRY(wf_alloc_array(&memory, 3 * cells, sizeof(float), "the picture", err));
    const float *planes = memory;
    wf_status status = wf_session_read_f32(s, index, memory, err);
    for (size_t i = 0; i < cells && status == WF_OK; i++) {
        for (size_t c = 0; c < 3; c++) {
            rgba[4 * i + c] = byte_of((planes[c * cells + i] * m->image.std[c] + m->image.mean[c]) * 255.0f);
        }
        rgba[4 * i + 3] = 255;
    }
    wf_free(memory);
    return status;
}
