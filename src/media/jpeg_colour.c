/* Samples → RGB rows: chroma is brought to the picture's size by the triangle filter ("fancy upsampling": each new sample is 3/4 of the nearer
   and 1/4 of the farther one, in each direction), then colours are converted by 16-bit fixed-point tables, both to the last bit as the
   IJG's library (libjpeg-turbo's defaults) does it. Ratios other than 2 repeat samples. Four components are read as Adobe writes them
   (inverted) and become RGB as Pillow's convert does it. */
#include <string.h>

#include "base/alloc.h"
#include "media/jpeg_decode.h"

typedef struct painter {
    const wf_jpeg *jpeg;
    uint8_t *rows[WF_JPEG_COMPONENTS]; /* [width of the samples · ratio]; NULL where the ratio is 1 */
    int32_t red[256], green_cr[256], green_cb[256], blue[256];
} painter;

/* ---- one row of a component at the picture's width ---- */

static void repeat(const uint8_t *in, uint32_t n, uint32_t ratio, uint8_t *out) {
    for (uint32_t x = 0; x < n; x++) {
        memset(out + (size_t)x * ratio, in[x], ratio);
    }
}

/* Twice as wide: 3/4 and 1/4, rounded up and down by turns. */
static void wider(const uint8_t *in, uint32_t n, uint8_t *out) {
    for (uint32_t x = 0; x < n; x++) {
        uint32_t here = 3u * in[x], before = in[x > 0 ? x - 1 : 0], after = in[x + 1 < n ? x + 1 : x];
        out[2 * x] = (uint8_t)((here + before + 1) >> 2);
        out[2 * x + 1] = (uint8_t)((here + after + 2) >> 2);
    }
}

/* Of two rows, the nearer first. */
static void taller(const uint8_t *near, const uint8_t *far, uint32_t n, uint32_t bias, uint8_t *out) {
    for (uint32_t x = 0; x < n; x++) {
        out[x] = (uint8_t)((3u * near[x] + far[x] + bias) >> 2);
    }
}

static void wider_and_taller(const uint8_t *near, const uint8_t *far, uint32_t n, uint8_t *out) {
    uint32_t before = 3u * near[0] + far[0], here = before;
    for (uint32_t x = 0; x < n; x++) {
        uint32_t next = x + 1 < n ? x + 1 : x, after = 3u * near[next] + far[next];
        out[2 * x] = (uint8_t)((3 * here + before + 8) >> 4);
        out[2 * x + 1] = (uint8_t)((3 * here + after + 7) >> 4);
        before = here;
        here = after;
    }
}

static const uint8_t *row_of(const painter *p, uint32_t i, uint32_t y) {
    const wf_jpeg *j = p->jpeg;
    const wf_jpeg_component *c = &j->component[i];
    uint32_t across = j->most_across / c->across, down = j->most_down / c->down, at = y / down;
    size_t stride = (size_t)c->padded_w * 8;
    const uint8_t *near = c->samples + at * stride, *far = near;
    if (down == 2 && y % 2 == 0 && at > 0) {
        far = near - stride;
    } else if (down == 2 && y % 2 == 1 && at + 1 < c->height) {
        far = near + stride;
    }
    uint8_t *out = p->rows[i];
    if (across == 1 && down == 2) {
        taller(near, far, c->width, y % 2 == 0 ? 1 : 2, out);
    } else if (across == 2 && down == 2 && c->width > 2) {
        wider_and_taller(near, far, c->width, out);
    } else if (across == 2 && down == 1 && c->width > 2) {
        wider(near, c->width, out);
    } else if (across > 1) {
        repeat(near, c->width, across, out);
    } else {
        return near;
    }
    return out;
}

/* ---- colours (JFIF: ITU-R BT.601, full range) ---- */

