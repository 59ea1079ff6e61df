/* What calibration sees of the input of one matrix, and what it decides (calibrate.c, int8_search.c). */
#ifndef WF_CONVERT_CALIBRATE_H
#define WF_CONVERT_CALIBRATE_H

#include "convert/mapping.h"
#include "runtime/model.h"

enum { WF_SAMPLE_ROWS = 64, WF_HISTOGRAM = 4096, WF_GRIDS = 2 };

/* The least or the greatest value of each picture, as a size ≥ 0. */
typedef struct wf_extreme {
    double sum, squares; /* over the pictures */
    float largest;
} wf_extreme;

typedef struct wf_layer_view {
    uint32_t row;              /* of the map */
    uint32_t channels, k;      /* of the input map; of a row of the product: the channels of all its cells */
    float *low, *high;         /* [channels] extremes over all pictures; 0 is always inside */
    float *samples;            /* [WF_SAMPLE_ROWS, k] rows of the product, spread over the pictures */
    uint32_t sample_count;
    double *histogram;         /* [WF_HISTOGRAM] of x · gain in [hist_low, hist_high], each value with its channel's importance */
    double *importance;        /* [channels] Σ_j (W[j, c] / gain[c])² over the cells: what an error there does to the output */
    float hist_low, hist_high;
    wf_extreme least, most;    /* of x · gain */
    uint32_t pictures;
    wf_int8_input grids[WF_GRIDS]; /* what to choose from: the least expected error, and room for what other pictures may hold */
    double error[WF_GRIDS];    /* Σ of importance · (x · gain − its value on the grid)² over the pictures that were held back */
    double held_rows;          /* of the product, there */
    double loss[2];            /* ‖Ŷ − Y‖ / ‖Y‖ of the product, weights and inputs quantized: with the static grid, with a step for each row */
} wf_layer_view;

/* Decides the gains, from ranges and samples; sets importance and the histogram's range. */
wf_status wf_int8_choose_gain(wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err);
/* Sets v->grids from the histogram and the extremes; gain: the chosen one, or NULL. */
void wf_int8_find_grids(wf_layer_view *v, float *gain);
/* The grid with the least v->error; measures v->loss, on the samples and by v->error; turns the input dynamic where that halves it. */
wf_status wf_int8_choose_static(const wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err);

/* calibrate.c: the file that wf_emit would write, as a model that waits for one picture; both are the caller's to free, also on failure. */
wf_status wf_calibrate_open(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_model **model, wf_session **s, wf_error *err);
wf_status wf_calibrate_run(const wf_mapping *m, const wf_convert_options *o, wf_session *s, uint32_t picture, wf_error *err);
/* Whether the loss is measured on this picture. */
bool wf_calibrate_is_held_back(const wf_convert_options *o, uint32_t picture);

/* int8_fit.c: measures the loss on the pictures that were held back; while it is above max_loss, matrices leave their static grids.
   Fills the report's loss and pictures, and reports every matrix. layers: [map rows]. */
wf_status wf_int8_fit(wf_mapping *m, const wf_convert_options *o, const wf_layer_view *layers, double max_loss,
                      wf_convert_report *report, wf_error *err);

#endif
