/* JPEG and PNG bytes to upright RGB pixels. jpeg_decode.c decodes JPEG, stb_image PNG (that alone, through our allocator); what the
   latter doesn't check or know is done here first: the walk of png.c, the size before any allocation, palettes shorter than their
   indices. Alpha is dropped, 16 bits become v >> 8, both as PIL's
   convert("RGB") does. Not part of the web engine: a page decodes with its platform. README.md: differences. */
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "media/container.h"

/* The decoder's live blocks: it forgets some when an allocation fails. It has about 20 at once; a full table reads as
   no memory. Not thread-safe, as alloc.h isn't. */
static struct {
    void *block[64];
    size_t count;
    bool refused; /* an allocation failed: the decoder may name another reason */
} live;

static void *stb_track(void *block) {
    if (block != NULL) {
        live.block[live.count++] = block;
    } else {
        live.refused = true;
    }
    return block;
}

static void stb_untrack(const void *block) {
    for (size_t i = 0; i < live.count; i++) {
        if (live.block[i] == block) {
            live.block[i] = live.block[--live.count];
            return;
        }
    }
}

/* Zeroed, so that a hostile file can never make old heap contents visible as pixels. */
static void *stb_alloc(size_t size) {
    return stb_track(live.count < sizeof live.block / sizeof *live.block ? wf_alloc_zero(size) : NULL);
}

static void *stb_realloc(void *block, size_t size) {
    if (block == NULL) {
        return stb_alloc(size);
    }
    void *moved = wf_realloc(block, size);
    if (moved != NULL) {
        stb_untrack(block);
    }
    return stb_track(moved);
}

static void stb_free(void *block) {
    stb_untrack(block);
    wf_free(block);
}

#define STBI_MALLOC(size) stb_alloc(size)
#define STBI_REALLOC(block, size) stb_realloc(block, size)
#define STBI_FREE(block) stb_free(block)
#define STBI_MAX_DIMENSIONS 65535
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#ifndef WF_STBI_ASSERT /* the fuzzer keeps them */
#define STBI_ASSERT(condition) ((void)0)
#endif
#define STB_IMAGE_STATIC
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wunused-function" /* no pop: GCC judges them at the end of the file */
#endif
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

wf_status wf_container_check_size(const wf_container *c, const char *name, wf_error *err) {
    if (c->width == 0 || c->height == 0) {
        return wf_fail(err, WF_E_FORMAT, name, -1, "%s says it has no pixels (%u × %u); the file is corrupt", name,
                       c->width, c->height);
    }
    if (c->width > WF_IMAGE_MAX_SIDE || c->height > WF_IMAGE_MAX_SIDE ||
        (uint64_t)c->width * c->height > WF_IMAGE_MAX_PIXELS) {
        return wf_fail(err, WF_E_UNSUPPORTED, name, -1,
                       "%s has %u × %u pixels; at most %d a side and %d in all are read, scale it down first", name,
                       c->width, c->height, WF_IMAGE_MAX_SIDE, WF_IMAGE_MAX_PIXELS);
    }
    return WF_OK;
}

wf_status wf_container_no_memory(const char *name, wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, name, -1, "no memory to decode %s; close other programs or scale it down first",
                   name);
}

/* A copy of the PNG whose palette is filled up with black; NULL when memory is exhausted. */
static uint8_t *mend(const uint8_t *bytes, size_t n, const wf_container *c, size_t *out_n) {
    size_t length = wf_load_be32(bytes + c->palette_at), more = (size_t)c->palette_missing * 3, at = c->palette_at + 8 + length;
    *out_n = n + more;
    uint8_t *out = wf_alloc_zero(n + more);
    if (out != NULL) {
        memcpy(out, bytes, at);
        memcpy(out + at + more, bytes + at, n - at);
        out[c->palette_at + 2] = (uint8_t)((length + more) >> 8);
        out[c->palette_at + 3] = (uint8_t)(length + more);
    }
    return out;
}

