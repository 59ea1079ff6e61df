/* Resampling a line of n samples to another length: which samples an output reads, and how much of each. Used for position
   tables, whose grid belongs to one picture size; pictures themselves have media/resize.

   The three rules are torch.nn.functional.interpolate's with align_corners = False:
     bicubic            Keys' cubic, a = −0.75, 4 taps, indices clamped at the ends
     bicubic_antialias  Keys' cubic, a = −0.5, widened by the scale when shrinking, cut off and normalised at the ends (as Pillow)
     bilinear           2 taps, clamped */
#ifndef WF_KERNELS_RESAMPLE_AXIS_H
#define WF_KERNELS_RESAMPLE_AXIS_H

#include <stdint.h>

#include "kernels/op.h"

enum { WF_AXIS_TAPS = 64 };

typedef struct wf_axis_taps {
    uint32_t first, count; /* samples first … first + count − 1 */
    double weight[WF_AXIS_TAPS];
} wf_axis_taps;

/* Whether the taps fit: a shrinking antialiased line reads 4 · from/to samples and a bit. */
static inline int wf_axis_fits(uint32_t from, uint32_t to) { return (uint64_t)from * 4 <= (uint64_t)to * (WF_AXIS_TAPS - 4); }

static inline double wf_axis_cubic(double x, double a) {
    x = x < 0 ? -x : x;
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static inline void wf_axis_add(wf_axis_taps *t, int64_t at, uint32_t n, double weight) {
    uint32_t clamped = at < 0 ? 0 : at >= (int64_t)n ? n - 1 : (uint32_t)at;
    if (t->count == 0) {
        t->first = clamped;
    }
    while (t->first + t->count <= clamped) {
        t->weight[t->count++] = 0;
    }
    t->weight[clamped - t->first] += weight;
}

/* The taps of output `i` of `to` from a line of `from` samples; needs wf_axis_fits. */
static inline void wf_axis_taps_of(wf_axis_taps *t, uint32_t i, uint32_t from, uint32_t to, wf_position_resample rule) {
    double scale = (double)from / to, centre = scale * (i + 0.5);
    t->count = 0;
    if (rule == WF_POSITION_BICUBIC_ANTIALIAS) {
        double width = scale > 1 ? scale : 1, sum = 0;
        int64_t low = (int64_t)(centre - 2 * width + 0.5), high = (int64_t)(centre + 2 * width + 0.5);
        low = low < 0 ? 0 : low;
        high = high > from ? from : high;
        for (int64_t j = low; j < high; j++) {
            double w = wf_axis_cubic(((double)j - centre + 0.5) / width, -0.5);
            wf_axis_add(t, j, from, w);
            sum += w;
        }
        for (uint32_t j = 0; j < t->count; j++) {
            t->weight[j] /= sum;
        }
        return;
    }
    centre -= 0.5;
    if (rule == WF_POSITION_BILINEAR && centre < 0) {
        centre = 0;
    }
    int64_t at = (int64_t)(centre + 1) - 1; /* floor: centre ≥ −0.5 */
    double x = centre - (double)at;
    if (rule == WF_POSITION_BILINEAR) {
        wf_axis_add(t, at, from, 1 - x);
        wf_axis_add(t, at + 1, from, x);
        return;
    }
    for (int64_t j = -1; j <= 2; j++) {
        wf_axis_add(t, at + j, from, wf_axis_cubic((double)j - x, -0.75));
    }
}

#endif
