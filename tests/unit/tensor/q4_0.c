/* Q4_0 against its formulas in double precision: d = m / −8 as half, m the element of the largest
   magnitude, q = ⌊w / d + 8.5⌋ up to 15, w' = d·(q − 8); at awkward values and on noise. */
#include "tensor/q4_0.h"

#include "../check.h"
#include "base/half.h"

static uint8_t packed[18 * 64];

static int nibble_of(const uint8_t *block, int i) {
    return i < 16 ? block[2 + i] & 15 : block[2 + i - 16] >> 4;
}

static void check_block(const float *w) {
    float m = 0, back[32];
    for (int i = 0; i < 32; i++) {
        m = fabsf(w[i]) > fabsf(m) ? w[i] : m;
    }
    float d = m / -8.0f, inverse = d != 0 ? 1.0f / d : 0;
    uint16_t h = wf_f32_to_f16(d);
    wf_q4_0_encode(w, packed, 32);
    wf_q4_0_decode(packed, back, 32);
    CHECK(packed[0] == (h & 255) && packed[1] == h >> 8, "scale %02x%02x, not %04x", packed[1],
          packed[0], h);
    for (int i = 0; i < 32; i++) {
        double x = (double)(w[i] * inverse + 8.5f);
        int q = x >= 15 ? 15 : (int)floor(x);
        CHECK(nibble_of(packed, i) == q, "w[%d] = %g: q %d, not %d", i, (double)w[i],
              nibble_of(packed, i), q);
        CHECK((double)back[i] == (double)wf_f16_to_f32(h) * (q - 8), "w[%d] back is %g", i,
              (double)back[i]);
        /* Half a step; a whole one where +8 would be needed; d's rounding; tiny d. */
        double bound = fabs((double)d) * (x >= 15.5 ? 1 : 0.5) + fabs((double)d) * 8 * 0x1p-11 + 8 * 0x1p-25;
        CHECK(fabs((double)back[i] - (double)w[i]) <= bound * 1.0001, "w[%d] = %g came back as %g",
              i, (double)w[i], (double)back[i]);
    }
}

WF_TEST(awkward_blocks) {
    float w[32];
    memset(w, 0, sizeof w);
    check_block(w);
    w[5] = -0.0f;
    check_block(w);
    w[31] = -8.0f;
    for (int i = 0; i < 31; i++) {
        w[i] = (float)i * 0.5f - 7.5f; /* halves, both signs, and +7.5 */
    }
    check_block(w);
    w[31] = 8.0f; /* the same magnitudes, d negative */
    check_block(w);
    w[0] = -8.0f; /* both signs of the largest magnitude: the first decides */
    check_block(w);
    CHECK(nibble_of(packed, 0) == 0 && nibble_of(packed, 31) == 15, "%d and %d", nibble_of(packed, 0),
          nibble_of(packed, 31));
    memset(w, 0, sizeof w);
    w[0] = 1e-7f; /* the scale is a subnormal half */
    check_block(w);
    w[0] = 65504.0f * 8.0f; /* the largest scale */
    w[1] = -1.0f;
    check_block(w);
}

/* A block by hand: byte j holds elements j and j + 16. */
WF_TEST(nibbles_lie_as_ggml_lays_them) {
    static const uint8_t block[18] = {0x00, 0x3c, 0x80, 0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6,
                                      0xf7, 0x08, 0x19, 0x2a, 0x3b, 0x4c, 0x5d, 0x6e, 0x7f};
    float w[32];
    uint8_t again[18];
    wf_q4_0_decode(block, w, 32); /* d = 1 */
    for (int i = 0; i < 16; i++) {
        CHECK(w[i] == (float)(i - 8) && w[i + 16] == (float)((i + 8) % 16 - 8), "%d: %g and %g", i,
              (double)w[i], (double)w[i + 16]);
    }
    wf_q4_0_encode(w, again, 32);
    CHECK(memcmp(block, again, 18) == 0, "decoded and encoded again it is another block");
}

WF_TEST(what_cannot_be_encoded_becomes_zero) {
    float w[32] = {0}, back[32];
    w[0] = 3e-39f; /* 1/d overflows */
    wf_q4_0_encode(w, packed, 32);
    for (int i = 0; i < 32; i++) {
        CHECK(nibble_of(packed, i) == 8, "element %d is %d", i, nibble_of(packed, i));
    }
    w[0] = 8;
    w[1] = NAN;
    wf_q4_0_encode(w, packed, 32);
    wf_q4_0_decode(packed, back, 32);
    CHECK(back[0] == 8 && back[1] == 0, "%g and %g", (double)back[0], (double)back[1]);
    w[1] = INFINITY; /* an infinite scale: the whole block is lost, and says so as NaN */
    wf_q4_0_encode(w, packed, 32);
    wf_q4_0_decode(packed, back, 32);
    CHECK(packed[1] == 0xfc && isnan(back[5]), "%02x, %g", packed[1], (double)back[5]);
}

WF_TEST(noise) {
    float w[32];
    wf_test_seed(3);
    for (int i = 0; i < 2000; i++) {
        wf_test_fill(w, 32, -2.0f, 2.0f);
        for (int k = 0; k < 32; k++) {
            w[k] *= ldexpf(1, i % 30 - 20);
        }
        check_block(w);
    }
}

WF_TEST(rows_are_blocks_in_order) {
    float w[96], back[96], one[32];
    wf_test_seed(4);
    wf_test_fill(w, 96, -1, 1);
    wf_q4_0_encode(w, packed, 96);
    wf_q4_0_decode(packed, back, 96);
    for (int b = 0; b < 3; b++) {
        uint8_t alone[18];
        wf_q4_0_decode(packed + 18 * b, one, 32);
        CHECK(memcmp(one, back + 32 * b, sizeof one) == 0, "block %d", b);
        wf_q4_0_encode(w + 32 * b, alone, 32);
        CHECK(memcmp(alone, packed + 18 * b, 18) == 0, "block %d", b);
    }
}

int main(void) {
    RUN(awkward_blocks);
    RUN(nibbles_lie_as_ggml_lays_them);
    RUN(what_cannot_be_encoded_becomes_zero);
    RUN(noise);
    RUN(rows_are_blocks_in_order);
    return wf_test_done();
}
