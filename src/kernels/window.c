/* Out of line: kernels ask once a tile. */
#include "kernels/window.h"

wf_window_axis wf_window_axis_of(const wf_op_call *call, bool vertical, uint32_t half) {
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

wf_windows wf_windows_of(const wf_op_call *call, uint32_t half) {
    wf_windows w = {.v = wf_window_axis_of(call, true, half), .h = wf_window_axis_of(call, false, half)};
    w.cells = w.v.window * w.h.window;
    w.count = w.v.count * w.h.count;
    w.heads = half < wf_window_halves(call->p) ? call->p->heads / wf_window_halves(call->p) : 0;
    w.first_head = half * w.heads;
    return w;
}

uint32_t wf_window_tiles(const wf_op_call *call, uint32_t block) {
    uint32_t sum = 0;
    for (uint32_t half = 0; half < wf_window_halves(call->p); half++) {
        wf_windows w = wf_windows_of(call, half);
        sum += wf_window_units(call, &w) * ((w.cells - 1) / block + 1);
    }
    return sum;
}

wf_window_tile wf_window_tile_of(const wf_op_call *call, uint32_t block, uint32_t index) {
    wf_window_tile t = {.w = wf_windows_of(call, 0)};
    uint32_t units = wf_window_units(call, &t.w), blocks = (t.w.cells - 1) / block + 1;
    if (index >= units * blocks) {
        index -= units * blocks;
        t.half = 1;
        t.unit = units;
        t.w = wf_windows_of(call, 1);
        blocks = (t.w.cells - 1) / block + 1;
    }
    t.first = index % blocks * block;
    t.end = t.w.cells - t.first < block ? t.w.cells : t.first + block;
    index /= blocks;
    t.unit += index;
    t.head = t.w.first_head + index % t.w.heads;
    t.window = index / t.w.heads % t.w.count;
    t.segment = index / t.w.heads / t.w.count;
    return t;
}
