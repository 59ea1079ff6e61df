/* A pyramid of convolutions, and the square pictures that it can have been made for: position tables and token-mixing
   matrices are bound to the grid of their level, and nothing else in a checkpoint tells the picture's size. */
#ifndef WF_CONVERT_MAPS_PYRAMID_H
#define WF_CONVERT_MAPS_PYRAMID_H

#include <stdbool.h>
#include <stdint.h>

enum { WF_PYRAMID_STEPS = 16 };

/* A convolution (kernel 0: none), then what is bound to the grid behind it (0: nothing is). */
typedef struct wf_pyramid_step {
    uint32_t kernel, stride, pad;
    uint32_t height, width; /* of a position table */
    uint64_t cells;         /* height × width that a matrix mixes */
} wf_pyramid_step;

typedef struct wf_pyramid {
    uint32_t count;
    wf_pyramid_step steps[WF_PYRAMID_STEPS];
} wf_pyramid;

/* Whether a picture of side × side passes every convolution and meets every grid. */
bool wf_pyramid_fits(const wf_pyramid *p, uint32_t side);
/* The smallest side that fits, a multiple of all strides before others; 0 when none up to 4096 does. */
uint32_t wf_pyramid_side(const wf_pyramid *p);

#endif
