/* The orientation tag of EXIF: a TIFF header ("II" or "MM", 42, offset of a directory), and in the directory the
   entry 0x0112, one SHORT of 1..8. Everything else is skipped; whatever doesn't fit reads as 1, because a picture
   with odd metadata is still a picture. Source: EXIF 2.32 §4.5–4.6. */
#include "base/bytes.h"
#include "media/container.h"

enum { ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12 };

uint32_t wf_exif_read(const uint8_t *tiff, size_t n) {
    if (n < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) {
        return 1;
    }
    bool big = tiff[0] == 'M';
#define U16(at) (big ? wf_load_be16(tiff + (at)) : wf_load_u16(tiff + (at)))
#define U32(at) (big ? wf_load_be32(tiff + (at)) : wf_load_u32(tiff + (at)))
    size_t directory = U32(4);
    if (U16(2) != 42 || directory > n - 2) {
        return 1;
    }
    size_t entries = U16(directory), fit = (n - 2 - directory) / ENTRY;
    entries = entries < fit ? entries : fit;
    for (size_t i = 0; i < entries; i++) {
        size_t at = directory + 2 + i * ENTRY;
        if (U16(at) == ORIENTATION) {
            uint32_t value = U16(at + 8);
            return U16(at + 2) == SHORT && U32(at + 4) == 1 && value >= 1 && value <= 8 ? value : 1;
        }
    }
#undef U16
#undef U32
    return 1;
}

uint32_t wf_exif_orientation(const void *bytes, size_t n) {
    wf_container c;
    const uint8_t *b = bytes;
    wf_status status = n > 0 && b[0] == 0x89 ? wf_png_inspect(b, n, NULL, &c, NULL) : wf_jpeg_inspect(b, n, NULL, &c, NULL);
    (void)status; /* a broken file may still have said its orientation before */
    return c.orientation;
}
