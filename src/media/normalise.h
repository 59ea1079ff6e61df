/* 8-bit rows to the planes of a model's input: out = (v / 255 − mean) / std, each step rounded to float as
   torchvision's ToTensor and Normalize do. Only 256 values a channel exist, so they are tabulated. */
#ifndef WF_MEDIA_NORMALISE_H
#define WF_MEDIA_NORMALISE_H

#include "media/image.h"

typedef struct wf_normalise_table {
    float value[3][256];
} wf_normalise_table;

wf_status wf_normalise_init(wf_normalise_table *t, const float mean[3], const float std[3], wf_error *err);
/* row: interleaved [width, 3]; dst: the row in the first of three planes that lie `plane` floats apart. */
void wf_normalise_row(const wf_normalise_table *t, const uint8_t *row, uint32_t width, size_t plane, float *dst);

#endif
