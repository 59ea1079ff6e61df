/* The bits of a scan → coefficients (ITU-T T.81 annexes F and G): sequential and progressive, with restart markers. Blocks of sequential
   scans are transformed as they come; those of progressive ones wait for the last refinement. Damage is an error, not a grey area; but a
   scan whose last bits are missing reads as zeros, as some encoders leave them. Cost: a table look-up a symbol. */
#include <string.h>

#include "media/jpeg_decode.h"

const uint8_t wf_jpeg_zigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

enum { MOST_BLOCKS = 10 }; /* of an MCU (B.2.3) */

typedef struct reader {
    wf_jpeg *jpeg;
    const wf_jpeg_scan *scan;
    uint64_t bits; /* left-aligned */
    int count;     /* valid ones */
    int missing;   /* of them, zeros in place of bits that the scan did not have */
    uint32_t run;  /* progressive: blocks that are still to be skipped */
} reader;

/* ---- bits ---- */

/* At least 32 bits, with zeros from the next marker on. */
static void fill(reader *r) {
    wf_jpeg *j = r->jpeg;
    while (r->count <= 56) {
        uint64_t byte = 0;
        if (j->pos + 1 < j->n && (j->bytes[j->pos] != 0xff || j->bytes[j->pos + 1] == 0)) {
            byte = j->bytes[j->pos];
            j->pos += byte == 0xff ? 2 : 1;
        } else {
            r->missing += 8;
        }
        r->bits |= byte << (56 - r->count);
        r->count += 8;
    }
}

static inline uint32_t peek(const reader *r, uint32_t n) { return (uint32_t)(r->bits >> (64 - n)); } /* n > 0 */

static inline void skip(reader *r, uint32_t n) {
    r->bits <<= n;
    r->count -= (int)n;
}

/* n ≤ 16 bits. */
static inline uint32_t take(reader *r, uint32_t n) {
    if (n == 0) {
        return 0;
    }
    if (r->count < 32) {
        fill(r);
    }
    uint32_t v = peek(r, n);
    skip(r, n);
    return v;
}

/* F.2.2.1: a number of n bits that is negative where its first bit is 0. */
static inline int32_t take_signed(reader *r, uint32_t n) {
    int32_t v = (int32_t)take(r, n);
    return n != 0 && v < 1 << (n - 1) ? v - (1 << n) + 1 : v;
}

/* The next symbol, or −1. */
static inline int32_t symbol(reader *r, const wf_jpeg_huffman *h) {
    if (r->count < 32) {
        fill(r);
    }
    uint32_t fast = h->fast[peek(r, WF_JPEG_FAST_BITS)];
    if (fast != 0) {
        skip(r, fast >> 8);
        return (int32_t)(fast & 255);
    }
    uint32_t code = peek(r, 16), length = WF_JPEG_FAST_BITS + 1;
    while (code >= h->limit[length]) {
        length++;
    }
    if (length > 16) {
        return -1;
    }
    skip(r, length);
    return h->symbols[(int32_t)(code >> (16 - length)) + h->offset[length]];
}

/* ---- blocks: false where the bits are no such block ---- */

static bool read_dc(reader *r, wf_jpeg_component *c) {
    int32_t size = symbol(r, c->dc);
    if (size < 0 || size > 15) {
        return false;
    }
    c->last_dc = (int16_t)(uint16_t)((uint32_t)c->last_dc + (uint32_t)take_signed(r, (uint32_t)size));
    return true;
}

static bool sequential_block(reader *r, wf_jpeg_component *c, int16_t *block) {
    if (!read_dc(r, c)) {
        return false;
    }
    block[0] = (int16_t)c->last_dc;
    for (uint32_t k = 1; k < 64; k++) {
        int32_t s = symbol(r, c->ac);
        uint32_t zeros = (uint32_t)s >> 4, size = (uint32_t)s & 15;
        if (s < 0) {
            return false;
        }
        if (size == 0 && zeros != 15) {
            return true; /* the end of the block */
        }
        k += zeros;
        if (size != 0) {
            if (k > 63) {
                return false;
            }
            block[wf_jpeg_zigzag[k]] = (int16_t)take_signed(r, size);
        }
    }
    return true;
}

