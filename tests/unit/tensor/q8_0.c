/* Q8_0 against its formulas in double precision: d = max|w| / 127 as half, q = w / d to nearest
   (half away from zero), w' = d·q; at awkward values and on noise. */
#include "tensor/q8_0.h"

#include "../check.h"
#include "base/half.h"

static uint8_t packed[34 * 64];

/* The reference order of operations in float: q from the unrounded 1/d. */
static void check_block(const float *w) {
    float largest = 0;
    for (int i = 0; i < 32; i++) {
        largest = fabsf(w[i]) > largest ? fabsf(w[i]) : largest;
    }
    float d = largest / 127.0f, inverse = d != 0 ? 1.0f / d : 0;
    uint16_t h = wf_f32_to_f16(d);
    float back[32];
    wf_q8_0_encode(w, packed, 32);
    wf_q8_0_decode(packed, back, 32);
    CHECK(packed[0] == (h & 255) && packed[1] == h >> 8, "scale %02x%02x, not %04x", packed[1],
          packed[0], h);
    for (int i = 0; i < 32; i++) {
        int q = (int)round((double)(w[i] * inverse));
        CHECK((int8_t)packed[2 + i] == q, "w[%d] = %g: q %d, not %d", i, (double)w[i],
              (int8_t)packed[2 + i], q);
        CHECK((double)back[i] == (double)wf_f16_to_f32(h) * q, "w[%d] back is %g", i,
              (double)back[i]);
        double bound = (double)d * 0.5 + (double)d * 127 * 0x1p-11 +
                       127 * 0x1p-25; /* rounding of q, of d, of tiny d */
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
    w[31] = 127.0f;
    for (int i = 0; i < 31; i++) {
        w[i] = (float)i - 15.5f; /* halves: away from zero */
    }
    check_block(w);
    for (int i = 0; i < 32; i++) {
        w[i] = -127.0f + (float)i * 8.0f;
    }
    check_block(w);
    memset(w, 0, sizeof w);
    w[0] = 1e-6f; /* the scale is a subnormal half */
    check_block(w);
    w[0] = 1e-9f; /* the scale underflows to 0: everything comes back as 0, within the bound */
    check_block(w);
    w[0] = 65504.0f * 127.0f; /* the largest scale */
    w[1] = -1.0f;
    check_block(w);
}

/* Weights that no model should have must not become wild bytes. */
WF_TEST(what_cannot_be_encoded_becomes_zero) {
    static const uint8_t zeros[34];
    float w[32] = {0}, back[32];
    w[0] = 3e-39f; /* 1/d overflows */
    wf_q8_0_encode(w, packed, 32);
    CHECK(memcmp(packed, zeros, 34) == 0);
    w[0] = 127;
    w[1] = NAN;
    wf_q8_0_encode(w, packed, 32);
    wf_q8_0_decode(packed, back, 32);
    CHECK(back[0] == 127 && back[1] == 0);
    w[1] = INFINITY; /* an infinite scale: the whole block is lost, and says so as NaN */
    wf_q8_0_encode(w, packed, 32);
    CHECK(packed[0] == 0 && packed[1] == 0x7c && memcmp(packed + 2, zeros, 32) == 0);
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
    wf_q8_0_encode(w, packed, 96);
    wf_q8_0_decode(packed, back, 96);
    for (int b = 0; b < 3; b++) {
        wf_q8_0_decode(packed + 34 * b, one, 32);
        CHECK(memcmp(one, back + 32 * b, sizeof one) == 0);
        uint8_t alone[34];
        wf_q8_0_encode(w + 32 * b, alone, 32);
        CHECK(memcmp(alone, packed + 34 * b, 34) == 0);
    }
}

int main(void) {
    RUN(awkward_blocks);
    RUN(what_cannot_be_encoded_becomes_zero);
    RUN(noise);
    RUN(rows_are_blocks_in_order);
    return wf_test_done();
}
