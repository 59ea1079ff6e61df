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

/* The taps of output `i` of `to` from a line of `from` samples; needs wf_axis_fits. */
void wf_axis_taps_of(wf_axis_taps *t, uint32_t i, uint32_t from, uint32_t to, wf_position_resample rule);

#endif
