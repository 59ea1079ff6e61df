/* SHA-256: the vectors of FIPS 180-4's examples and of NIST's CAVP, pieces of every size, and the
 * text form. */
#include "base/sha256.h"

#include "check.h"

static void hex_of(const uint8_t *digest, char *out) {
    for (int i = 0; i < 32; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static void check(const char *text, size_t n, const char *want) {
    wf_sha256 h;
    uint8_t digest[32];
    char hex[65];
    wf_sha256_init(&h);
    wf_sha256_add(&h, text, n);
    wf_sha256_digest(&h, digest);
    hex_of(digest, hex);
    CHECK(strcmp(hex, want) == 0, "%s", hex);
}

WF_TEST(published_vectors) {
    check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
          "lmnopqrsmnopqrstnopqrstu",
          112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    check("\xbd", 1, "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b");
    check("\xc9\x8c\x8e\x55", 4,
          "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504");
}

WF_TEST(a_million_letters_in_pieces) {
    static const size_t pieces[] = {1, 3, 63, 64, 65, 127, 1000, 4096, 1000000};
    static char letters[4096];
    memset(letters, 'a', sizeof letters);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        wf_sha256 h;
        uint8_t digest[32];
        char hex[65];
        wf_sha256_init(&h);
        for (size_t left = 1000000; left > 0;) {
            size_t n = left < pieces[i] ? left : pieces[i];
            n = n < sizeof letters ? n : sizeof letters;
            wf_sha256_add(&h, letters, n);
            left -= n;
        }
        wf_sha256_digest(&h, digest);
        hex_of(digest, hex);
        CHECK(strcmp(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0") == 0,
              "pieces of %zu: %s", pieces[i], hex);
    }
}

/* Every place where the padding can fall, against the same bytes taken one by one, with a digest
 * taken in between. */
WF_TEST(every_length_up_to_three_blocks) {
    uint8_t bytes[192], one[32], two[32], last[32] = {0};
    for (int i = 0; i < 192; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
    }
    for (size_t n = 0; n <= sizeof bytes; n++) {
        wf_sha256 a, b;
        wf_sha256_init(&a);
        wf_sha256_init(&b);
        wf_sha256_add(&a, bytes, n);
        for (size_t i = 0; i < n; i++) {
            wf_sha256_add(&b, bytes + i, 1);
            wf_sha256_digest(&b, two);
        }
        wf_sha256_digest(&a, one);
        wf_sha256_digest(&b, two);
        CHECK(memcmp(one, two, 32) == 0, "length %zu", n);
        CHECK(memcmp(one, last, 32) != 0, "length %zu gives the digest of %zu", n, n - 1);
        memcpy(last, one, 32);
    }
}

WF_TEST(text_is_base64_as_integrity_wants_it) {
    wf_sha256 h;
    uint8_t digest[32];
    char text[WF_SHA256_TEXT];
    wf_sha256_init(&h);
    wf_sha256_digest(&h, digest);
    wf_sha256_text(digest, text);
    CHECK(strcmp(text, "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=") == 0, "%s", text);
    wf_sha256_add(&h, "abc", 3);
    wf_sha256_digest(&h, digest);
    wf_sha256_text(digest, text);
    CHECK(strcmp(text, "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=") == 0, "%s", text);
}

int main(void) {
    RUN(published_vectors);
    RUN(a_million_letters_in_pieces);
    RUN(every_length_up_to_three_blocks);
    RUN(text_is_base64_as_integrity_wants_it);
    return wf_test_done();
}
