/* What calibration sees of the input of one matrix, and what it decides (calibrate.c, int8_search.c, int8_fit.c). */
#ifndef WF_CONVERT_CALIBRATE_H
#define WF_CONVERT_CALIBRATE_H

#include "convert/mapping.h"
#include "runtime/model.h"

enum { WF_SAMPLE_ROWS = 64 };

/* An extreme of the input over the pictures, as a size ≥ 0: the least value's or the greatest's. */
typedef struct wf_extreme {
    float now, seen;   /* of the picture that is running; of all */
    double sum, squares; /* over the pictures */
} wf_extreme;

typedef struct wf_layer_view {
    uint32_t row;              /* of the map */
    uint32_t channels, k;      /* of the input map, 0: not an I8 matrix, or not met yet; of a row of the product */
    wf_extreme low, high;
    uint32_t pictures;
    float *samples;            /* [WF_SAMPLE_ROWS, k] rows of the product, spread over the pictures */
    uint32_t sample_count;
    double loss[2];            /* of the output on the samples: with the static grid, with a step for each row */
} wf_layer_view;

/* A picture has run: its extremes join those of the others. */
void wf_int8_end_picture(wf_layer_view *v);
/* Decides scale and zero from the extremes. */
void wf_int8_choose_grid(const wf_layer_view *v, wf_int8_input *in);
/* Measures ‖Ŷ − Y‖ / ‖Y‖ on the samples, weights and inputs both quantized; the input becomes dynamic where that halves it. */
wf_status wf_int8_choose_static(const wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err);

/* calibrate.c: a model of the bytes that wf_emit would write, ready for one picture; both are the caller's to free, also on failure. */
wf_status wf_calibrate_open(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_model **model, wf_session **s,
                            wf_error *err);
wf_status wf_calibrate_run(const wf_mapping *m, const wf_convert_options *o, wf_session *s, uint32_t picture, wf_error *err);
/* Does the loss count on this one? */
bool wf_calibrate_is_held_back(const wf_convert_options *o, uint32_t picture);

/* int8_fit.c: matrices leave static grids, then int8, until the loss on the pictures that were held back is within max_loss; fills
   the report's loss and pictures, and reports each matrix and why it is not static. */
wf_status wf_int8_fit(wf_mapping *m, const wf_convert_options *o, const wf_layer_view *layers, double max_loss,
                      wf_convert_report *report, wf_error *err);

#endif
