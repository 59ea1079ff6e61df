/* A walk over the markers of a JPEG. It refuses by name what the decoder doesn't know (arithmetic coding, lossless,
   12 bits, a height that comes later), and finds what the decoder would turn into a half grey picture: no EOI at the
   end, components without a scan, sizes for which the data cannot have a bit per block. Source: ITU-T T.81 annex B;
   cost: one pass over the bytes. */
#include <string.h>

#include "media/container.h"

enum { DHT = 0xc4, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1, MAX_SCANS = 100 };

typedef struct jpeg_walk {
    const uint8_t *bytes;
    size_t n, pos;
    const char *name;
    wf_container *out;
    uint32_t components, scans;
    uint8_t id[4], across[4], down[4]; /* component ids and sampling factors */
    bool scanned[4];
} jpeg_walk;

static wf_status cut_off(const jpeg_walk *w, const char *what, wf_error *err) {
    return wf_fail(err, WF_E_TRUNCATED, w->name, (int64_t)w->n,
                   "%s is cut off: the JPEG ends after %zu bytes %s; fetch or copy the file again", w->name, w->n, what);
}

static wf_status broken(const jpeg_walk *w, const char *what, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, w->name, (int64_t)w->pos,
                   "%s is a corrupt JPEG: %s at byte %zu; save the picture again from its source", w->name, what, w->pos);
}

/* Names for the frame kinds that are not baseline, extended or progressive Huffman. */
static const char *refused_frame(uint8_t marker) {
    switch (marker) {
    case 0xc3: return "lossless JPEG";
    case 0xc5: case 0xc6: case 0xc7: return "hierarchical JPEG";
    case 0xc9: case 0xca: return "arithmetic-coded JPEG";
    case 0xcb: case 0xcd: case 0xce: case 0xcf: return "arithmetic-coded lossless or hierarchical JPEG";
    case 0xf7: return "JPEG-LS";
    default: return NULL;
    }
}

static wf_status refuse(const jpeg_walk *w, const char *kind, wf_error *err) {
    return wf_fail(err, WF_E_UNSUPPORTED, w->name, (int64_t)w->pos,
                   "%s is %s, which is not supported; save it as an ordinary 8-bit JPEG or PNG", w->name, kind);
}

/* Every block of every component takes at least one bit of a scan. */
static bool plausible(const jpeg_walk *w) {
    uint32_t across = 1, down = 1;
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < w->components; i++) {
        across = w->across[i] > across ? w->across[i] : across;
        down = w->down[i] > down ? w->down[i] : down;
    }
    for (uint32_t i = 0; i < w->components; i++) {
        uint64_t x = ((uint64_t)w->out->width * w->across[i] + across - 1) / across;
        uint64_t y = ((uint64_t)w->out->height * w->down[i] + down - 1) / down;
        blocks += ((x + 7) / 8) * ((y + 7) / 8);
    }
    return blocks / 8 <= w->n;
}

static wf_status read_frame(jpeg_walk *w, const uint8_t *body, size_t n, wf_error *err) {
    if (w->components != 0) {
        return broken(w, "a second frame header", err);
    }
    if (n < 6) {
        return broken(w, "a short frame header", err);
    }
    if (body[0] != 8) {
        return refuse(w, body[0] == 12 ? "a 12-bit JPEG" : "a JPEG of an unusual bit depth", err);
    }
    w->out->height = wf_load_be16(body + 1);
    w->out->width = wf_load_be16(body + 3);
    w->components = body[5];
    if (w->out->height == 0) {
        return refuse(w, "a JPEG that tells its height only at the end (DNL)", err);
    }
    if (w->components != 1 && w->components != 3 && w->components != 4) {
        return refuse(w, "a JPEG with an unusual number of components", err);
    }
    if (n != 6 + 3 * (size_t)w->components) {
        return broken(w, "a frame header of the wrong length", err);
    }
    for (uint32_t i = 0; i < w->components; i++) {
        w->id[i] = body[6 + 3 * i];
        w->across[i] = body[7 + 3 * i] >> 4;
        w->down[i] = body[7 + 3 * i] & 15;
        if (w->across[i] == 0 || w->across[i] > 4 || w->down[i] == 0 || w->down[i] > 4) {
            return broken(w, "a sampling factor outside 1 to 4", err);
        }
    }
    WF_TRY(wf_container_check_size(w->out, w->name, err));
    if (!plausible(w)) {
        return wf_fail(err, WF_E_FORMAT, w->name, (int64_t)w->pos,
                       "%s claims %u × %u pixels, but its %zu bytes cannot hold that many; the file is corrupt",
                       w->name, w->out->width, w->out->height, w->n);
    }
    return WF_OK;
}

