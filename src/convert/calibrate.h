/* What calibration sees of the input of one matrix, and what it decides (calibrate.c, int8_search.c). */
#ifndef WF_CONVERT_CALIBRATE_H
#define WF_CONVERT_CALIBRATE_H

#include "convert/mapping.h"

enum { WF_SAMPLE_ROWS = 64, WF_HISTOGRAM = 4096 };

typedef struct wf_layer_view {
    uint32_t row;              /* of the map */
    uint32_t channels, k;      /* of the input map; of a row of the product: the channels of all its cells */
    float *low, *high;         /* [channels] extremes over all pictures; 0 is always inside */
    float *samples;            /* [WF_SAMPLE_ROWS, k] rows of the product, spread over the pictures */
    uint32_t sample_count;
    double *histogram;         /* [WF_HISTOGRAM] of x · gain in [hist_low, hist_high], each value with its channel's importance */
    double *importance;        /* [channels] Σ_j (W[j, c] / gain[c])² over the cells: what an error there does to the output */
    float hist_low, hist_high;
} wf_layer_view;

/* Decides the gains, from ranges and samples; sets importance and the histogram's range. */
wf_status wf_int8_choose_gain(wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err);
/* Decides scale and zero from the histogram. */
void wf_int8_choose_grid(const wf_layer_view *v, wf_int8_input *in);
/* ‖Ŷ − Y‖ / ‖Y‖ on the samples, weights and inputs both quantized; turns the input dynamic where that halves it. */
wf_status wf_int8_choose_static(const wf_mapping *m, const wf_layer_view *v, wf_int8_input *in, double *loss, wf_error *err);

#endif
