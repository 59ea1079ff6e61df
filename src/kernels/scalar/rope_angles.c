/* rope_angles: for each row p of a segment of in0 (whose values are not read) the turns of rotary position embedding,
       y[p, j] = cos(p · theta^(−2j/r)), y[p, r/2 + j] = sin(…), j = 0 … r/2 − 1, r = p->count
   (RoFormer, arXiv 2104.09864, equation 15). One table for all layers: rope reads it. Cost: a sine and a cosine for each pair. */
#include "kernels/angles.h"
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_rope_angles_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_op_params *p = call->p;
    const wf_shape *in = &call->in[0].shape;
    WF_TRY(wf_expect_input(&call->in[0], true, "rope_angles", node, err));
    if (p->count == 0 || p->count % 2 != 0 || !(p->theta > 1 && p->theta <= 1e12f)) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1, "rope_angles \"%s\": %u elements turned on the base %g; an even number of them and a base above 1, "
                       "up to 1e12, are wanted", node, (unsigned)p->count, (double)p->theta);
    }
    if ((uint64_t)in->h * in->w > 1u << 20) {
        return wf_fail(err, WF_E_SHAPE, node, -1, "rope_angles \"%s\": %llu positions, more than 2^20", node,
                       (unsigned long long)in->h * in->w);
    }
    *out = (wf_shape){1, in->h, in->w, p->count, WF_LAYOUT_ROWS};
    return wf_expect_size(out, "rope_angles", node, err);
}

uint64_t wf_rope_angles_cost(const wf_op_call *call) { return 16 * wf_shape_elements(&call->out.shape); }
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    uint32_t half = call->p->count / 2, end = wf_scalar_tile_end(call, tile);
    double frequency = 1;
#if !WF_REAL_F64
    const double ratio = wf_angles_ratio(call->p->theta, call->p->count);
#endif
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        wf_real *y = wf_row(&call->out, row);
        frequency = 1;
        for (uint32_t j = 0; j < half; j++) {
            double cosine, sine;
#if WF_REAL_F64
            frequency = pow(call->p->theta, -2.0 * j / call->p->count);
            cosine = cos(row * frequency);
            sine = sin(row * frequency);
#else
            wf_angles_turn(row * frequency, &cosine, &sine);
            frequency *= ratio;
#endif
            y[j] = (wf_real)cosine;
            y[half + j] = (wf_real)sine;
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(rope_angles) = {1, wf_scalar_row_tiles, run, NULL, NULL};