/* The header of a scan, then its entropy-coded bytes up to the next marker. */
static wf_status read_scan(jpeg_walk *w, const uint8_t *body, size_t n, wf_error *err) {
    if (w->components == 0) {
        return broken(w, "a scan before the frame header", err);
    }
    if (++w->scans > MAX_SCANS) {
        return wf_fail(err, WF_E_UNSUPPORTED, w->name, (int64_t)w->pos,
                       "%s has more than %d scans, which only serves to keep decoders busy; save it again", w->name,
                       MAX_SCANS);
    }
    if (n < 1 || body[0] < 1 || body[0] > 4 || n != 4 + 2 * (size_t)body[0]) {
        return broken(w, "a scan header of the wrong length", err);
    }
    for (uint32_t i = 0; i < body[0]; i++) {
        for (uint32_t c = 0; c < w->components; c++) {
            w->scanned[c] = w->scanned[c] || w->id[c] == body[1 + 2 * i];
        }
    }
    while (w->n - w->pos >= 2) {
        const uint8_t *stop = memchr(w->bytes + w->pos, 0xff, w->n - w->pos - 1);
        if (stop == NULL) {
            break;
        }
        w->pos = (size_t)(stop - w->bytes);
        uint8_t next = stop[1];
        if (next != 0 && next != 0xff && !(next >= 0xd0 && next <= 0xd7)) {
            return WF_OK; /* at a marker */
        }
        w->pos += next == 0xff ? 1 : 2;
    }
    return cut_off(w, "inside its picture data", err);
}

static wf_status finish(const jpeg_walk *w, wf_error *err) {
    if (w->components == 0) {
        return broken(w, "the end of the picture before its frame header", err);
    }
    for (uint32_t c = 0; c < w->components; c++) {
        if (!w->scanned[c]) {
            return broken(w, "the end of the picture before all its components came", err);
        }
    }
    return WF_OK;
}

/* Huffman tables: 1 byte of class and number, 16 counts, as many symbols. */
static wf_status check_huffman(const jpeg_walk *w, const uint8_t *body, size_t n, wf_error *err) {
    while (n > 0) {
        size_t symbols = 0;
        for (size_t i = 1; i <= 16 && i < n; i++) {
            symbols += body[i];
        }
        if (n < 17 || symbols > 256 || symbols > n - 17) {
            return broken(w, "a Huffman table with more codes than it can have", err);
        }
        body += 17 + symbols;
        n -= 17 + symbols;
    }
    return WF_OK;
}

static wf_status read_segment(jpeg_walk *w, uint8_t marker, const uint8_t *body, size_t n, wf_error *err) {
    if (refused_frame(marker) != NULL) {
        return refuse(w, refused_frame(marker), err);
    }
    if (marker >= 0xc0 && marker <= 0xc2) {
        return read_frame(w, body, n, err);
    }
    if (marker == DHT) {
        return check_huffman(w, body, n, err);
    }
    if (marker == SOS) {
        return read_scan(w, body, n, err);
    }
    if (marker == APP1 && n > 6 && memcmp(body, "Exif\0", 6) == 0 && w->out->orientation == 1) {
        w->out->orientation = wf_exif_read(body + 6, n - 6);
    }
    return WF_OK;
}

wf_status wf_jpeg_inspect(const uint8_t *bytes, size_t n, const char *name, wf_container *out, wf_error *err) {
    jpeg_walk w = {.bytes = bytes, .n = n, .pos = 2, .name = name != NULL ? name : "the picture", .out = out};
    *out = (wf_container){.orientation = 1};
    if (n < 4 || bytes[0] != 0xff || bytes[1] != SOI) {
        w.pos = 0;
        return n < 4 ? cut_off(&w, "before anything was said", err) : broken(&w, "no SOI marker", err);
    }
    for (;;) {
        while (w.pos < n && bytes[w.pos] == 0xff && w.pos + 1 < n && bytes[w.pos + 1] == 0xff) {
            w.pos++; /* fill bytes */
        }
        if (n - w.pos < 2) {
            return cut_off(&w, "without its end marker", err);
        }
        uint8_t marker = bytes[w.pos + 1];
        if (bytes[w.pos] != 0xff || marker == 0 || marker == SOI || (marker >= 0xd0 && marker <= 0xd7)) {
            return broken(&w, "no marker where one must be", err);
        }
        if (marker == EOI) {
            return finish(&w, err);
        }
        if (n - w.pos < 4) {
            return cut_off(&w, "inside a header", err);
        }
        size_t length = wf_load_be16(bytes + w.pos + 2);
        if (length < 2) {
            return broken(&w, "a header shorter than its own length", err);
        }
        if (length > n - w.pos - 2) {
            return cut_off(&w, "inside a header", err);
        }
        const uint8_t *body = bytes + w.pos + 4;
        w.pos += 2 + length;
        WF_TRY(read_segment(&w, marker, body, length - 2, err));
    }
}