static void make_tables(painter *p) {
    for (int32_t i = 0; i < 256; i++) {
        int32_t x = i - 128;
        p->red[i] = (91881 * x + 32768) >> 16;   /* 1.402 */
        p->blue[i] = (116130 * x + 32768) >> 16; /* 1.772 */
        p->green_cr[i] = -46802 * x;             /* 0.71414 */
        p->green_cb[i] = -22554 * x + 32768;     /* 0.34414 */
    }
}

static inline uint8_t clamp(int32_t v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

static inline void rgb_of(const painter *p, uint8_t y, uint8_t cb, uint8_t cr, uint8_t rgb[3]) {
    rgb[0] = clamp(y + p->red[cr]);
    rgb[1] = clamp(y + ((p->green_cb[cb] + p->green_cr[cr]) >> 16));
    rgb[2] = clamp(y + p->blue[cb]);
}

/* a · b / 255, rounded. */
static inline int32_t product(int32_t a, int32_t b) {
    int32_t v = a * b + 128;
    return ((v >> 8) + v) >> 8;
}

enum colours { GREY, RGB, YCC, CMYK, YCCK };

/* T.81 says nothing about colours; JFIF and Adobe do, else the component's names are looked at. */
static enum colours colours_of(const wf_jpeg *j) {
    const wf_jpeg_component *c = j->component;
    bool names_rgb = c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B';
    switch (j->count) {
    case 1: return GREY;
    case 3: return !j->jfif && (j->adobe ? j->transform == 0 : names_rgb) ? RGB : YCC;
    default: return j->adobe && j->transform != 0 ? YCCK : CMYK;
    }
}

static void paint_row(const painter *p, enum colours colours, const uint8_t *const in[WF_JPEG_COMPONENTS], uint8_t *out) {
    for (uint32_t x = 0; x < p->jpeg->width; x++, out += 3) {
        if (colours == GREY) {
            out[0] = out[1] = out[2] = in[0][x];
            continue;
        }
        out[0] = in[0][x];
        out[1] = in[1][x];
        out[2] = in[2][x];
        if (colours == YCC || colours == YCCK) {
            rgb_of(p, in[0][x], in[1][x], in[2][x], out);
        }
        if (colours == CMYK || colours == YCCK) { /* inverted ink is light, and YCCK's C is what remains of its R */
            int32_t light = in[3][x];
            for (int k = 0; k < 3; k++) {
                int32_t ink = colours == YCCK ? out[k] : 255 - out[k];
                out[k] = clamp(light - product(ink, light));
            }
        }
    }
}

wf_status wf_jpeg_paint(const wf_jpeg *j, wf_pixels *out, wf_error *err) {
    painter p = {.jpeg = j};
    wf_status status = WF_OK;
    for (uint32_t i = 0; i < j->count && status == WF_OK; i++) {
        const wf_jpeg_component *c = &j->component[i];
        size_t ratio = j->most_across / c->across;
        if (ratio != 1 || j->most_down != c->down) {
            p.rows[i] = wf_alloc(ratio * c->width);
            status = p.rows[i] != NULL ? WF_OK : WF_E_MEMORY;
        }
    }
    out->data = status == WF_OK ? wf_alloc((size_t)j->width * j->height * 3) : NULL;
    if (out->data == NULL) {
        status = wf_container_no_memory(j->name, err);
    }
    make_tables(&p);
    for (uint32_t y = 0; y < j->height && status == WF_OK; y++) {
        const uint8_t *in[WF_JPEG_COMPONENTS] = {NULL};
        for (uint32_t i = 0; i < j->count; i++) {
            in[i] = row_of(&p, i, y);
        }
        paint_row(&p, colours_of(j), in, out->data + (size_t)y * j->width * 3);
    }
    for (uint32_t i = 0; i < j->count; i++) {
        wf_free(p.rows[i]);
    }
    if (status == WF_OK) {
        out->width = j->width;
        out->height = j->height;
        out->channels = 3;
    }
    return status;
}
