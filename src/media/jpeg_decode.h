/* Inside the JPEG decoder: what its files share. jpeg_decode.c reads the headers and keeps the order of events, jpeg_scan.c turns the bits of
   a scan into coefficients, jpeg_idct.c those into samples, jpeg_colour.c samples into pixels. */
#ifndef WF_MEDIA_JPEG_DECODE_H
#define WF_MEDIA_JPEG_DECODE_H

#include "media/container.h"

enum { WF_JPEG_COMPONENTS = 4, WF_JPEG_FAST_BITS = 9 };

/* A Huffman table: codes of up to WF_JPEG_FAST_BITS bits by look-up, longer ones by their first code of each length. */
typedef struct wf_jpeg_huffman {
    bool defined;
    uint8_t symbols[256];
    uint16_t fast[1 << WF_JPEG_FAST_BITS]; /* length · 256 + symbol; 0: longer */
    uint32_t limit[18];                    /* by length: codes of it are below limit, left-aligned in 16 bits; [17] ends the search */
    int32_t offset[17];                    /* index of a code's symbol is the code + offset */
} wf_jpeg_huffman;

typedef struct wf_jpeg_component {
    uint8_t id, across, down;         /* sampling factors */
    uint8_t quant;                    /* number of its table */
    bool latched;                     /* its table has been taken, which happens in its first scan */
    uint16_t steps[64];               /* that table, in natural order */
    uint32_t width, height;           /* samples that the picture has of it */
    uint32_t blocks_w, blocks_h;      /* blocks that hold them */
    uint32_t padded_w, padded_h;      /* the same, up to whole MCUs */
    uint8_t *samples;                 /* [padded_h · 8, padded_w · 8] */
    int16_t *coefficients;            /* progressive: [padded_h, padded_w, 64] in natural order */
    const wf_jpeg_huffman *dc, *ac;   /* of the scan at hand */
    int32_t last_dc;
} wf_jpeg_component;

typedef struct wf_jpeg {
    const uint8_t *bytes;
    size_t n, pos;
    const char *name;
    bool progressive, adobe, jfif;
    uint8_t transform; /* Adobe's: 0 as it is, 1 YCbCr, 2 YCCK */
    uint32_t width, height, count, most_across, most_down, mcus_w, mcus_h;
    uint32_t restart; /* MCUs between restart markers; 0: none */
    wf_jpeg_component component[WF_JPEG_COMPONENTS];
    uint16_t quant[4][64]; /* in natural order */
    bool has_quant[4];
    wf_jpeg_huffman huffman[2][4]; /* DC, AC */
} wf_jpeg;

/* One scan, whose header is component indices and four numbers (T.81 B.2.3). */
typedef struct wf_jpeg_scan {
    uint32_t count, index[WF_JPEG_COMPONENTS];
    uint32_t first, last, high, low; /* Ss, Se, Ah, Al */
} wf_jpeg_scan;

extern const uint8_t wf_jpeg_zigzag[64]; /* place in the scan → natural order */

wf_status wf_jpeg_corrupt(const wf_jpeg *j, const char *what, wf_error *err);
/* Decodes from j->pos to the marker behind the scan. Sequential blocks become samples at once. */
wf_status wf_jpeg_read_scan(wf_jpeg *j, const wf_jpeg_scan *scan, wf_error *err);
/* Dequantises and transforms one block [64] into 8 × 8 samples. */
void wf_jpeg_idct(const int16_t *block, const uint16_t *steps, uint8_t *out, size_t stride);
/* Samples → out->data [height, width, 3]. */
wf_status wf_jpeg_paint(const wf_jpeg *j, wf_pixels *out, wf_error *err);

#endif
