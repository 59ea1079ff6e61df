/* What the headers of a picture file say, checked before any pixel is decoded: the walk over all markers or chunks
   finds files that are cut off, sizes that are absurd for the bytes at hand, and kinds that are refused by name. */
#ifndef WF_MEDIA_CONTAINER_H
#define WF_MEDIA_CONTAINER_H

#include <stddef.h>

#include "media/image.h"

typedef struct wf_container {
    uint32_t width, height;
    uint32_t orientation;     /* EXIF, 1..8 */
    size_t palette_at;        /* PNG: offset of the PLTE chunk, 0 where there is none */
    uint32_t palette_missing; /* PNG: entries that an index could name and the palette lacks */
} wf_container;

wf_status wf_jpeg_inspect(const uint8_t *bytes, size_t n, const char *name, wf_container *out, wf_error *err);
wf_status wf_png_inspect(const uint8_t *bytes, size_t n, const char *name, wf_container *out, wf_error *err);

/* A JPEG that wf_jpeg_inspect has passed → RGB pixels (jpeg_decode.c). */
wf_status wf_jpeg_decode(const uint8_t *bytes, size_t n, const char *name, wf_pixels *out, wf_error *err);

wf_status wf_container_no_memory(const char *name, wf_error *err);
/* Sides and pixel count within what image.h allows. */
wf_status wf_container_check_size(const wf_container *c, const char *name, wf_error *err);

/* Orientation in a TIFF structure, as EXIF embeds it; 1 when there is none or it is malformed. */
uint32_t wf_exif_read(const uint8_t *tiff, size_t n);

static inline uint32_t wf_load_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t wf_load_be32(const uint8_t *p) { return wf_load_be16(p) << 16 | wf_load_be16(p + 2); }

#endif
