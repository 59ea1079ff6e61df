/* depthwise, fast: a tile is one row of the map. 3 × 3 with all three rows inside (PVT-v2): four channels at a time travel along the
   row with their nine weights in registers; each column is loaded once and goes into the three cells that see it, so a vector of the
   output costs 3 loads, 9 multiply–adds and a store. Other windows, and the first and last row: two loads a multiply–add. GELU is
   applied on the way out. Limit: the multiply–adds; without fusing twice as many operations, plus GELU's 25. */
#include "kernels/simd128/rows.h"
#include "kernels/simd128/vmath.h"

static uint32_t tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->in[0].shape.n * call->in[0].shape.h;
}

typedef struct line {
    const float *x;       /* the segment's cell (y, 0) */
    const float *weights; /* [kernel_h · kernel_w, stride] */
    const float *bias;    /* [stride] or NULL */
    float *out;           /* [w, stride] */
    uint32_t w, stride;
    bool gelu;
} line;

WF_INLINE v128_t first_sum(const line *l, uint32_t channel) {
    return l->bias != NULL ? wasm_v128_load(l->bias + channel) : wasm_f32x4_splat(0);
}

WF_INLINE void put(const line *l, uint32_t x, uint32_t channel, v128_t sum) {
    wasm_v128_store(l->out + (size_t)x * l->stride + channel, l->gelu ? wf_gelu(sum) : sum);
}

/* Three rows of the map, all inside. */
static void inner_3x3(const line *l) {
    const size_t down = (size_t)l->w * l->stride;
    for (uint32_t channel = 0; channel < l->stride; channel += 4) {
        v128_t k[9], bias = first_sum(l, channel), before = bias, here = bias;
        WF_UNROLL
        for (int i = 0; i < 9; i++) {
            k[i] = wasm_v128_load(l->weights + (size_t)i * l->stride + channel);
        }
        const float *column = l->x - down + channel;
        for (uint32_t x = 0; x < l->w; x++, column += l->stride) {
            v128_t next = bias;
            WF_UNROLL
            for (int r = 0; r < 3; r++) {
                v128_t v = wasm_v128_load(column + (size_t)r * down);
                before = wf_madd(v, k[3 * r + 2], before);
                here = wf_madd(v, k[3 * r + 1], here);
                next = wf_madd(v, k[3 * r], next);
            }
            if (x > 0) {
                put(l, x - 1, channel, before);
            }
            before = here;
            here = next;
        }
        put(l, l->w - 1, channel, before);
    }
}

/* Any window, cut off at the map's edges: rows top … bottom − 1 of it. */
static void any_window(const wf_op_call *call, const line *l, uint32_t y) {
    const wf_op_params *p = call->p;
    const uint32_t up = p->kernel_h / 2, left = p->kernel_w / 2, h = call->in[0].shape.h;
    const uint32_t ky0 = y < up ? up - y : 0, ky1 = wf_min_u32(p->kernel_h, h + up - y);
    for (uint32_t x = 0; x < l->w; x++) {
        const uint32_t kx0 = x < left ? left - x : 0, kx1 = wf_min_u32(p->kernel_w, l->w + left - x);
        for (uint32_t channel = 0; channel < l->stride; channel += 4) {
            v128_t sum = first_sum(l, channel);
            for (uint32_t ky = ky0; ky < ky1; ky++) {
                const float *k = l->weights + (size_t)(ky * p->kernel_w + kx0) * l->stride + channel;
                const float *cell = l->x + (((ptrdiff_t)ky - up) * l->w + (ptrdiff_t)(x + kx0) - left) * (ptrdiff_t)l->stride + channel;
                for (uint32_t kx = kx0; kx < kx1; kx++, k += l->stride, cell += l->stride) {
                    sum = wf_madd(wasm_v128_load(cell), wasm_v128_load(k), sum);
                }
            }
            put(l, x, channel, sum);
        }
    }
}

static void run(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch) {
    (void)phase, (void)scratch;
    const wf_shape *s = &call->in[0].shape;
    const uint32_t y = tile % s->h;
    const line l = {wf_row_f32(&call->in[0], tile * s->w), call->w[0].data, call->w[1].data, wf_row_f32(&call->out, tile * s->w),
                    s->w, wf_shape_stride(s), call->p->act == WF_ACT_GELU_ERF};
    if (call->p->kernel_h == 3 && call->p->kernel_w == 3 && y > 0 && y + 1 < s->h) {
        inner_3x3(&l);
    } else {
        any_window(call, &l, y);
    }
}

extern const wf_op_impl wf_depthwise_simd;
const wf_op_impl wf_depthwise_simd = {1, tiles, run, NULL, NULL};
