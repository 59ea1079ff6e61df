/* A walk over the chunks of a PNG: order, lengths and checksums of the critical chunks (the decoder checks none),
   the header's sizes and colour type, whether the compressed bytes can hold the picture at all, and the eXIf chunk.
   Source: PNG specification (third edition) §5, §11, annex D; cost: one checksum pass over the bytes. */
#include <string.h>

#include "media/container.h"

typedef struct png_walk {
    size_t n, pos;
    const char *name;
    wf_container *out;
    uint32_t depth, color;
    uint32_t palette; /* entries */
    uint64_t data;    /* bytes in IDAT chunks */
    uint32_t crc[256];
} png_walk;

static wf_status broken(const png_walk *w, const char *what, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, w->name, (int64_t)w->pos,
                   "%s is a corrupt PNG: %s at byte %zu; save the picture again from its source", w->name, what, w->pos);
}

static wf_status cut_off(const png_walk *w, wf_error *err) {
    return wf_fail(err, WF_E_TRUNCATED, w->name, (int64_t)w->n,
                   "%s is cut off: the PNG ends after %zu bytes without its IEND chunk; fetch or copy the file again",
                   w->name, w->n);
}

static void fill_crc(uint32_t crc[256]) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) {
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        }
        crc[i] = c;
    }
}

static uint32_t crc_of(const png_walk *w, const uint8_t *p, size_t n) {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c = w->crc[(c ^ p[i]) & 255] ^ c >> 8;
    }
    return ~c;
}

/* Bit depths that go with a colour type, as a mask of depths (they are powers of two). */
static uint32_t depths_of(uint32_t color) {
    switch (color) {
    case 0: return 1 | 2 | 4 | 8 | 16; /* grey */
    case 3: return 1 | 2 | 4 | 8;      /* palette */
    case 2: case 4: case 6: return 8 | 16; /* RGB, grey + alpha, RGBA */
    default: return 0;
    }
}

static wf_status read_header(png_walk *w, const uint8_t *body, size_t n, wf_error *err) {
    if (n != 13) {
        return broken(w, "a header of the wrong length", err);
    }
    w->out->width = wf_load_be32(body);
    w->out->height = wf_load_be32(body + 4);
    w->depth = body[8];
    w->color = body[9];
    bool depth_ok = w->depth != 0 && (w->depth & (w->depth - 1)) == 0 && (w->depth & depths_of(w->color)) != 0;
    if (!depth_ok || body[10] != 0 || body[11] != 0 || body[12] > 1) {
        return broken(w, "a header with an impossible colour type, depth or method", err);
    }
    return wf_container_check_size(w->out, w->name, err);
}

static wf_status read_palette(png_walk *w, size_t n, wf_error *err) {
    if (n % 3 != 0 || n == 0 || n > 768 || w->out->palette_at != 0 || w->data != 0) {
        return broken(w, "a palette of the wrong length or in the wrong place", err);
    }
    w->palette = (uint32_t)(n / 3);
    w->out->palette_at = w->pos;
    return WF_OK;
}

static wf_status finish(png_walk *w, wf_error *err) {
    static const uint8_t channels[7] = {1, 0, 3, 1, 2, 0, 4};
    if (w->color == 3 && w->palette == 0) {
        return broken(w, "the end of a palette picture without a palette", err);
    }
    w->out->palette_missing = w->color == 3 && w->palette < 1u << w->depth ? (1u << w->depth) - w->palette : 0;
    uint64_t line = ((uint64_t)w->out->width * channels[w->color] * w->depth + 7) / 8 + 1;
    if (line * w->out->height / 1032 > w->data) { /* deflate's best: 258 bytes for 2 bits */
        return wf_fail(err, WF_E_FORMAT, w->name, -1,
                       "%s claims %u × %u pixels, but its %llu bytes of data cannot hold that many; the file is corrupt",
                       w->name, w->out->width, w->out->height, (unsigned long long)w->data);
    }
    return WF_OK;
}

/* Critical chunks have a capital first letter; a reader must know them all. */
static wf_status read_chunk(png_walk *w, const uint8_t *type, const uint8_t *body, size_t n, wf_error *err) {
    if (memcmp(type, "eXIf", 4) == 0) {
        w->out->orientation = wf_exif_read(body, n);
    }
    if ((type[0] & 0x20) != 0) {
        return WF_OK;
    }
    if (crc_of(w, type, n + 4) != wf_load_be32(body + n)) {
        return broken(w, "a chunk with a wrong checksum", err);
    }
    if (memcmp(type, "IDAT", 4) == 0) {
        w->data += n;
        return WF_OK;
    }
    if (memcmp(type, "PLTE", 4) == 0) {
        return read_palette(w, n, err);
    }
    return broken(w, memcmp(type, "IHDR", 4) == 0 ? "a second header" : "an unknown critical chunk", err);
}

wf_status wf_png_inspect(const uint8_t *bytes, size_t n, const char *name, wf_container *out, wf_error *err) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    png_walk w = {.n = n, .name = name != NULL ? name : "the picture", .out = out};
    *out = (wf_container){.orientation = 1};
    if (memcmp(bytes, signature, n < 8 ? n : 8) != 0) {
        return broken(&w, "no PNG signature", err);
    }
    fill_crc(w.crc);
    for (w.pos = 8;;) {
        if (w.pos > n || n - w.pos < 12) {
            return cut_off(&w, err);
        }
        size_t length = wf_load_be32(bytes + w.pos);
        const uint8_t *type = bytes + w.pos + 4, *body = type + 4;
        if (length > 0x7fffffff) {
            return broken(&w, "a chunk with an absurd length", err);
        }
        if (length > n - w.pos - 12) {
            return cut_off(&w, err);
        }
        if (w.pos == 8) {
            if (memcmp(type, "CgBI", 4) == 0) {
                return wf_fail(err, WF_E_UNSUPPORTED, w.name, 8,
                               "%s is a PNG in Apple's CgBI variant, which is not supported; save it as a plain PNG",
                               w.name);
            }
            if (memcmp(type, "IHDR", 4) != 0 || crc_of(&w, type, length + 4) != wf_load_be32(body + length)) {
                return broken(&w, "no sound header", err);
            }
            WF_TRY(read_header(&w, body, length, err));
        } else if (memcmp(type, "IEND", 4) == 0) {
            return finish(&w, err);
        } else {
            WF_TRY(read_chunk(&w, type, body, length, err));
        }
        w.pos += length + 12;
    }
}
