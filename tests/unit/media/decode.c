/* Decoding against tests/golden/media/pictures.bin (make_pictures.py describes it): every colour type of PNG and JPEG
   and the eight orientations; then hostile files: cut at every byte, every byte damaged, sizes that cannot be, kinds
   that are refused by name, allocations that fail. Run from the repository's root. */
#include <stdlib.h>

#include "check.h"
#include "base/alloc.h"
#include "base/bytes.h"
#include "media/image.h"

typedef struct file {
    uint8_t *data;
    size_t n;
} file;

static file read_file(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "tests/golden/media/%s%s", folder, name);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL, "%s is missing (run from the repository's root)", path);
    file out = {malloc(1 << 20), 0};
    if (f != NULL) {
        out.n = fread(out.data, 1, 1 << 20, f);
        fclose(f);
    }
    return out;
}

/* An exact copy on the heap, so that AddressSanitizer sees reads past its end. */
static uint8_t *copy_of(const uint8_t *data, size_t n) {
    uint8_t *out = malloc(n > 0 ? n : 1);
    memcpy(out, data, n);
    return out;
}

static void put_be16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void check_picture(wf_bytes *b) {
    char name[256] = "";
    size_t length = wf_bytes_u8(b);
    const uint8_t *text = wf_bytes_take(b, length);
    memcpy(name, text != NULL ? (const char *)text : "", text != NULL ? length : 0);
    uint32_t w = wf_bytes_u32(b), h = wf_bytes_u32(b);
    int largest = 0;
    const uint8_t *want = wf_bytes_take(b, (uint64_t)w * h * 3);
    wf_test_begin();
    CHECK(want != NULL, "pictures.bin ends inside a record");
    file f = read_file("pictures/", name);
    wf_error err = {0};
    wf_pixels got;
    CHECK_OK(wf_image_decode(f.data, f.n, name, &got, &err), err);
    CHECK(got.width == w && got.height == h && got.channels == 3, "%u × %u, not %u × %u", got.width, got.height, w, h);
    for (uint32_t i = 0; want != NULL && got.data != NULL && got.width == w && got.height == h && i < w * h * 3; i++) {
        int difference = abs(got.data[i] - want[i]);
        largest = difference > largest ? difference : largest;
    }
    CHECK(largest == 0, "differs by up to %d", largest);
    wf_pixels_free(&got);
    free(f.data);
    wf_test_end("%s", name);
}

static void all_kinds(void) {
    file f = read_file("", "pictures.bin");
    wf_bytes b = wf_bytes_of(f.data, f.n);
    int records = 0;
    while (wf_bytes_left(&b) > 0 && !b.failed) {
        check_picture(&b);
        records++;
    }
    wf_test_begin();
    CHECK(records > 88, "only %d pictures", records);
    wf_test_end("pictures.bin is whole");
    free(f.data);
}

/* Whatever the bytes: pixels or a sentence, nothing leaked. */
static wf_status decode_anything(const uint8_t *data, size_t n) {
    wf_error err = {0};
    wf_pixels got;
    uint64_t live = wf_alloc_get_stats().live;
    wf_status status = wf_image_decode(data, n, "hostile.bin", &got, &err);
    CHECK((status == WF_OK) == (got.data != NULL), "status %d and pixels disagree", (int)status);
    CHECK(status == WF_OK || strstr(err.text, "hostile.bin") != NULL, "an error without the file's name: %s", err.text);
    wf_pixels_free(&got);
    CHECK(wf_alloc_get_stats().live == live, "%d blocks leaked", (int)(wf_alloc_get_stats().live - live));
    return status;
}

static const char *const victims[] = {"palette4_trns_i.png", "rgba16.png", "one_pixel.jpg", "orientation6.jpg",
                                      "rgb_progressive_420.jpg", "cmyk_no_adobe.jpg", "palette4_short.png"};
enum { VICTIMS = sizeof victims / sizeof *victims };

WF_TEST(cut_at_every_byte) {
    for (int v = 0; v < VICTIMS; v++) {
        file f = read_file("pictures/", victims[v]);
        for (size_t n = 0; n < f.n; n++) {
            uint8_t *cut = copy_of(f.data, n);
            CHECK(decode_anything(cut, n) != WF_OK, "%s cut to %zu of %zu bytes passed", victims[v], n, f.n);
            free(cut);
        }
        free(f.data);
    }
}

WF_TEST(every_byte_damaged) {
    for (int v = 0; v < VICTIMS; v++) {
        file f = read_file("pictures/", victims[v]);
        bool png = strstr(victims[v], ".png") != NULL;
        for (size_t i = 0; i < f.n; i++) {
            for (int change = 1; change < 256; change = change * 5 + 1) { /* xor with 1, 6, 31, 156 */
                uint8_t *damaged = copy_of(f.data, f.n);
                damaged[i] ^= (uint8_t)change;
                wf_status status = decode_anything(damaged, f.n);
                bool ancillary = i + 12 >= f.n || memcmp(f.data + 37, "tRNS", 4) == 0 || strstr(victims[v], "trns") != NULL;
                CHECK(!png || status != WF_OK || ancillary, "%s damaged at %zu passed", victims[v], i);
                free(damaged);
            }
        }
        free(f.data);
    }
}

