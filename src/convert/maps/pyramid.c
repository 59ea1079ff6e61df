/* Sides are tried one by one: a few thousand times a handful of divisions. */
#include "convert/maps/pyramid.h"

enum { MAX_SIDE = 4096 };

bool wf_pyramid_fits(const wf_pyramid *p, uint32_t side) {
    uint64_t n = side;
    for (uint32_t i = 0; i < p->count; i++) {
        const wf_pyramid_step *s = &p->steps[i];
        if (s->kernel != 0) {
            uint64_t padded = n + 2 * (uint64_t)s->pad;
            if (padded < s->kernel || s->stride == 0) {
                return false;
            }
            n = (padded - s->kernel) / s->stride + 1; /* floor, as in PyTorch */
        }
        if ((s->height != 0 && (s->height != n || s->width != n)) || (s->cells != 0 && s->cells != n * n)) {
            return false;
        }
    }
    return true;
}

uint32_t wf_pyramid_side(const wf_pyramid *p) {
    uint64_t strides = 1;
    for (uint32_t i = 0; i < p->count && strides <= MAX_SIDE; i++) {
        strides *= p->steps[i].kernel != 0 ? p->steps[i].stride : 1;
    }
    for (int any = 0; any < 2; any++) {
        uint32_t step = any || strides == 0 || strides > MAX_SIDE ? 1 : (uint32_t)strides;
        for (uint32_t side = step; side <= MAX_SIDE; side += step) {
            if (wf_pyramid_fits(p, side)) {
                return side;
            }
        }
    }
    return 0;
}
