/* The functions of window.h that no inner loop calls: once, and for size. */
#include "kernels/window.h"

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

wf_window_query wf_window_find(const wf_windows *w, uint32_t row) {
    uint32_t cells = w->v.extent * w->h.extent, cell = row % cells;
    uint32_t y = wf_window_place(&w->v, cell / w->h.extent), x = wf_window_place(&w->h, cell % w->h.extent);
    return (wf_window_query){row / cells, y / w->v.window, x / w->h.window, y % w->v.window, x % w->h.window};
}

uint32_t wf_window_row(const wf_windows *w, const wf_window_query *q, uint32_t y, uint32_t x) {
    uint32_t row = wf_window_cell(&w->v, q->top * w->v.window + y), column = wf_window_cell(&w->h, q->left * w->h.window + x);
    return row == WF_WINDOW_PADDING || column == WF_WINDOW_PADDING
               ? WF_WINDOW_PADDING
               : (q->segment * w->v.extent + row) * w->h.extent + column;
}
