/* Out of line: kernels ask once a row, and several do. */
#include "kernels/resample_axis.h"

static double cubic(double x, double a) {
    x = x < 0 ? -x : x;
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static void add(wf_axis_taps *t, int64_t at, uint32_t n, double weight) {
    uint32_t clamped = at < 0 ? 0 : at >= (int64_t)n ? n - 1 : (uint32_t)at;
    if (t->count == 0) {
        t->first = clamped;
    }
    while (t->first + t->count <= clamped) {
        t->weight[t->count++] = 0;
    }
    t->weight[clamped - t->first] += weight;
}

void wf_axis_taps_of(wf_axis_taps *t, uint32_t i, uint32_t from, uint32_t to, wf_position_resample rule) {
    double scale = (double)from / to, centre = scale * (i + 0.5);
    t->count = 0;
    if (rule == WF_POSITION_BICUBIC_ANTIALIAS) {
        double width = scale > 1 ? scale : 1, sum = 0;
        int64_t low = (int64_t)(centre - 2 * width + 0.5), high = (int64_t)(centre + 2 * width + 0.5);
        low = low < 0 ? 0 : low;
        high = high > from ? from : high;
        for (int64_t j = low; j < high; j++) {
            double w = cubic(((double)j - centre + 0.5) / width, -0.5);
            add(t, j, from, w);
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
        add(t, at, from, 1 - x);
        add(t, at + 1, from, x);
        return;
    }
    for (int64_t j = -1; j <= 2; j++) {
        add(t, at + j, from, cubic((double)j - x, -0.75));
    }
}