static void expect_refusal(const uint8_t *data, size_t n, wf_status code, const char *word) {
    wf_error err = {0};
    wf_pixels got;
    uint64_t calls = wf_alloc_get_stats().calls;
    CHECK_FAILS(wf_image_decode(data, n, "a.jpg", &got, &err), code, err);
    CHECK(strstr(err.text, word) != NULL, "no \"%s\" in: %s", word, err.text);
    CHECK(wf_alloc_get_stats().calls == calls, "memory was taken before the refusal: %s", err.text);
}

static size_t find(const file *f, const char *what, size_t n) {
    for (size_t i = 0; i + n <= f->n; i++) {
        if (memcmp(f->data + i, what, n) == 0) {
            return i;
        }
    }
    CHECK(false, "marker not found");
    return 0;
}

WF_TEST(jpeg_refusals_come_before_memory) {
    file f = read_file("pictures/", "rgb_444.jpg");
    size_t frame = find(&f, "\xff\xc0", 2), scan = find(&f, "\xff\xda", 2);
    uint8_t saved[19];
    memcpy(saved, f.data + frame, sizeof saved);
    const struct {
        size_t at;
        uint32_t value;
        wf_status code;
        const char *word;
    } edits[] = {
        {5, 65535, WF_E_FORMAT, "cannot hold"},   {5, 0, WF_E_UNSUPPORTED, "DNL"},       {7, 0, WF_E_FORMAT, "no pixels"},
        {0, 0xffc3, WF_E_UNSUPPORTED, "lossless"}, {0, 0xffc9, WF_E_UNSUPPORTED, "arithmetic"},
        {0, 0xffc5, WF_E_UNSUPPORTED, "hierarchical"}, {0, 0xfff7, WF_E_UNSUPPORTED, "JPEG-LS"},
        {2, 16, WF_E_FORMAT, "wrong length"},      {2, 60000, WF_E_TRUNCATED, "cut off"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        put_be16(f.data + frame + edits[i].at, edits[i].value);
        expect_refusal(f.data, f.n, edits[i].code, edits[i].word);
        memcpy(f.data + frame, saved, sizeof saved);
    }
    f.data[frame + 4] = 12;
    expect_refusal(f.data, f.n, WF_E_UNSUPPORTED, "12-bit");
    memcpy(f.data + frame, saved, sizeof saved);
    put_be16(f.data + frame + 5, 65535);
    put_be16(f.data + frame + 7, 65535);
    expect_refusal(f.data, f.n, WF_E_UNSUPPORTED, "65535 × 65535");
    memcpy(f.data + frame, saved, sizeof saved);
    f.data[scan + 5] = 77; /* a component that isn't there: the first one is never scanned */
    expect_refusal(f.data, f.n, WF_E_FORMAT, "all its components");
    free(f.data);
}

/* What a decoder that goes on would paint grey. */
WF_TEST(damaged_picture_data_are_an_error) {
    file f = read_file("pictures/", "rgb_restart.jpg");
    const struct {
        const char *marker, *other;
    } edits[] = {{"\xff\xd1", "\xff\xd3"}, {"\xff\xd1", "\xff\0"}};
    wf_error err = {0};
    wf_pixels got;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        size_t at = find(&f, edits[i].marker, 2);
        memcpy(f.data + at, edits[i].other, 2);
        wf_error_clear(&err);
        CHECK_FAILS(wf_image_decode(f.data, f.n, "a.jpg", &got, &err), WF_E_FORMAT, err);
        CHECK(strstr(err.text, "a.jpg is corrupt") != NULL, "another sentence: %s", err.text);
        memcpy(f.data + at, edits[i].marker, 2);
    }
    size_t first = find(&f, "\xff\xd0", 2), second = find(&f, "\xff\xd1", 2);
    memmove(f.data + first + 2, f.data + second, f.n - second); /* an interval without data */
    wf_error_clear(&err);
    CHECK_FAILS(wf_image_decode(f.data, f.n - (second - first - 2), "a.jpg", &got, &err), WF_E_FORMAT, err);
    CHECK(strstr(err.text, "too few picture data") != NULL, "another sentence: %s", err.text);
    free(f.data);
}

/* Thousands of empty scans are how small files keep decoders busy for hours. */
WF_TEST(scans_are_counted) {
    file f = read_file("pictures/", "grey_progressive.jpg");
    size_t scan = find(&f, "\xff\xda", 2);
    uint8_t *many = malloc(scan + 101 * 10 + 2), *p = many + scan;
    memcpy(many, f.data, scan);
    for (int i = 0; i < 101; i++, p += 10) {
        memcpy(p, f.data + scan, 10);
    }
    memcpy(p, "\xff\xd9", 2);
    expect_refusal(many, scan + 101 * 10 + 2, WF_E_UNSUPPORTED, "scans");
    free(many);
    free(f.data);
}

