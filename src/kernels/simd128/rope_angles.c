/* rope_angles, fast: the arithmetic of angles.h, in double, a pair at a time; once a run, for all layers. Limit: about 30 ns a pair,
   half a thousandth of what a layer spends on a token. */
#include <string.h>

#include "kernels/angles.h"
#include "kernels/simd128/rows.h"

enum { ROWS = 8 };

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return wf_ceil_div(wf_shape_rows(&call->out.shape), ROWS);
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t turned = call->p->count, half = turned / 2, stride = wf_shape_stride(&call->out.shape);
    uint32_t end = wf_min_u32((tile + 1) * ROWS, wf_shape_rows(&call->out.shape));
    const double ratio = wf_angles_ratio(call->p->theta, turned);
    for (uint32_t row = tile * ROWS; row < end; row++) {
        float *y = wf_row_f32(&call->out, row);
        double frequency = 1;
        for (uint32_t j = 0; j < half; j++, frequency *= ratio) {
            double cosine, sine;
            wf_angles_turn(row * frequency, &cosine, &sine);
            y[j] = (float)cosine;
            y[half + j] = (float)sine;
        }
        memset(y + turned, 0, (stride - turned) * sizeof *y);
    }
}

extern const wf_op_impl wf_rope_angles_simd;
const wf_op_impl wf_rope_angles_simd = {1, tiles, run, NULL, NULL};
