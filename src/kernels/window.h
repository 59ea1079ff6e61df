/* Which rows see each other in windowed attention (Swin, arXiv 2103.14030, section 3.2): the map is rolled by the shift, cut into
   windows, and cells attend within theirs. The rolled map is padded to whole windows; libraries differ in the order: transformers
   pads and then rolls, timm ≥ 0.9 rolls and then pads. In the last window of a shifted axis cells from both ends of the map meet;
   those of different sides must not see each other (the sources add −100 to such scores). One axis at a time. */
#ifndef WF_KERNELS_WINDOW_H
#define WF_KERNELS_WINDOW_H

#include "kernels/op.h"

enum { WF_WINDOW_PADDING = 0xffffffff };
#define WF_WINDOW_MASK (-100.0f)

typedef struct wf_window_axis {
    uint32_t extent, window, shift, count; /* cells; of a window; by which it is rolled; windows */
    uint32_t period;                       /* what is rolled: the padded axis or the plain one */
} wf_window_axis;

/* vertical: 1 = the axis of height. Attention over whole segments is one window as large as the map. */
static inline wf_window_axis wf_window_axis_of(const wf_op_call *call, bool vertical) {
    const wf_op_params *p = call->p;
    wf_window_axis a = {.extent = vertical ? call->in[0].shape.h : call->in[0].shape.w};
    a.window = p->window_h == 0 ? a.extent : vertical ? p->window_h : p->window_w;
    a.shift = vertical ? p->shift_h : p->shift_w;
    a.count = (a.extent + a.window - 1) / a.window;
    a.period = p->roll_first ? a.extent : a.count * a.window;
    return a;
}

/* The cell at a place of the rolled and padded axis. */
static inline uint32_t wf_window_cell(const wf_window_axis *a, uint32_t place) {
    uint32_t cell = (place + a->shift) % a->period;
    return place < a->period && cell < a->extent ? cell : WF_WINDOW_PADDING;
}

/* The place of a cell. */
static inline uint32_t wf_window_place(const wf_window_axis *a, uint32_t cell) {
    return (cell + a->period - a->shift % a->period) % a->period;
}

/* Where two ends meet: the side of place `in` of window `index`. */
static inline uint32_t wf_window_side(const wf_window_axis *a, uint32_t index, uint32_t in) {
    return a->shift != 0 && index + 1 == a->count && in >= a->window - a->shift;
}

#endif
