/* Conversions between float and the 16-bit formats, exact and rounding to nearest even, without
   relying on hardware half support (wasm has none). */
#ifndef WF_BASE_HALF_H
#define WF_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float wf_bits_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t wf_float_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE binary16 → binary32. Scaling by 2^112 moves the exponent; subnormals come out right by themselves. */
static inline float wf_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t rest = (uint32_t)(h & 0x7fffu) << 13;
    if ((h & 0x7c00u) == 0x7c00u) {
        return wf_bits_float(sign | 0x7f800000u | (rest & 0x007fffffu));
    }
    float magnitude = wf_bits_float(rest) * wf_bits_float(0x77800000u); /* 2^112 */
    return wf_bits_float(sign | wf_float_bits(magnitude));
}

static inline uint16_t wf_f32_to_f16(float f) {
    uint32_t bits = wf_float_bits(f);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t a = bits & 0x7fffffffu;
    if (a > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u); /* NaN */
    }
    if (a >= 0x477ff000u) {
        return (uint16_t)(sign | 0x7c00u); /* rounds to infinity */
    }
    if (a < 0x38800000u) { /* subnormal in half: add a magic number so that the FPU rounds for us */
        float magic = wf_bits_float(0x3f000000u);
        return (uint16_t)(sign | (uint16_t)(wf_float_bits(wf_bits_float(a) + magic) - 0x3f000000u));
    }
    uint32_t odd = a >> 13 & 1u;
    return (uint16_t)(sign | (uint16_t)((a - 0x38000000u + 0xfffu + odd) >> 13));
}

static inline float wf_bf16_to_f32(uint16_t h) { return wf_bits_float((uint32_t)h << 16); }

static inline uint16_t wf_f32_to_bf16(float f) {
    uint32_t bits = wf_float_bits(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
