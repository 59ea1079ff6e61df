/* Gathering patches of a map of bytes: runs of kernel_w · c bytes where c is a multiple of 32, else cell by cell; 16 bytes a step.
   Cost: a sixteenth of a load and a store an element. */
#include <string.h>

#include "base/simd.h"
#include "kernels/simd128/int8_product.h"

/* Copies up to 15 bytes more than asked: rows have that slack, and what is written behind is written again. */
WF_INLINE void copy(uint8_t *to, const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i += 16) {
        wasm_v128_store(to + i, wasm_v128_load(from + i));
    }
}

/* One patch, whose first cell is (y, x) of picture n, perhaps outside the map. */
static void patch(const wf_op_call *call, uint32_t n, int64_t y, int64_t x, uint8_t zero, uint8_t *out) {
    const wf_shape *s = &call->in[0].shape;
    const uint32_t c = s->c, stride = wf_shape_stride(s), kernel_w = call->p->kernel_w;
    const int64_t left = -x, right = (int64_t)s->w - x;
    const uint32_t end = right < 0 ? 0 : right > kernel_w ? kernel_w : (uint32_t)right;
    const uint32_t begin = left <= 0 ? 0 : left > end ? end : (uint32_t)left;
    for (uint32_t kh = 0; kh < call->p->kernel_h; kh++, out += (size_t)kernel_w * c) {
        const int64_t line = y + kh;
        if (line < 0 || line >= s->h || begin == end) {
            memset(out, zero, (size_t)kernel_w * c);
            continue;
        }
        const uint8_t *from =
            (const uint8_t *)call->in[0].data + (((size_t)n * s->h + (size_t)line) * s->w + (size_t)(x + begin)) * stride;
        memset(out, zero, (size_t)begin * c);
        if (stride == c) {
            copy(out + (size_t)begin * c, from, (size_t)(end - begin) * c);
        } else {
            for (uint32_t i = begin; i < end; i++, from += stride) {
                copy(out + (size_t)i * c, from, c);
            }
        }
        memset(out + (size_t)end * c, zero, (size_t)(kernel_w - end) * c);
    }
}

void wf_byte_patches_gather(const wf_op_call *call, uint32_t row, uint32_t rows, uint8_t zero, uint8_t *out) {
    const wf_op_params *p = call->p;
    const wf_shape *map = &call->out.shape;
    const size_t k = call->w[0].k, stride = wf_round_up(call->w[0].k, WF_LANES);
    uint32_t ox = row % map->w, oy = row / map->w % map->h, n = row / map->w / map->h;
    for (uint32_t i = 0; i < rows; i++, out += stride) {
        patch(call, n, (int64_t)oy * p->stride_h - p->pad_h, (int64_t)ox * p->stride_w - p->pad_w, zero, out);
        memset(out + k, zero, stride - k);
        if (++ox == map->w) {
            ox = 0;
            if (++oy == map->h) {
                oy = 0;
                n++;
            }
        }
    }
}
