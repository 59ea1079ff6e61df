/* Half and bfloat16 conversions over all 65536 values and over the floats between them, against the
   formulas in double precision and the rule of IEEE 754: to nearest, ties to even, overflow to
   infinity. */
#include "base/half.h"

#include "../check.h"

static double f16_value(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double magnitude = exponent == 0    ? ldexp(fraction, -24)
                       : exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                                        : ldexp(1024 + fraction, exponent - 25);
    return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

static double bf16_value(uint16_t h) {
    int exponent = h >> 7 & 255, fraction = h & 127;
    double magnitude = exponent == 0     ? ldexp(fraction, -133)
                       : exponent == 255 ? (fraction != 0 ? NAN : INFINITY)
                                         : ldexp(128 + fraction, exponent - 134);
    return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

static bool same(double a, double b) {
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

WF_TEST(f16_decodes_all_65536_values) {
    for (uint32_t h = 0; h < 65536; h++) {
        CHECK(same((double)wf_f16_to_f32((uint16_t)h), f16_value((uint16_t)h)), "%04x", h);
    }
}

WF_TEST(bf16_decodes_all_65536_values) {
    for (uint32_t h = 0; h < 65536; h++) {
        CHECK(same((double)wf_bf16_to_f32((uint16_t)h), bf16_value((uint16_t)h)), "%04x", h);
    }
}

/* Encoding what was decoded gives the same bits; a NaN stays a NaN of its sign. */
WF_TEST(all_65536_values_survive_decode_and_encode) {
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t f16 = wf_f32_to_f16(wf_f16_to_f32((uint16_t)h)),
                 bf16 = wf_f32_to_bf16(wf_bf16_to_f32((uint16_t)h));
        bool nan16 = isnan(f16_value((uint16_t)h)), nanb = isnan(bf16_value((uint16_t)h));
        CHECK(nan16 ? isnan(f16_value(f16)) && (f16 & 0x8000) == (h & 0x8000) : f16 == h,
              "f16 %04x became %04x", h, f16);
        CHECK(nanb ? isnan(bf16_value(bf16)) && (bf16 & 0x8000) == (h & 0x8000) : bf16 == h,
              "bf16 %04x became %04x", h, bf16);
    }
}

/* Between each value and the next: the midpoint goes to the even one, the floats beside it to the
 * nearer one. */
WF_TEST(f16_rounds_to_nearest_even) {
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = f16_value((uint16_t)h),
               high = h == 0x7bff ? 65536.0 : f16_value((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2); /* exact: two more bits at most */
        uint16_t even = (uint16_t)((h & 1) == 0 ? h : h + 1);
        for (uint32_t sign = 0; sign < 2; sign++) {
            float s = sign != 0 ? -1.0f : 1.0f;
            uint16_t bit = (uint16_t)(sign << 15);
            CHECK(wf_f32_to_f16(s * middle) == (bit | even), "middle above %04x", h);
            CHECK(wf_f32_to_f16(s * nextafterf(middle, 0)) == (bit | h),
                  "below the middle above %04x", h);
            CHECK(wf_f32_to_f16(s * nextafterf(middle, INFINITY)) == (bit | (h + 1)),
                  "beyond the middle above %04x", h);
        }
    }
    CHECK(wf_f32_to_f16(1e30f) == 0x7c00 && wf_f32_to_f16(-INFINITY) == 0xfc00 &&
          wf_f32_to_f16(1e-30f) == 0);
    CHECK(wf_f32_to_f16(0x1p-25f) == 0 && wf_f32_to_f16(nextafterf(0x1p-25f, 1)) == 1);
}

WF_TEST(bf16_rounds_to_nearest_even) {
    for (uint32_t h = 0; h < 0x7f80; h++) {
        for (uint32_t sign = 0; sign < 2; sign++) {
            uint32_t bits = sign << 31 | h << 16;
            uint16_t here = (uint16_t)(sign << 15 | h), next = (uint16_t)(here + 1),
                     even = (h & 1) == 0 ? here : next;
            CHECK(wf_f32_to_bf16(wf_bits_float(bits | 0x8000)) == even, "middle above %04x", h);
            CHECK(wf_f32_to_bf16(wf_bits_float(bits | 0x7fff)) == here,
                  "below the middle above %04x", h);
            CHECK(wf_f32_to_bf16(wf_bits_float(bits | 0x8001)) == next,
                  "beyond the middle above %04x", h);
        }
    }
    CHECK(isnan((double)wf_bf16_to_f32(wf_f32_to_bf16(wf_bits_float(0x7f800001)))),
          "a NaN with low bits only stays one");
}

int main(void) {
    RUN(f16_decodes_all_65536_values);
    RUN(bf16_decodes_all_65536_values);
    RUN(all_65536_values_survive_decode_and_encode);
    RUN(f16_rounds_to_nearest_even);
    RUN(bf16_rounds_to_nearest_even);
    return wf_test_done();
}
