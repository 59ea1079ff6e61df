/* Geometry of the reference's evaluation transform: Resize(floor(size / crop_pct)), then CenterCrop(size).
   Square target (torchvision): short' = floor(size / crop_pct), long' = int(short' × long / short).
   Other targets (timm's ResizeKeepRatio): both sides are divided by min(h / target h, w / target w), target being
   floor(side / crop_pct), and rounded, so that the picture just covers the target.
   Crop offset = round((n − crop) / 2), halves to even as Python rounds; where n < crop, (crop − n) / 2 (floored)
   black pixels come first. HF's own processors floor the offset instead: at most one pixel apart, and only when
   n − crop is odd. Reference: torchvision's center_crop and resize, timm's transforms_factory. */
#include <math.h>

#include "media/image.h"

/* Nothing real is resized to more: Pillow would need 50 GB for it. */
enum { MAX_RESIZED = 1 << 26 };

static double round_half_even(double v) {
    double low = floor(v);
    double rest = v - low;
    if (rest > 0.5 || (rest == 0.5 && fmod(low, 2.0) != 0.0)) {
        low += 1.0;
    }
    return low;
}

/* floor(size / crop_pct) as Python computes it in double from the decimal that a person wrote; the file holds a
   float, and 256 / 0.8f would give 319. */
static double scaled_size(uint32_t size, float crop_pct) {
    for (double unit = 10.0; unit <= 10000.0; unit *= 10.0) {
        double decimal = floor((double)crop_pct * unit + 0.5) / unit;
        if ((float)decimal == crop_pct) {
            return floor((double)size / decimal);
        }
    }
    /* Not a short decimal, so it was probably made as size / resized: take the integer it came from. */
    double exact = (double)size / (double)crop_pct;
    double nearest = floor(exact + 0.5);
    return fabs(exact - nearest) <= exact * 1.2e-7 ? nearest : floor(exact);
}

static int32_t crop_offset(uint32_t resized, uint32_t crop) {
    if (resized < crop) {
        return -(int32_t)((crop - resized) / 2);
    }
    return (int32_t)round_half_even((double)(resized - crop) / 2.0);
}

static wf_status check(const wf_image_params *p, uint32_t w, uint32_t h, wf_error *err) {
    if (p->width == 0 || p->height == 0 || p->width > WF_IMAGE_MAX_SIDE || p->height > WF_IMAGE_MAX_SIDE) {
        return wf_fail(err, WF_E_ARGUMENT, "image size", -1,
                       "the model asks for pictures of %u × %u pixels; each side must be 1 to %d", p->width,
                       p->height, WF_IMAGE_MAX_SIDE);
    }
    if (!p->squash && !(p->crop_pct >= 0.01f && p->crop_pct <= 100.0f)) {
        return wf_fail(err, WF_E_ARGUMENT, "crop_pct", -1,
                       "crop_pct is %g; it must lie between 0.01 and 100 (most models use 0.875 to 1)",
                       (double)p->crop_pct);
    }
    if (w == 0 || h == 0) {
        return wf_fail(err, WF_E_ARGUMENT, "picture", -1, "the picture has no pixels (%u × %u)", w, h);
    }
    if (w > WF_IMAGE_MAX_SIDE || h > WF_IMAGE_MAX_SIDE) {
        return wf_fail(err, WF_E_UNSUPPORTED, "picture", -1,
                       "the picture is %u × %u; sides above %d are not supported, scale it down first", w, h,
                       WF_IMAGE_MAX_SIDE);
    }
    return WF_OK;
}

wf_status wf_crop_plan_make(const wf_image_params *p, uint32_t w, uint32_t h, wf_crop_plan *out, wf_error *err) {
    WF_TRY(check(p, w, h, err));
    if (p->squash) {
        *out = (wf_crop_plan){p->width, p->height, 0, 0};
        return WF_OK;
    }
    double target_w = scaled_size(p->width, p->crop_pct);
    double target_h = scaled_size(p->height, p->crop_pct);
    double resized_w, resized_h;
    if (target_w < 1.0 || target_h < 1.0) {
        return wf_fail(err, WF_E_ARGUMENT, "crop_pct", -1,
                       "crop_pct %g shrinks the picture to nothing for a model input of %u × %u",
                       (double)p->crop_pct, p->width, p->height);
    }
    if (target_w == target_h) {
        /* The product stays below 2^53 and the quotient is at least 1 / 65535 away from a wrong integer. */
        double longer = w <= h ? target_h * (double)h / (double)w : target_w * (double)w / (double)h;
        longer = p->round_long ? round_half_even(longer) : floor(longer);
        resized_w = w <= h ? target_w : longer;
        resized_h = w <= h ? longer : target_h;
    } else {
        double ratio_w = (double)w / target_w, ratio_h = (double)h / target_h;
        double ratio = ratio_w < ratio_h ? ratio_w : ratio_h;
        resized_w = round_half_even((double)w / ratio);
        resized_h = round_half_even((double)h / ratio);
    }
    if (resized_w > MAX_RESIZED || resized_h > MAX_RESIZED) {
        return wf_fail(err, WF_E_UNSUPPORTED, "picture", -1,
                       "a picture of %u × %u is too elongated: it would be resized to %.0f × %.0f; crop it first", w,
                       h, resized_w, resized_h);
    }
    out->resized_w = (uint32_t)resized_w;
    out->resized_h = (uint32_t)resized_h;
    out->left = crop_offset(out->resized_w, p->width);
    out->top = crop_offset(out->resized_h, p->height);
    return WF_OK;
}
