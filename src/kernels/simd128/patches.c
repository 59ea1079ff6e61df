/* Gathering patches. Channels-last maps give runs of kernel_w · ci floats, copied four at a time;
   the picture at the stem (NCHW) is interleaved on the way, three planes at once when it has three.
   Cost: one load and one store for four elements, 1–2 % of the product that follows (the
   three-plane stem about 5 %). */
#include "kernels/simd128/patches.h"

#include <string.h>

#include "base/simd.h"

/* One output cell: where its patch begins in the input, negative or past the end where it is
   padded. */
typedef struct cell {
    uint32_t n;
    int64_t y, x;
} cell;

/* Writes nothing behind its end: the next patch may be another thread's, and there already. */
WF_INLINE void copy(float *to, const float *from, size_t count) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        wasm_v128_store(to + i, wasm_v128_load(from + i));
    }
    for (; i < count; i++) {
        to[i] = from[i];
    }
}

static void zero(float *to, size_t count) { memset(to, 0, count * sizeof *to); }

/* The part of kernel_w cells from x on that lies inside a line of w: [*begin, *end). */
static void inside(int64_t x, uint32_t kernel_w, uint32_t w, uint32_t *begin, uint32_t *end) {
    int64_t first = x < 0 ? -x : 0, last = (int64_t)w - x;
    *end = last < 0 ? 0 : last > kernel_w ? kernel_w : (uint32_t)last;
    *begin = first > *end ? *end : (uint32_t)first;
}

/* Channels last: the cells of a line follow each other, without gaps when c is a multiple of 32. */
static void rows_patch(const wf_view *in, const wf_op_params *p, cell at, float *out) {
    const wf_shape *s = &in->shape;
    const uint32_t c = s->c, stride = wf_shape_stride(s);
    uint32_t begin, end;
    inside(at.x, p->kernel_w, s->w, &begin, &end);
    for (uint32_t kh = 0; kh < p->kernel_h; kh++, out += (size_t)p->kernel_w * c) {
        int64_t y = at.y + kh;
        if (y < 0 || y >= s->h || begin == end) {
            zero(out, (size_t)p->kernel_w * c);
            continue;
        }
        const float *line = (const float *)in->data + (((size_t)at.n * s->h + (size_t)y) * s->w) * stride;
        const float *from = line + (size_t)(at.x + begin) * stride;
        zero(out, (size_t)begin * c);
        if (stride == c) {
            copy(out + (size_t)begin * c, from, (size_t)(end - begin) * c);
        } else {
            for (uint32_t i = begin; i < end; i++, from += stride) {
                copy(out + (size_t)i * c, from, c);
            }
        }
        zero(out + (size_t)end * c, (size_t)(p->kernel_w - end) * c);
    }
}

/* Four cells of three planes, side by side: r0 g0 b0 r1 g1 b1 … */
WF_INLINE void interleave3(float *out, const float *r, const float *g, const float *b) {
    v128_t x = wasm_v128_load(r), y = wasm_v128_load(g), z = wasm_v128_load(b);
    v128_t low = wasm_i32x4_shuffle(x, y, 0, 4, 1, 5), high = wasm_i32x4_shuffle(x, y, 2, 6, 3, 7);
    wasm_v128_store(out, wasm_i32x4_shuffle(low, z, 0, 1, 4, 2));
    v128_t middle = wasm_i32x4_shuffle(low, high, 3, 3, 4, 5); /* g1 · r2 g2 */
    wasm_v128_store(out + 4, wasm_i32x4_shuffle(middle, z, 0, 5, 2, 3));
    wasm_v128_store(out + 8, wasm_i32x4_shuffle(high, z, 6, 2, 3, 7));
}

static void picture_patch(const wf_view *in, const wf_op_params *p, cell at, float *out) {
    const wf_shape *s = &in->shape;
    const uint32_t c = s->c, kernel_w = p->kernel_w;
    const size_t plane = (size_t)s->h * s->w;
    uint32_t begin, end;
    inside(at.x, kernel_w, s->w, &begin, &end);
    for (uint32_t kh = 0; kh < p->kernel_h; kh++, out += (size_t)kernel_w * c) {
        int64_t y = at.y + kh;
        if (y < 0 || y >= s->h || begin == end) {
            zero(out, (size_t)kernel_w * c);
            continue;
        }
        /* [c] planes */
        const float *line = (const float *)in->data + (size_t)at.n * c * plane + (size_t)y * s->w;
        if (c == 3 && kernel_w >= 4 && begin == 0 && end == kernel_w) {
            const float *from = line + at.x;
            for (uint32_t i = 0; i + 4 < kernel_w; i += 4) {
                interleave3(out + 3 * (size_t)i, from + i, from + i + plane, from + i + 2 * plane);
            }
            uint32_t i = kernel_w - 4; /* overlaps the group before */
            interleave3(out + 3 * (size_t)i, from + i, from + i + plane, from + i + 2 * plane);
            continue;
        }
        zero(out, (size_t)begin * c);
        for (uint32_t ci = 0; ci < c; ci++) {
            for (uint32_t i = begin; i < end; i++) {
                out[(size_t)i * c + ci] = line[ci * plane + (size_t)(at.x + i)];
            }
        }
        zero(out + (size_t)end * c, (size_t)(kernel_w - end) * c);
    }
}

size_t wf_patches_floats(uint32_t rows, uint32_t k) { return (size_t)rows * wf_round_up(k, WF_LANES); }

void wf_patches_gather(const wf_op_call *call, uint32_t row, uint32_t rows, float *out) {
    const wf_op_params *p = call->p;
    const wf_shape *map = &call->out.shape;
    const wf_view *in = &call->in[0];
    const size_t k = call->w[0].k, stride = wf_round_up(call->w[0].k, WF_LANES);
    uint32_t ox = row % map->w, oy = row / map->w % map->h, n = row / map->w / map->h;
    for (uint32_t i = 0; i < rows; i++, out += stride) {
        cell at = {n, (int64_t)oy * p->stride_h - p->pad_h, (int64_t)ox * p->stride_w - p->pad_w};
        if (in->shape.layout == WF_LAYOUT_NCHW) {
            picture_patch(in, p, at, out);
        } else {
            rows_patch(in, p, at, out);
        }
        zero(out + k, stride - k);
        if (++ox == map->w) {
            ox = 0;
            if (++oy == map->h) {
                oy = 0;
                n++;
            }
        }
    }
}