static uint32_t crc32_of(const uint8_t *p, size_t n) {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        }
    }
    return ~c;
}

WF_TEST(png_refusals_come_before_memory) {
    file f = read_file("pictures/", "rgb8.png");
    uint8_t saved[33];
    memcpy(saved, f.data, sizeof saved);
    const struct {
        size_t at;
        uint32_t value;
        wf_status code;
        const char *word;
    } edits[] = {
        {16, 1, WF_E_UNSUPPORTED, "65547 × 7"}, {18, 0, WF_E_FORMAT, "no pixels"},   {18, 60000, WF_E_FORMAT, "cannot hold"},
        {24, 0x0402, WF_E_FORMAT, "impossible"}, {24, 0x0805, WF_E_FORMAT, "impossible"}, {26, 1, WF_E_FORMAT, "impossible"},
        {27, 2, WF_E_FORMAT, "impossible"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        put_be16(f.data + edits[i].at, edits[i].value);
        uint32_t crc = crc32_of(f.data + 12, 17);
        put_be16(f.data + 29, crc >> 16);
        put_be16(f.data + 31, crc & 0xffff);
        expect_refusal(f.data, f.n, edits[i].code, edits[i].word);
        memcpy(f.data, saved, sizeof saved);
    }
    memcpy(f.data + 12, "CgBI", 4);
    expect_refusal(f.data, f.n, WF_E_UNSUPPORTED, "CgBI");
    free(f.data);
}

WF_TEST(other_kinds_are_named) {
    const struct {
        const char *bytes;
        size_t n;
        wf_status code;
        const char *word;
    } kinds[] = {
        {"", 0, WF_E_TRUNCATED, "empty"},
        {"GIF89a", 6, WF_E_UNSUPPORTED, "GIF"},
        {"RIFF\0\0\0\0WEBPVP8 ", 16, WF_E_UNSUPPORTED, "WebP"},
        {"\0\0\0\x18" "ftypheic", 12, WF_E_UNSUPPORTED, "HEIC"},
        {"\0\0\0\x18" "ftypavif", 12, WF_E_UNSUPPORTED, "AVIF"},
        {"<!doctype html>", 15, WF_E_UNSUPPORTED, "HTML"},
        {"plain text", 10, WF_E_FORMAT, "no JPEG or PNG"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        expect_refusal((const uint8_t *)kinds[i].bytes, kinds[i].n, kinds[i].code, kinds[i].word);
    }
}

WF_TEST(orientation_of_odd_exif_is_1) {
    file f = read_file("pictures/", "orientation6.jpg");
    size_t tiff = find(&f, "Exif", 4) + 6;
    CHECK(wf_exif_orientation(f.data, f.n) == 6, "not 6");
    const struct {
        size_t at;
        uint8_t value;
    } edits[] = {{0, 'X'}, {3, 43}, {4, 0xff}, {9, 0}, {23, 4}, {27, 2}, {29, 0}, {29, 9}}; /* big-endian, as even ones are */
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        uint8_t saved = f.data[tiff + edits[i].at];
        f.data[tiff + edits[i].at] = edits[i].value;
        CHECK(wf_exif_orientation(f.data, f.n) == 1, "edit %zu gave %u", i, wf_exif_orientation(f.data, f.n));
        f.data[tiff + edits[i].at] = saved;
    }
    CHECK(wf_exif_orientation("", 0) == 1, "an empty file");
    free(f.data);
}

WF_TEST(survives_failing_allocations) {
    for (int v = 0; v < VICTIMS; v++) {
        file f = read_file("pictures/", victims[v]);
        int failures = 0;
        for (uint64_t n = 1; n < 200; n++) {
            wf_alloc_fail_after(n);
            wf_status status = decode_anything(f.data, f.n);
            wf_alloc_fail_after(0);
            if (status == WF_OK) {
                break;
            }
            failures++;
            CHECK(status == WF_E_MEMORY, "%s, allocation %d: status %d", victims[v], (int)n, (int)status);
        }
        CHECK(failures >= 3 && failures < 100, "%s: %d allocations", victims[v], failures);
        free(f.data);
    }
}

int main(void) {
    all_kinds();
    RUN(cut_at_every_byte);
    RUN(every_byte_damaged);
    RUN(jpeg_refusals_come_before_memory);
    RUN(damaged_picture_data_are_an_error);
    RUN(scans_are_counted);
    RUN(png_refusals_come_before_memory);
    RUN(other_kinds_are_named);
    RUN(orientation_of_odd_exif_is_1);
    RUN(survives_failing_allocations);
    return wf_test_done();
}
