/* Models that look at picture files: file → pixels → the model's input → scores. */
#ifndef WF_CLI_PICTURE_H
#define WF_CLI_PICTURE_H

#include "cli/load.h"

typedef struct wf_viewer {
    const wf_cli *cli;
    wf_loaded loaded;
    const wf_image_params *image;
    float *pixels; /* [3, height, width] */
} wf_viewer;

/* Loads a model that takes pictures, ready for one at a time. Close in any case. */
wf_status wf_viewer_open(const wf_cli *cli, const char *model, wf_viewer *out, wf_error *err);
void wf_viewer_close(wf_viewer *v);
/* Puts a picture into the session's input. */
wf_status wf_viewer_show(wf_viewer *v, const char *picture, wf_error *err);

typedef struct wf_classifier {
    wf_viewer view;
    uint32_t classes;
    float *logits; /* [classes] */
} wf_classifier;

/* Loads a model that takes pictures and gives classes; says what is wrong with any other. */
wf_status wf_classifier_open(const wf_cli *cli, const char *model, wf_classifier *out, wf_error *err);
void wf_classifier_close(wf_classifier *c);
/* A picture file as a model's input [3, height, width]. */
wf_status wf_picture_read(const char *path, const wf_image_params *p, float *dst, wf_error *err);
/* Fills c->logits. */
wf_status wf_classifier_run(wf_classifier *c, const char *picture, wf_error *err);
/* The model's own label, or "class_i". */
const char *wf_classifier_label(const wf_classifier *c, uint32_t index, char buffer[24]);

#endif
