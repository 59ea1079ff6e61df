/* position, fast: per output row the weighted table rows are added up four channels at a time. Runs once a picture on
   tokens × c elements, a thousandth of a ViT's work, so that taps are simply computed per row. `out` may be in0. */
#include "kernels/resample_axis.h"
#include "kernels/simd128/rows.h"

enum { ROWS = 16 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return wf_ceil_div(wf_shape_rows(&call->out.shape), ROWS);
}

static void add_row(const wf_op_call *call, uint32_t row) {
    const wf_op_params *p = call->p;
    const wf_shape *s = &call->in[0].shape;
    uint32_t stride = wf_shape_stride(s), r = row % (s->h * s->w);
    const float *x = wf_row_f32(&call->in[0], row), *table = call->w[0].data;
    float *y = wf_row_f32(&call->out, row);
    wf_axis_taps down = {r, 1, {1}}, across = {0, 1, {1}}; /* a row in front of the grid is read as it is */
    size_t first = 0, width = 1;
    if (r >= p->first) {
        wf_axis_taps_of(&down, (r - p->first) / p->map_w, p->grid_h, p->map_h, (wf_position_resample)p->resample);
        wf_axis_taps_of(&across, (r - p->first) % p->map_w, p->grid_w, p->map_w, (wf_position_resample)p->resample);
        first = p->first;
        width = p->grid_w;
    }
    for (uint32_t i = 0; i < stride; i += 4) {
        v128_t sum = wasm_f32x4_splat(0);
        for (uint32_t v = 0; v < down.count; v++) {
            const float *line = table + (first + (down.first + v) * width + across.first) * stride + i;
            for (uint32_t h = 0; h < across.count; h++) {
                v128_t weight = wasm_f32x4_splat((float)(down.weight[v] * across.weight[h]));
                sum = wasm_f32x4_add(sum, wasm_f32x4_mul(weight, wasm_v128_load(line + h * stride)));
            }
        }
        wasm_v128_store(y + i, wasm_f32x4_add(wasm_v128_load(x + i), sum));
    }
}

WF_SMALL static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t end = wf_min_u32((tile + 1) * ROWS, wf_shape_rows(&call->out.shape));
    for (uint32_t row = tile * ROWS; row < end; row++) {
        add_row(call, row);
    }
}

extern const wf_op_impl wf_position_simd;
const wf_op_impl wf_position_simd = {1, tiles, run, NULL, NULL};