static bool dc_first(reader *r, wf_jpeg_component *c, int16_t *block) {
    bool good = read_dc(r, c);
    block[0] = (int16_t)(uint16_t)((uint32_t)c->last_dc << r->scan->low);
    return good;
}

static bool dc_refine(reader *r, wf_jpeg_component *c, int16_t *block) {
    (void)c;
    block[0] = (int16_t)(block[0] | (int16_t)(take(r, 1) << r->scan->low));
    return true;
}

static bool ac_first(reader *r, wf_jpeg_component *c, int16_t *block) {
    if (r->run > 0) {
        r->run--;
        return true;
    }
    for (uint32_t k = r->scan->first; k <= r->scan->last; k++) {
        int32_t s = symbol(r, c->ac);
        uint32_t zeros = (uint32_t)s >> 4, size = (uint32_t)s & 15;
        if (s < 0) {
            return false;
        }
        if (size == 0 && zeros != 15) {
            r->run = (1u << zeros) + take(r, zeros) - 1;
            return true;
        }
        k += zeros;
        if (size != 0) {
            if (k > 63) {
                return false;
            }
            block[wf_jpeg_zigzag[k]] = (int16_t)(uint16_t)((uint32_t)take_signed(r, size) << r->scan->low);
        }
    }
    return true;
}

/* One more bit of a coefficient that is not zero (G.1.2.3). */
static void refine(reader *r, int16_t *v) {
    int32_t bit = 1 << r->scan->low;
    if (take(r, 1) != 0 && (*v & bit) == 0) {
        *v = (int16_t)(*v + (*v >= 0 ? bit : -bit));
    }
}

static bool ac_refine(reader *r, wf_jpeg_component *c, int16_t *block) {
    uint32_t k = r->scan->first, last = r->scan->last;
    for (; r->run == 0 && k <= last; k++) {
        int32_t s = symbol(r, c->ac), zeros = s >> 4, value = 0;
        if (s < 0 || (s & 15) > 1) {
            return false;
        }
        if ((s & 15) == 1) {
            value = take(r, 1) != 0 ? 1 << r->scan->low : -(1 << r->scan->low);
        } else if (zeros != 15) {
            r->run = (1u << zeros) + take(r, (uint32_t)zeros);
            break;
        }
        for (; k <= last; k++) { /* over so many zeros, and all that is none */
            int16_t *v = block + wf_jpeg_zigzag[k];
            if (*v != 0) {
                refine(r, v);
            } else if (--zeros < 0) {
                break;
            }
        }
        if (value != 0) {
            if (k > last) {
                return false;
            }
            block[wf_jpeg_zigzag[k]] = (int16_t)value;
        }
    }
    if (r->run > 0) {
        for (; k <= last; k++) {
            int16_t *v = block + wf_jpeg_zigzag[k];
            if (*v != 0) {
                refine(r, v);
            }
        }
        r->run--;
    }
    return true;
}

typedef bool (*block_function)(reader *, wf_jpeg_component *, int16_t *);

static block_function function_of(const reader *r) {
    const wf_jpeg_scan *s = r->scan;
    return !r->jpeg->progressive ? sequential_block
           : s->first == 0       ? (s->high == 0 ? dc_first : dc_refine)
                                 : (s->high == 0 ? ac_first : ac_refine);
}

/* ---- the scan ---- */

static wf_status read_block(reader *r, block_function read, wf_jpeg_component *c, uint32_t x, uint32_t y, wf_error *err) {
    int16_t own[64] = {0}, *block = own;
    size_t at = (size_t)y * c->padded_w + x;
    if (c->coefficients != NULL) {
        block = c->coefficients + at * 64;
    }
    if (!read(r, c, block)) {
        return wf_jpeg_corrupt(r->jpeg, "picture data that no encoder writes", err);
    }
    if (c->coefficients == NULL) {
        size_t stride = (size_t)c->padded_w * 8;
        wf_jpeg_idct(block, c->steps, c->samples + (size_t)y * 8 * stride + (size_t)x * 8, stride);
    }
    return WF_OK;
}

