/* Three bytes become four letters; "=" stands for the bytes that the last group lacks. */
#include "base/base64.h"

#include <stdint.h>

size_t wf_base64(const void *bytes, size_t n, char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *b = bytes;
    char *out = text;
    size_t i = 0;
    for (; i + 3 <= n; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = letters[v >> 6 & 63];
        *out++ = letters[v & 63];
    }
    if (i < n) {
        uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0);
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = i + 1 < n ? letters[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    return (size_t)(out - text);
}
