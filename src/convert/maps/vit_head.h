/* The heads of ViTs that do more than name one class: SiT's and MP3's (models/vit.c, parts/head/tasks.c). */
#ifndef WF_CONVERT_MAPS_VIT_HEAD_H
#define WF_CONVERT_MAPS_VIT_HEAD_H

#include "convert/mapping.h"

typedef struct wf_vit_head {
    const char *tasks[4]; /* names of parts.def, in the order of the source's outputs */
    uint32_t count;
    const char *project, *rotate, *reconstruct; /* source names: of the layers, of the one layer, of what is in front of convTrans */
    const char *pixels; /* the transposed convolution */
    uint32_t project_token, project_layers, project_hidden, project_length, rotate_token, reconstruct_layers, places;
    uint32_t concat; /* width of the MLP that reads the class token and the mean; 0: no such head */
} wf_vit_head;

/* Finds them by their tensors; h->count is 0 where there are none. Fails on parts that belong to such heads and are not known. */
void wf_vit_head_find(wf_mapping *m, wf_vit_head *h);
/* Maps them, and names the outputs that take the place of a classifier's; returns whether there are any. grid: of the patches. */
bool wf_vit_head_map(wf_mapping *m, const wf_vit_head *h, uint32_t grid_h, uint32_t grid_w);
wf_status wf_vit_head_write(const wf_vit_head *h, wf_gguf_writer *w, wf_error *err);

#endif
