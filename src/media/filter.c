/* Weights of Pillow's 8-bit resampling. Output x lies at c = (x + 0.5) · s of the source, s = source / resized; the
   filter is widened by max(s, 1), which is the antialiasing; its samples are divided by their sum in double and
   rounded to 22 bits, halves away from zero. The triangle is bilinear, the cubic has a = −0.5.
   Nearest follows Pillow's affine path: the coordinate starts at s / 2 and s is added once a sample, rounding
   errors included. Source: the behaviour of Pillow's Image.resize; cost: outputs × taps. */
#include "media/filter.h"

#include <math.h>

#include "base/alloc.h"

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* The order of operations is part of the contract: another one moves last bits. */
static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    }
    if (x < 2.0) {
        return (((x - 5) * x + 8) * x - 4) * a;
    }
    return 0.0;
}

static wf_status reserve(wf_filter *f, uint64_t outputs, uint64_t taps, wf_error *err) {
    if (outputs > f->capacity_outputs) {
        f->capacity_outputs = 0;
        wf_free(f->first);
        wf_free(f->count);
        f->count = NULL;
        WF_TRY(wf_alloc_array((void **)&f->first, outputs, sizeof *f->first, "the resize table", err));
        WF_TRY(wf_alloc_array((void **)&f->count, outputs, sizeof *f->count, "the resize table", err));
        f->capacity_outputs = outputs;
    }
    if (outputs * taps > f->capacity_weights) {
        f->capacity_weights = 0;
        wf_free(f->weights);
        WF_TRY(wf_alloc_array((void **)&f->weights, outputs * taps, sizeof *f->weights, "the resize weights", err));
        f->capacity_weights = outputs * taps;
    }
    f->outputs = (uint32_t)outputs;
    f->taps = (uint32_t)taps;
    return WF_OK;
}

void wf_filter_free(wf_filter *f) {
    wf_free(f->first);
    wf_free(f->count);
    wf_free(f->weights);
    *f = (wf_filter){0};
}

static void fill_nearest(wf_filter *f, uint32_t source, uint32_t resized, int32_t offset) {
    double scale = (double)source / (double)resized;
    double at = scale * 0.5;
    int64_t end = (int64_t)offset + f->outputs;
    for (int64_t x = 0; x < end && x < (int64_t)resized; x++, at += scale) {
        int64_t o = x - offset;
        if (o >= 0 && (uint32_t)at < source) {
            f->first[o] = (uint32_t)at;
            f->count[o] = 1;
            f->weights[o] = 1 << WF_FILTER_BITS;
        }
    }
}

static void fill_copy(wf_filter *f, uint32_t source, int32_t offset) {
    for (uint32_t o = 0; o < f->outputs; o++) {
        int64_t x = (int64_t)offset + o;
        if (x >= 0 && x < (int64_t)source) {
            f->first[o] = (uint32_t)x;
            f->count[o] = 1;
            f->weights[o] = 1 << WF_FILTER_BITS;
        }
    }
}

/* One output of a smooth filter: support is its half width in source samples, widen the stretch. */
static void fill_one(wf_filter *f, uint32_t o, double (*filter)(double), double center, double support,
                     double widen, uint32_t source) {
    double unit = 1.0 / widen;
    int32_t low = (int32_t)(center - support + 0.5);
    int32_t high = (int32_t)(center + support + 0.5);
    low = low < 0 ? 0 : low;
    high = high > (int32_t)source ? (int32_t)source : high;
    uint32_t count = high > low ? (uint32_t)(high - low) : 0;
    count = count > f->taps ? f->taps : count;
    int32_t *weights = f->weights + (size_t)o * f->taps;
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        sum += filter(((double)(i + (uint32_t)low) - center + 0.5) * unit);
    }
    for (uint32_t i = 0; i < count; i++) {
        /* Evaluated twice rather than kept: no scratch, and the same double both times. */
        double w = filter(((double)(i + (uint32_t)low) - center + 0.5) * unit);
        w = sum != 0.0 ? w / sum : w;
        double fixed = w * (double)(1 << WF_FILTER_BITS);
        weights[i] = (int32_t)(fixed < 0.0 ? fixed - 0.5 : fixed + 0.5);
    }
    f->first[o] = (uint32_t)low;
    f->count[o] = count;
}

wf_status wf_filter_make(wf_filter *f, int resample, uint32_t source, uint32_t resized, int32_t offset,
                         uint32_t outputs, wf_error *err) {
    bool smooth = resample != WF_RESAMPLE_NEAREST && source != resized;
    double scale = (double)source / (double)resized;
    double widen = scale < 1.0 ? 1.0 : scale;
    double support = (resample == WF_RESAMPLE_BICUBIC ? 2.0 : 1.0) * widen;
    uint64_t taps = smooth ? (uint64_t)ceil(support) * 2 + 1 : 1;
    taps = taps > source ? source : taps;
    WF_TRY(reserve(f, outputs, taps, err));
    for (uint32_t o = 0; o < outputs; o++) {
        f->first[o] = 0;
        f->count[o] = 0;
    }
    if (source == resized) {
        fill_copy(f, source, offset);
    } else if (!smooth) {
        fill_nearest(f, source, resized, offset);
    } else {
        for (uint32_t o = 0; o < outputs; o++) {
            int64_t x = (int64_t)offset + o;
            if (x >= 0 && x < (int64_t)resized) {
                fill_one(f, o, resample == WF_RESAMPLE_BICUBIC ? cubic : triangle, ((double)x + 0.5) * scale, support,
                         widen, source);
            }
        }
    }
    return WF_OK;
}
