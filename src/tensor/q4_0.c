/* Q4_0 encode and decode, in the operation order of ggml's reference, so that files are byte-equal. */
#include "tensor/q4_0.h"

#include <stdint.h>

#include "base/bytes.h"
#include "base/half.h"

enum { HALF = WF_Q4_0_BLOCK / 2, ZERO = 8 };

void wf_q4_0_decode(const void *src, float *dst, size_t k) {
    const uint8_t *s = src;
    for (size_t b = 0; b < k / WF_Q4_0_BLOCK; b++, s += WF_Q4_0_BYTES, dst += WF_Q4_0_BLOCK) {
        float d = wf_f16_to_f32(wf_load_u16(s));
        for (int i = 0; i < HALF; i++) {
            dst[i] = d * (float)((s[2 + i] & 15) - ZERO);
            dst[i + HALF] = d * (float)((s[2 + i] >> 4) - ZERO);
        }
    }
}

static float absolute(float x) { return x < 0 ? -x : x; }

/* What no scale can hold (NaN and infinite weights, blocks so small that 1/d overflows) becomes 0. */
static uint8_t nibble(float x) {
    float shifted = x + 8.5f;
    if (!(shifted >= 0.0f && shifted < 18.0f)) {
        return ZERO;
    }
    return shifted < 15.0f ? (uint8_t)shifted : 15;
}

void wf_q4_0_encode(const float *src, void *dst, size_t k) {
    uint8_t *out = dst;
    for (size_t b = 0; b < k / WF_Q4_0_BLOCK; b++, src += WF_Q4_0_BLOCK, out += WF_Q4_0_BYTES) {
        float largest = 0;
        for (int i = 0; i < WF_Q4_0_BLOCK; i++) {
            largest = absolute(src[i]) > absolute(largest) ? src[i] : largest;
        }
        float d = largest / -8.0f;
        float inverse = d != 0 ? 1.0f / d : 0.0f;
        uint16_t h = wf_f32_to_f16(d);
        out[0] = (uint8_t)h;
        out[1] = (uint8_t)(h >> 8);
        for (int i = 0; i < HALF; i++) {
            out[2 + i] = (uint8_t)(nibble(src[i] * inverse) | nibble(src[i + HALF] * inverse) << 4);
        }
    }
}
