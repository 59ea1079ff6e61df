/* xoshiro128** (Blackman and Vigna), seeded by SplitMix64: the one source of randomness, the same on every platform. */
#ifndef WF_BASE_RNG_H
#define WF_BASE_RNG_H

#include <stdint.h>

typedef struct wf_rng {
    uint32_t s[4];
} wf_rng;

static inline void wf_rng_seed(wf_rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i += 2) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        r->s[i] = (uint32_t)z;
        r->s[i + 1] = (uint32_t)(z >> 32);
    }
}

static inline uint32_t wf_rng_rotl(uint32_t x, int k) { return x << k | x >> (32 - k); }

static inline uint32_t wf_rng_u32(wf_rng *r) {
    uint32_t result = wf_rng_rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 9;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = wf_rng_rotl(r->s[3], 11);
    return result;
}

/* Uniform in [−1, 1), an exact multiple of 2^−23. */
static inline float wf_rng_signed(wf_rng *r) {
    return (float)(int32_t)(wf_rng_u32(r) >> 8) * (1.0f / 8388608.0f) - 1.0f;
}

#endif
