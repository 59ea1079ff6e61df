/* The table of (v / 255 − mean) / std and its application to a row. The reference divides by 255, subtracts and
   divides in float one after the other; a fused scale and offset would differ in the last bit. Cost: 256 × 3
   divisions a model, one load a value. */
#include <math.h>

#include "media/normalise.h"

wf_status wf_normalise_init(wf_normalise_table *t, const float mean[3], const float std[3], wf_error *err) {
    for (int c = 0; c < 3; c++) {
        if (!isfinite(mean[c]) || !isfinite(std[c]) || std[c] == 0.0f) {
            return wf_fail(err, WF_E_ARGUMENT, "image mean and std", -1,
                           "channel %d has mean %g and std %g; both must be finite and std not 0", c, (double)mean[c],
                           (double)std[c]);
        }
        for (int v = 0; v < 256; v++) {
            float unit = (float)v / 255.0f;
            float centred = unit - mean[c];
            t->value[c][v] = centred / std[c];
        }
    }
    return WF_OK;
}

void wf_normalise_row(const wf_normalise_table *t, const uint8_t *row, uint32_t width, size_t plane, float *dst) {
    for (uint32_t x = 0; x < width; x++) {
        dst[x] = t->value[0][row[3 * x]];
        dst[plane + x] = t->value[1][row[3 * x + 1]];
        dst[2 * plane + x] = t->value[2][row[3 * x + 2]];
    }
}
