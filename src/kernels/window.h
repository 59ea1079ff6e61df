/* Which rows see each other in windowed attention.

   Windows (Swin, arXiv 2103.14030, section 3.2): the map is rolled by the shift, cut into windows, and cells attend within theirs.
   The rolled map is padded to whole windows; libraries differ in the order: transformers pads and then rolls, timm ≥ 0.9 rolls and
   then pads. In the last window of a shifted axis cells from both ends of the map meet; in softmax attention those of different
   sides must not see each other (the sources add −100 to such scores). One axis at a time.

   Stripes (CSwin, arXiv 2107.00652, section 3.1): the first half of the heads sees columns of the map, `stripe` cells wide, the
   second half rows, `stripe` cells high. A stripe is a window whose other side is the map's; it divides the map.

   The unit of work is one head in one window of one segment; wf_window_tile_of counts such units, the first half's before the
   second's, cut into blocks of cells. */
#ifndef WF_KERNELS_WINDOW_H
#define WF_KERNELS_WINDOW_H

#include "kernels/op.h"

enum { WF_WINDOW_PADDING = 0xffffffff };
#define WF_WINDOW_MASK (-100.0f)

typedef struct wf_window_axis {
    uint32_t extent, window, shift, count; /* cells; of a window; by which it is rolled; windows */
    uint32_t period;                       /* what is rolled: the padded axis or the plain one */
} wf_window_axis;

/* vertical: 1 = the axis of height; half: 0, or 1 for the second half's stripes. Attention over whole segments is one window as
   large as the map. */
static inline wf_window_axis wf_window_axis_of(const wf_op_call *call, bool vertical, uint32_t half) {
    const wf_op_params *p = call->p;
    wf_window_axis a = {.extent = vertical ? call->in[0].shape.h : call->in[0].shape.w};
    if (p->stripe != 0) {
        a.window = vertical == (half == 1) ? p->stripe : a.extent;
    } else {
        a.window = p->window_h == 0 ? a.extent : vertical ? p->window_h : p->window_w;
    }
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

/* The windows that a half of the heads (or all of them) attends in. */
typedef struct wf_windows {
    wf_window_axis v, h;
    uint32_t cells, count;      /* of a window; windows of a segment */
    uint32_t first_head, heads; /* heads 0 where there is no such half */
} wf_windows;

static inline uint32_t wf_window_halves(const wf_op_params *p) { return p->stripe != 0 ? 2 : 1; }

wf_windows wf_windows_of(const wf_op_call *call, uint32_t half);

/* Units of one half. */
static inline uint32_t wf_window_units(const wf_op_call *call, const wf_windows *w) {
    return call->in[0].shape.n * w->count * w->heads;
}

/* One head in one window of one segment, and some cells of that window. */
typedef struct wf_window_tile {
    wf_windows w;
    uint32_t half, segment, window, head;
    uint32_t unit;       /* its number */
    uint32_t first, end; /* cells */
} wf_window_tile;

uint32_t wf_window_tiles(const wf_op_call *call, uint32_t block);

wf_window_tile wf_window_tile_of(const wf_op_call *call, uint32_t block, uint32_t index);

/* A row of the map among windows. */
typedef struct wf_window_query {
    uint32_t segment, top, left; /* the window's index down and across */
    uint32_t y, x;               /* the place in it */
} wf_window_query;

wf_window_query wf_window_find(const wf_windows *w, uint32_t row);

/* The row at place (y, x) of the same window, or WF_WINDOW_PADDING. */
uint32_t wf_window_row(const wf_windows *w, const wf_window_query *q, uint32_t y, uint32_t x);

#endif
