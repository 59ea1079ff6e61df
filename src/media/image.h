/* From picture files to the tensor that a vision model reads. Three steps that can be used apart:
   decode (CLI only; pages decode with the platform), a streamed Pillow-exact resize + crop, and normalisation. */
#ifndef WF_MEDIA_IMAGE_H
#define WF_MEDIA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* What a model file says about its input (wf.image.*). */
typedef struct wf_image_params {
    uint32_t width, height;  /* of the tensor */
    float crop_pct;          /* resize target: short side = floor(size / crop_pct) (CONTRACT "Pictures") */
    enum { WF_RESAMPLE_NEAREST, WF_RESAMPLE_BILINEAR, WF_RESAMPLE_BICUBIC } resample;
    bool squash;             /* resize straight to width × height, no crop, crop_pct unused (some HF processors) */
    bool round_long;         /* the long side is rounded; torchvision cuts it off (false) */
    float mean[3], std[3];   /* of values in 0..1; output = (v / 255 − mean) / std */
} wf_image_params;

/* 8-bit pixels as decoded: interleaved, `channels` 3 or 4 (alpha is dropped as PIL's convert("RGB") does). */
typedef struct wf_pixels {
    uint8_t *data; /* wf_alloc'ed */
    uint32_t width, height, channels;
} wf_pixels;

enum {
    WF_IMAGE_MAX_PIXELS = 178956970, /* Pillow's own warning limit, checked before allocation */
    WF_IMAGE_MAX_SIDE = 65535,       /* the longest that JPEG can say; keeps tables and sums in 32 bits */
};

/* Geometry of resize and crop for a source of w × h (after orientation), as torchvision and timm compute it. */
typedef struct wf_crop_plan {
    uint32_t resized_w, resized_h; /* the size the whole picture is resized to */
    int32_t left, top;             /* crop offset inside it; negative where the resized picture is smaller than the
                                      crop (crop_pct > 1): that many black columns or rows come before it */
} wf_crop_plan;
wf_status wf_crop_plan_make(const wf_image_params *p, uint32_t w, uint32_t h, wf_crop_plan *out, wf_error *err);

/* ---- streamed resize: rows in, tensor out ---- */
/* Pillow's resize is separable with 8-bit rounding between the passes, so the horizontal pass can run on rows as they come and a
   12-megapixel photo never has to be in memory as a whole. Only the rows and columns that the crop needs are computed. */
typedef struct wf_resizer wf_resizer;
wf_status wf_resizer_create(wf_resizer **out, wf_error *err);
void wf_resizer_free(wf_resizer *r);
/* Keeps its buffers between pictures (no allocation when sizes repeat). */
wf_status wf_resizer_begin(wf_resizer *r, const wf_image_params *p, uint32_t src_w, uint32_t src_h, wf_error *err);
/* The next `rows` source rows, top to bottom; row stride in bytes (the last row needs no padding after its pixels). */
wf_status wf_resizer_rows(wf_resizer *r, const uint8_t *pixels, uint32_t channels, uint32_t stride, uint32_t rows, wf_error *err);
/* Vertical pass, crop, normalise: writes planar float [3, height, width]. May be called again until the next begin. */
wf_status wf_resizer_finish(wf_resizer *r, float *dst, wf_error *err);
/* The same but 8-bit interleaved [height, width, 3], for tests against Pillow. */
wf_status wf_resizer_finish_u8(wf_resizer *r, uint8_t *dst, wf_error *err);

/* All of the above for pixels in memory. dst: [3, height, width]. */
wf_status wf_image_to_tensor(const wf_pixels *pixels, const wf_image_params *p, float *dst, wf_error *err);

/* ---- decoding (native, WASI, tools): media/decode.c ---- */
/* JPEG or PNG from memory; EXIF orientation applied; grey, palette, alpha, 16-bit, CMYK right, or refused by name. */
wf_status wf_image_decode(const void *bytes, size_t n, const char *name, wf_pixels *out, wf_error *err);
void wf_pixels_free(wf_pixels *p);
/* EXIF orientation 1..8 of a JPEG or PNG (1 when absent or malformed). */
uint32_t wf_exif_orientation(const void *bytes, size_t n);

#endif