/* Rewrites the pixels so that the picture stands upright. Orientations 5..8 swap the sides. */
static wf_status turn(wf_pixels *p, uint32_t orientation, const char *name, wf_error *err) {
    enum { TILE = 32 }; /* columns become rows: stay within cache lines */
    uint32_t w = orientation >= 5 ? p->height : p->width, h = orientation >= 5 ? p->width : p->height;
    ptrdiff_t row = (ptrdiff_t)p->width * 3, last_x = row - 3, last_y = row * (ptrdiff_t)(p->height - 1);
    const struct {
        ptrdiff_t start, across, down; /* source offset of output (0, 0), and steps for x and y */
    } walk[9] = {[1] = {0, 3, row},      [2] = {last_x, -3, row},           [3] = {last_x + last_y, -3, -row},
                 [4] = {last_y, 3, -row}, [5] = {0, row, 3},                 [6] = {last_y, -row, 3},
                 [7] = {last_x + last_y, -row, -3}, [8] = {last_x, row, -3}};
    uint8_t *out = wf_alloc((size_t)w * h * 3);
    if (out == NULL) {
        return wf_container_no_memory(name, err);
    }
    const uint8_t *start = p->data + walk[orientation].start;
    ptrdiff_t across = walk[orientation].across, down = walk[orientation].down;
    for (uint32_t y0 = 0; y0 < h; y0 += TILE) {
        for (uint32_t x0 = 0; x0 < w; x0 += TILE) {
            for (uint32_t y = y0; y < h && y < y0 + TILE; y++) {
                uint8_t *dst = out + ((size_t)y * w + x0) * 3;
                for (uint32_t x = x0; x < w && x < x0 + TILE; x++, dst += 3) {
                    const uint8_t *src = start + (ptrdiff_t)x * across + (ptrdiff_t)y * down;
                    dst[0] = src[0];
                    dst[1] = src[1];
                    dst[2] = src[2];
                }
            }
        }
    }
    wf_free(p->data);
    *p = (wf_pixels){out, w, h, 3};
    return WF_OK;
}

static wf_status decode_png(const uint8_t *bytes, size_t n, const char *name, wf_pixels *out, wf_error *err) {
    int width = 0, height = 0, channels = 0;
    live.refused = false;
    uint8_t *data = stbi_load_from_memory(bytes, (int)n, &width, &height, &channels, 3);
    stb_untrack(data); /* the caller's from here on */
    while (live.count > 0) {
        wf_free(live.block[--live.count]);
    }
    if (data == NULL) {
        const char *reason = stbi_failure_reason();
        reason = reason != NULL ? reason : "unknown";
        if (live.refused) {
            return wf_container_no_memory(name, err);
        }
        return wf_fail(err, WF_E_FORMAT, name, -1,
                       "%s is corrupt: its data do not decode (%s); save the picture again from its source", name, reason);
    }
    *out = (wf_pixels){data, (uint32_t)width, (uint32_t)height, 3};
    return WF_OK;
}

static wf_status refuse_kind(const uint8_t *bytes, size_t n, const char *name, wf_error *err) {
    static const struct {
        const char *name, *magic;
        size_t at, n;
    } kinds[] = {{"a GIF", "GIF8", 0, 4},       {"a WebP picture", "WEBP", 8, 4},     {"a BMP", "BM", 0, 2},
                 {"a TIFF", "II*\0", 0, 4},     {"a TIFF", "MM\0*", 0, 4},            {"an AVIF picture", "ftypavif", 4, 8},
                 {"a HEIC photo", "ftyp", 4, 4}, {"a JPEG XL picture", "\xff\x0a", 0, 2}, {"a PDF", "%PDF", 0, 4},
                 {"an SVG or HTML page", "<", 0, 1}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (n >= kinds[i].at + kinds[i].n && memcmp(bytes + kinds[i].at, kinds[i].magic, kinds[i].n) == 0) {
            return wf_fail(err, WF_E_UNSUPPORTED, name, 0, "%s is %s; only JPEG and PNG are read, convert it first", name,
                           kinds[i].name);
        }
    }
    return wf_fail(err, n == 0 ? WF_E_TRUNCATED : WF_E_FORMAT, name, 0,
                   n == 0 ? "%s is empty; a JPEG or PNG file is needed" : "%s is no JPEG or PNG file", name);
}

wf_status wf_image_decode(const void *bytes, size_t n, const char *name, wf_pixels *out, wf_error *err) {
    const uint8_t *b = bytes;
    wf_container c;
    name = name != NULL ? name : "the picture";
    *out = (wf_pixels){0};
    bool jpeg = n >= 2 && b[0] == 0xff && b[1] == 0xd8;
    if (jpeg) {
        WF_TRY(wf_jpeg_inspect(b, n, name, &c, err));
    } else if (n >= 4 && memcmp(b, "\x89PNG", 4) == 0) {
        WF_TRY(wf_png_inspect(b, n, name, &c, err));
    } else {
        return refuse_kind(b, n, name, err);
    }
    if (n > INT_MAX - 1024) {
        return wf_fail(err, WF_E_UNSUPPORTED, name, -1, "%s is larger than 2 GB; scale it down first", name);
    }
    wf_status status;
    if (jpeg) {
        status = wf_jpeg_decode(b, n, name, out, err);
    } else if (c.palette_missing > 0) {
        size_t mended_n = 0;
        uint8_t *mended = mend(b, n, &c, &mended_n);
        status = mended != NULL ? decode_png(mended, mended_n, name, out, err) : wf_container_no_memory(name, err);
        wf_free(mended);
    } else {
        status = decode_png(b, n, name, out, err);
    }
    if (status == WF_OK && c.orientation != 1) {
        status = turn(out, c.orientation, name, err);
    }
    if (status != WF_OK) {
        wf_pixels_free(out);
    }
    return status;
}

void wf_pixels_free(wf_pixels *p) {
    wf_free(p->data);
    *p = (wf_pixels){0};
}
