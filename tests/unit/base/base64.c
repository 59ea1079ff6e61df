/* Base64: the test vectors of RFC 4648 (section 10), every letter, and no byte beyond the end. */
#include "base/base64.h"

#include <string.h>

#include "check.h"

static bool gives(const char *bytes, size_t n, const char *wanted) {
    char text[256];
    memset(text, '#', sizeof text);
    size_t length = wf_base64(bytes, n, text);
    return length == strlen(wanted) && length == WF_BASE64_LENGTH(n) && memcmp(text, wanted, length) == 0 && text[length] == '#';
}

WF_TEST(vectors) {
    CHECK(gives("", 0, ""));
    CHECK(gives("f", 1, "Zg=="));
    CHECK(gives("fo", 2, "Zm8="));
    CHECK(gives("foo", 3, "Zm9v"));
    CHECK(gives("foob", 4, "Zm9vYg=="));
    CHECK(gives("fooba", 5, "Zm9vYmE="));
    CHECK(gives("foobar", 6, "Zm9vYmFy"));
    CHECK(gives("\0\0\0", 3, "AAAA"));
    CHECK(gives("\xff\xff\xfe", 3, "///+"));
}

WF_TEST(letters) {
    uint8_t bytes[48];
    for (unsigned i = 0; i < 16; i++) { /* 4i, 4i + 1, 4i + 2, 4i + 3 in six bits each */
        uint32_t v = 4 * i << 18 | (4 * i + 1) << 12 | (4 * i + 2) << 6 | (4 * i + 3);
        bytes[3 * i] = (uint8_t)(v >> 16);
        bytes[3 * i + 1] = (uint8_t)(v >> 8);
        bytes[3 * i + 2] = (uint8_t)v;
    }
    CHECK(gives((const char *)bytes, 48, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"));
}

int main(void) {
    RUN(vectors);
    RUN(letters);
    return wf_test_done();
}
