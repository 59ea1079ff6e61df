/* pool2d: y[n, h, w, c] = mean of x over the cells of a kernel_h × kernel_w window around (h, w)
   that lie inside the map, minus x itself when p->minus_input (torch's AvgPool2d(k, 1, k//2,
   count_include_pad=False); with minus_input the token mixer of PoolFormer, pool(x) − x). Kernels
   are odd, stride 1, padding (k − 1)/2: the map keeps its size. Cost: kernel_h · kernel_w additions
   an element. */
#include "kernels/scalar/real.h"

#if !WF_REAL_F64
#include "kernels/scalar/shape_rules.h"

wf_status wf_pool2d_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err) {
    const wf_op_params *p = call->p;
    WF_TRY(wf_expect_input(&call->in[0], false, "pool2d", node, err));
    if (p->kernel_h % 2 == 0 || p->kernel_w % 2 == 0 || p->kernel_h > 65535 || p->kernel_w > 65535) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1,
                       "pool2d \"%s\": kernel %ux%u; only odd kernels keep the size of the map", node,
                       (unsigned)p->kernel_h, (unsigned)p->kernel_w);
    }
    if (p->pad_h != p->kernel_h / 2 || p->pad_w != p->kernel_w / 2) {
        return wf_fail(err, WF_E_ARGUMENT, node, -1,
                       "pool2d \"%s\": a %ux%u kernel needs padding %ux%u, not %ux%u", node,
                       (unsigned)p->kernel_h, (unsigned)p->kernel_w, (unsigned)p->kernel_h / 2,
                       (unsigned)p->kernel_w / 2, (unsigned)p->pad_h, (unsigned)p->pad_w);
    }
    *out = call->in[0].shape;
    return WF_OK;
}

/* The fast kernel keeps column sums, so a window costs its height plus its width. */
uint64_t wf_pool2d_cost(const wf_op_call *call) {
    return wf_shape_elements(&call->in[0].shape) * ((uint64_t)call->p->kernel_h + call->p->kernel_w);
}
#endif

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->in[0].shape;
    uint32_t end = wf_scalar_tile_end(call, tile);
    for (uint32_t row = tile * WF_SCALAR_ROWS; row < end; row++) {
        uint32_t w = row % s->w, h = row / s->w % s->h, segment = row / s->w / s->h;
        uint32_t half_h = call->p->kernel_h / 2, half_w = call->p->kernel_w / 2;
        uint32_t top = h > half_h ? h - half_h : 0, left = w > half_w ? w - half_w : 0;
        uint32_t bottom = s->h - h > half_h ? h + half_h + 1 : s->h; /* exclusive */
        uint32_t right = s->w - w > half_w ? w + half_w + 1 : s->w;
        wf_real cells = (wf_real)((bottom - top) * (right - left));
        const wf_real *x = wf_row(&call->in[0], row);
        wf_real *y = wf_row(&call->out, row);
        for (uint32_t i = 0; i < s->c; i++) {
            wf_real sum = 0;
            for (uint32_t yy = top; yy < bottom; yy++) {
                for (uint32_t xx = left; xx < right; xx++) {
                    sum += wf_row(&call->in[0], (segment * s->h + yy) * s->w + xx)[i];
                }
            }
            y[i] = call->p->minus_input ? sum / cells - x[i] : sum / cells;
        }
        wf_row_zero_lanes(&call->out, row);
    }
}

WF_SCALAR_IMPL(pool2d) = {1, wf_scalar_row_tiles, run, NULL, NULL};
