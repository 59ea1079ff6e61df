/* xoshiro128**: the published algorithm step by step, and what the uniform numbers promise. */
#include "base/rng.h"

#include "../check.h"

/* Written from the description: result = rotl(s1·5, 7)·9; t = s1 << 9; s2 ^= s0; s3 ^= s1; s1 ^=
   s2; s0 ^= s3; s2 ^= t; s3 = rotl(s3, 11). From {1, 2, 3, 4} the first results are these. */
WF_TEST(first_numbers_from_a_known_state) {
    static const uint32_t expected[] = {11520, 0, 5927040, 70819200};
    wf_rng r = {{1, 2, 3, 4}};
    for (int i = 0; i < 4; i++) {
        uint32_t got = wf_rng_u32(&r);
        CHECK(got == expected[i], "number %d is %u", i, got);
    }
}

WF_TEST(seeds_make_different_and_repeatable_streams) {
    wf_rng a, b, c;
    int differ = 0;
    wf_rng_seed(&a, 1);
    wf_rng_seed(&b, 1);
    wf_rng_seed(&c, 2);
    for (int i = 0; i < 1000; i++) {
        uint32_t x = wf_rng_u32(&a);
        CHECK(x == wf_rng_u32(&b));
        differ += x != wf_rng_u32(&c);
    }
    CHECK(differ > 990);
    wf_rng_seed(&a, 0);
    CHECK((a.s[0] | a.s[1] | a.s[2] | a.s[3]) != 0, "the all-zero state would stand still");
}

WF_TEST(signed_numbers_fill_their_range_evenly) {
    wf_rng r;
    wf_rng_seed(&r, 42);
    double sum = 0, squares = 0;
    float low = 1, high = -1;
    for (int i = 0; i < 100000; i++) {
        float x = wf_rng_signed(&r);
        CHECK(x >= -1 && x < 1 && x * 8388608.0f == floorf(x * 8388608.0f));
        sum += (double)x;
        squares += (double)x * (double)x;
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    CHECK_NEAR(sum / 100000, 0, 0.01);
    CHECK_NEAR(squares / 100000, 1.0 / 3, 0.01);
    CHECK(low < -0.999f && high > 0.999f);
}

int main(void) {
    RUN(first_numbers_from_a_known_state);
    RUN(seeds_make_different_and_repeatable_streams);
    RUN(signed_numbers_fill_their_range_evenly);
    return wf_test_done();
}
