/* A JPEG → RGB pixels, to the last bit those of libjpeg-turbo's defaults (and so of Pillow), by which models are evaluated: baseline,
   extended and progressive Huffman files of 8 bits, one, three or four components, any sampling factors that divide the largest.
   jpeg.c has walked over the whole file before, so that lengths, sizes and kinds are sound here; tables and scans are read in order, as
   they may be defined anew between scans. Source: ITU-T T.81. */
#include <string.h>

#include "base/alloc.h"
#include "media/jpeg_decode.h"

enum { DHT = 0xc4, EOI = 0xd9, SOS = 0xda, DQT = 0xdb, DRI = 0xdd, APP0 = 0xe0, APP14 = 0xee };

wf_status wf_jpeg_corrupt(const wf_jpeg *j, const char *what, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, j->name, (int64_t)j->pos, "%s is corrupt: %s at byte %zu; save the picture again from its source",
                   j->name, what, j->pos);
}

static uint32_t divided(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

/* ---- tables ---- */

static wf_status read_quant(wf_jpeg *j, const uint8_t *p, size_t n, wf_error *err) {
    while (n > 0) {
        uint32_t wide = p[0] >> 4, number = p[0] & 15;
        size_t size = 64 * (1 + (size_t)wide);
        if (wide > 1 || number > 3 || n < 1 + size) {
            return wf_jpeg_corrupt(j, "a quantization table that is none", err);
        }
        for (uint32_t k = 0; k < 64; k++) {
            j->quant[number][wf_jpeg_zigzag[k]] = wide ? (uint16_t)wf_load_be16(p + 1 + 2 * k) : p[1 + k];
        }
        j->has_quant[number] = true;
        p += 1 + size;
        n -= 1 + size;
    }
    return WF_OK;
}

/* counts[1..16] of codes by length; false: more than there can be. */
static bool build_huffman(wf_jpeg_huffman *h, const uint8_t *counts, const uint8_t *symbols) {
    uint32_t code = 0, index = 0;
    memset(h, 0, sizeof *h);
    for (uint32_t length = 1; length <= 16; length++, code <<= 1) {
        h->offset[length] = (int32_t)index - (int32_t)code;
        for (uint32_t i = 0; i < counts[length]; i++, code++, index++) {
            if (index > 255 || code >= 1u << length) {
                return false;
            }
            h->symbols[index] = symbols[index];
            uint32_t spare = WF_JPEG_FAST_BITS - length;
            for (uint32_t k = 0; length <= WF_JPEG_FAST_BITS && k < 1u << spare; k++) {
                h->fast[(code << spare) + k] = (uint16_t)(length << 8 | symbols[index]);
            }
        }
        h->limit[length] = code << (16 - length);
    }
    h->limit[17] = UINT32_MAX;
    h->defined = true;
    return true;
}

static wf_status read_huffman(wf_jpeg *j, const uint8_t *p, size_t n, wf_error *err) {
    while (n > 0) {
        size_t symbols = 0;
        for (uint32_t i = 1; i <= 16 && i < n; i++) {
            symbols += p[i];
        }
        if (n < 17 + symbols || p[0] >> 4 > 1 || (p[0] & 15) > 3 || !build_huffman(&j->huffman[p[0] >> 4][p[0] & 15], p, p + 17)) {
            return wf_jpeg_corrupt(j, "a Huffman table that is none", err);
        }
        p += 17 + symbols;
        n -= 17 + symbols;
    }
    return WF_OK;
}

/* ---- frame and scans ---- */

/* Zeroed, so that a hostile file can never make old heap contents visible as pixels. */
static wf_status allocate(wf_jpeg *j, wf_jpeg_component *c, wf_error *err) {
    void *samples, *coefficients = NULL;
    uint64_t blocks = (uint64_t)c->padded_w * c->padded_h;
    bool enough = wf_alloc_array(&samples, blocks, 64, j->name, NULL) == WF_OK;
    enough = enough && (!j->progressive || wf_alloc_array(&coefficients, blocks, 64 * sizeof(int16_t), j->name, NULL) == WF_OK);
    c->samples = samples;
    c->coefficients = coefficients;
    return enough ? WF_OK : wf_container_no_memory(j->name, err);
}

static wf_status read_frame(wf_jpeg *j, const uint8_t *p, size_t n, wf_error *err) {
    if (j->count != 0 || n < 6 || p[5] < 1 || p[5] > WF_JPEG_COMPONENTS || n != 6 + 3 * (size_t)p[5]) {
        return wf_jpeg_corrupt(j, "a frame header of the wrong length", err);
    }
    j->height = wf_load_be16(p + 1);
    j->width = wf_load_be16(p + 3);
    j->count = p[5];
    for (uint32_t i = 0; i < j->count; i++) {
        wf_jpeg_component *c = &j->component[i];
        *c = (wf_jpeg_component){.id = p[6 + 3 * i], .across = p[7 + 3 * i] >> 4, .down = p[7 + 3 * i] & 15, .quant = p[8 + 3 * i]};
        if (c->across == 0 || c->down == 0 || c->quant > 3) {
            return wf_jpeg_corrupt(j, "a component that is none", err);
        }
        j->most_across = c->across > j->most_across ? c->across : j->most_across;
        j->most_down = c->down > j->most_down ? c->down : j->most_down;
    }
    j->mcus_w = divided(j->width, 8 * j->most_across);
    j->mcus_h = divided(j->height, 8 * j->most_down);
    for (uint32_t i = 0; i < j->count; i++) {
        wf_jpeg_component *c = &j->component[i];
        if (j->most_across % c->across != 0 || j->most_down % c->down != 0) {
            return wf_fail(err, WF_E_UNSUPPORTED, j->name, (int64_t)j->pos, "%s has sampling factors that do not divide each other, which is not "
                           "supported; save it as an ordinary JPEG or PNG", j->name);
        }
        c->width = divided(j->width * c->across, j->most_across);
        c->height = divided(j->height * c->down, j->most_down);
        c->blocks_w = divided(c->width, 8);
        c->blocks_h = divided(c->height, 8);
        c->padded_w = j->mcus_w * c->across;
        c->padded_h = j->mcus_h * c->down;
        WF_TRY(allocate(j, c, err));
    }
    return WF_OK;
}

/* A component's table is the one at its first scan (B.2.4.1 forbids to change it in between). */
static wf_status latch(wf_jpeg *j, wf_jpeg_component *c, wf_error *err) {
    if (!c->latched) {
        if (!j->has_quant[c->quant]) {
            return wf_jpeg_corrupt(j, "a scan before its quantization table", err);
        }
        memcpy(c->steps, j->quant[c->quant], sizeof c->steps);
        c->latched = true;
    }
    return WF_OK;
}

static wf_status read_scan(wf_jpeg *j, const uint8_t *p, size_t n, wf_error *err) {
    wf_jpeg_scan scan = {.count = n > 0 ? p[0] : 0};
    if (scan.count < 1 || scan.count > j->count || n != 4 + 2 * (size_t)scan.count) {
        return wf_jpeg_corrupt(j, "a scan header of the wrong length", err);
    }
    for (uint32_t i = 0; i < scan.count; i++) {
        uint32_t at = 0, tables = p[2 + 2 * i];
        while (at < j->count && j->component[at].id != p[1 + 2 * i]) {
            at++;
        }
        if (at == j->count || (i > 0 && at <= scan.index[i - 1]) || tables >> 4 > 3 || (tables & 15) > 3) {
            return wf_jpeg_corrupt(j, "a scan of a component that is not there, or of another order,", err);
        }
        scan.index[i] = at;
        j->component[at].dc = &j->huffman[0][tables >> 4];
        j->component[at].ac = &j->huffman[1][tables & 15];
        WF_TRY(latch(j, &j->component[at], err));
    }
    scan.first = j->progressive ? p[n - 3] : 0;
    scan.last = j->progressive ? p[n - 2] : 63;
    scan.high = j->progressive ? p[n - 1] >> 4 : 0;
    scan.low = j->progressive ? p[n - 1] & 15 : 0;
    return wf_jpeg_read_scan(j, &scan, err);
}

static wf_status read_segment(wf_jpeg *j, uint8_t marker, const uint8_t *p, size_t n, wf_error *err) {
    switch (marker) {
    case 0xc0: case 0xc1: case 0xc2: j->progressive = marker == 0xc2; return read_frame(j, p, n, err);
    case DHT: return read_huffman(j, p, n, err);
    case DQT: return read_quant(j, p, n, err);
    case SOS: return read_scan(j, p, n, err);
    case DRI: j->restart = n >= 2 ? wf_load_be16(p) : 0; return WF_OK;
    case APP0: j->jfif = j->jfif || (n >= 12 && memcmp(p, "JFIF\0", 5) == 0); return WF_OK;
    case APP14:
        if (n >= 12 && memcmp(p, "Adobe", 5) == 0) {
            j->adobe = true;
            j->transform = p[11];
        }
        return WF_OK;
    default: return WF_OK;
    }
}

/* All segments up to the end marker. */
static wf_status read_all(wf_jpeg *j, wf_error *err) {
    while (j->n - j->pos >= 4) {
        uint8_t marker = j->bytes[j->pos + 1];
        if (j->bytes[j->pos] != 0xff || marker == 0 || marker == 0xff || (marker >= 0xd0 && marker <= 0xd7)) {
            j->pos++; /* fill, and what a scan leaves */
            continue;
        }
        size_t length = marker == EOI ? 0 : wf_load_be16(j->bytes + j->pos + 2);
        if (length < 2 || length > j->n - j->pos - 2) {
            break;
        }
        const uint8_t *body = j->bytes + j->pos + 4;
        j->pos += 2 + length;
        WF_TRY(read_segment(j, marker, body, length - 2, err));
    }
    for (uint32_t i = 0; i < j->count; i++) {
        if (!j->component[i].latched) {
            return wf_jpeg_corrupt(j, "the end of the picture before all its components came", err);
        }
    }
    return j->count != 0 ? WF_OK : wf_jpeg_corrupt(j, "the end of the picture before its frame header", err);
}

static void transform_all(wf_jpeg_component *c) {
    size_t stride = (size_t)c->padded_w * 8;
    for (uint32_t y = 0; y < c->blocks_h; y++) {
        for (uint32_t x = 0; x < c->blocks_w; x++) {
            wf_jpeg_idct(c->coefficients + ((size_t)y * c->padded_w + x) * 64, c->steps, c->samples + (size_t)y * 8 * stride + (size_t)x * 8,
                         stride);
        }
    }
}

wf_status wf_jpeg_decode(const uint8_t *bytes, size_t n, const char *name, wf_pixels *out, wf_error *err) {
    wf_jpeg *j = wf_alloc_zero(sizeof *j);
    if (j == NULL) {
        return wf_container_no_memory(name, err);
    }
    j->bytes = bytes;
    j->n = n;
    j->pos = 2;
    j->name = name;
    wf_status status = read_all(j, err);
    for (uint32_t i = 0; i < j->count && status == WF_OK && j->progressive; i++) {
        transform_all(&j->component[i]);
        wf_free(j->component[i].coefficients);
        j->component[i].coefficients = NULL;
    }
    if (status == WF_OK) {
        status = wf_jpeg_paint(j, out, err);
    }
    for (uint32_t i = 0; i < j->count; i++) {
        wf_free(j->component[i].coefficients);
        wf_free(j->component[i].samples);
    }
    wf_free(j);
    return status;
}
