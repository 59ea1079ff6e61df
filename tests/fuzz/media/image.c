/* libFuzzer target: any bytes through wf_image_decode and the resizer. The first byte picks filter and geometry, the
   rest is the file. Pictures above 4 megapixels are skipped for speed only; their checks come before any memory.
   Seeds: tests/golden/media/pictures (without the leading byte: a file that begins as a picture is taken whole) and
   corpus/, a tenth of what seven minutes of fuzzing kept. Build: clang -fsanitize=fuzzer,address,undefined
   -DWF_STBI_ASSERT -Isrc, this file, all of src/media, src/base/{alloc,status}.c, -lm. */
#include <stdlib.h>

#include "base/alloc.h"
#include "media/container.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);

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

/* Checksums would stop nearly every changed PNG at the door: set them right after the change. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed) {
    (void)seed;
    n = LLVMFuzzerMutate(data, n, max);
    size_t start = n > 0 && data[0] != 0x89 && data[0] != 0xff ? 1 : 0;
    if (n > start + 8 && data[start] == 0x89) {
        for (size_t at = start + 8; n - at >= 12;) {
            size_t length = wf_load_be32(data + at);
            if (length > n - at - 12) {
                break;
            }
            uint32_t crc = crc32_of(data + at + 4, length + 4);
            for (int i = 0; i < 4; i++) {
                data[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
            }
            at += length + 12;
        }
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    uint8_t choice = 0;
    if (n > 0 && data[0] != 0xff && data[0] != 0x89) {
        choice = data[0];
        data++;
        n--;
    }
    wf_container c = {0};
    wf_error err = {0};
    if (n >= 4) {
        wf_status seen = data[0] == 0x89 ? wf_png_inspect(data, n, "fuzz", &c, NULL) : wf_jpeg_inspect(data, n, "fuzz", &c, NULL);
        if (seen == WF_OK && (uint64_t)c.width * c.height > 1 << 22) {
            return 0;
        }
    }
    uint64_t live = wf_alloc_get_stats().live;
    wf_pixels pixels;
    wf_status status = wf_image_decode(data, n, "fuzz", &pixels, &err);
    if ((status == WF_OK) != (pixels.data != NULL) || (status != WF_OK && err.text[0] == 0)) {
        abort();
    }
    if (status == WF_OK) {
        wf_image_params p = {.width = 1u + choice % 32, .height = 1u + (choice >> 3), .crop_pct = 0.9f,
                             .resample = choice % 3, .squash = (choice & 64) != 0, .std = {1, 1, 1}};
        float *out = malloc(sizeof(float) * 3 * p.width * p.height);
        status = wf_image_to_tensor(&pixels, &p, out, &err); /* may refuse what is too elongated */
        free(out);
    }
    wf_pixels_free(&pixels);
    if (wf_alloc_get_stats().live != live) {
        abort();
    }
    return 0;
}
