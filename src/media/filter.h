/* One axis of a resize as a table: for every output sample its first source sample, how many, and their weights
   in fixed point. Copying, nearest and padding are the same table with one tap or none, so that the passes over
   pixels know nothing of filters. */
#ifndef WF_MEDIA_FILTER_H
#define WF_MEDIA_FILTER_H

#include "media/image.h"

enum { WF_FILTER_BITS = 32 - 8 - 2 }; /* 8 bits of pixel, 2 of headroom for overshooting weights */

typedef struct wf_filter {
    uint32_t outputs;
    uint32_t taps;     /* row length of weights */
    uint32_t *first;   /* [outputs] */
    uint32_t *count;   /* [outputs], ≤ taps; 0: black */
    int32_t *weights;  /* [outputs, taps], unit 2^-WF_FILTER_BITS */
    uint64_t capacity_outputs, capacity_weights;
} wf_filter;

/* Outputs offset … offset + outputs − 1 of an axis of `resized` samples made from `source` ones; those outside
   the axis are black. Allocates only when the tables must grow. */
wf_status wf_filter_make(wf_filter *f, int resample, uint32_t source, uint32_t resized, int32_t offset,
                         uint32_t outputs, wf_error *err);
void wf_filter_free(wf_filter *f);

/* The clamped 8-bit value of a weighted sum that began at WF_FILTER_HALF. */
enum { WF_FILTER_HALF = 1 << (WF_FILTER_BITS - 1) };
static inline uint8_t wf_filter_clip(int32_t sum) {
    int32_t v = sum >> WF_FILTER_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

#endif