static void begin_interval(reader *r) {
    r->bits = 0;
    r->count = r->missing = 0;
    r->run = 0;
    for (uint32_t i = 0; i < r->scan->count; i++) {
        r->jpeg->component[r->scan->index[i]].last_dc = 0;
    }
}

/* Whether more was read than the interval had: the last byte may be cut, not more. */
static bool overran(const reader *r) { return r->missing - r->count > 7; }

/* The marker RSTn, behind what is left of the interval. */
static wf_status pass_restart(reader *r, uint32_t number, wf_error *err) {
    wf_jpeg *j = r->jpeg;
    if (overran(r) || j->n - j->pos < 2 || j->bytes[j->pos] != 0xff) {
        return wf_jpeg_corrupt(j, overran(r) ? "too few picture data" : "no restart marker", err);
    }
    while (j->n - j->pos > 2 && j->bytes[j->pos + 1] == 0xff) {
        j->pos++;
    }
    if (j->bytes[j->pos + 1] != 0xd0 + number % 8) {
        return wf_jpeg_corrupt(j, "no restart marker, or another one,", err);
    }
    j->pos += 2;
    begin_interval(r);
    return WF_OK;
}

/* MCU (x, y): in a scan of one component a block. */
static wf_status read_mcu(reader *r, block_function read, uint32_t x, uint32_t y, wf_error *err) {
    for (uint32_t i = 0; i < r->scan->count; i++) {
        wf_jpeg_component *c = &r->jpeg->component[r->scan->index[i]];
        uint32_t across = r->scan->count == 1 ? 1 : c->across, down = r->scan->count == 1 ? 1 : c->down;
        for (uint32_t b = 0; b < across * down; b++) {
            WF_TRY(read_block(r, read, c, x * across + b % across, y * down + b / across, err));
        }
    }
    return WF_OK;
}

static wf_status check(const reader *r, wf_error *err) {
    const wf_jpeg_scan *s = r->scan;
    uint32_t blocks = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const wf_jpeg_component *c = &r->jpeg->component[s->index[i]];
        blocks += (uint32_t)c->across * c->down;
        bool dc = s->first == 0 && s->high == 0, ac = !r->jpeg->progressive || s->first > 0;
        if ((dc && !c->dc->defined) || (ac && !c->ac->defined)) {
            return wf_jpeg_corrupt(r->jpeg, "a scan before its Huffman table", err);
        }
    }
    if (s->count > 1 && blocks > MOST_BLOCKS) {
        return wf_jpeg_corrupt(r->jpeg, "a scan with more blocks in a group than it may have", err);
    }
    bool dc = s->first == 0, range = dc ? s->last == 0 : s->last >= s->first && s->last < 64 && s->count == 1;
    if (r->jpeg->progressive && (!range || s->low > 13 || (s->high != 0 && s->low != s->high - 1))) {
        return wf_jpeg_corrupt(r->jpeg, "a scan of coefficients that cannot be", err);
    }
    return WF_OK;
}

wf_status wf_jpeg_read_scan(wf_jpeg *j, const wf_jpeg_scan *scan, wf_error *err) {
    reader r = {.jpeg = j, .scan = scan};
    WF_TRY(check(&r, err));
    const wf_jpeg_component *c = &j->component[scan->index[0]];
    uint32_t across = scan->count == 1 ? c->blocks_w : j->mcus_w, down = scan->count == 1 ? c->blocks_h : j->mcus_h;
    block_function read = function_of(&r);
    uint64_t done = 0;
    begin_interval(&r);
    for (uint32_t y = 0; y < down; y++) {
        for (uint32_t x = 0; x < across; x++, done++) {
            if (j->restart != 0 && done != 0 && done % j->restart == 0) {
                WF_TRY(pass_restart(&r, (uint32_t)(done / j->restart - 1), err));
            }
            WF_TRY(read_mcu(&r, read, x, y, err));
        }
        if (overran(&r)) {
            return wf_jpeg_corrupt(j, "too few picture data", err);
        }
    }
    return WF_OK;
}
