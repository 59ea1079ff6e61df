/* Q8_0 encode and decode, in the operation order of ggml's reference, so that files are byte-equal. */
#include "tensor/q8_0.h"

#include <stdint.h>

#include "base/bytes.h"
#include "base/half.h"

void wf_q8_0_decode(const void *src, float *dst, size_t k) {
    const uint8_t *s = src;
    for (size_t b = 0; b < k / WF_Q8_0_BLOCK; b++, s += WF_Q8_0_BYTES, dst += WF_Q8_0_BLOCK) {
        float d = wf_f16_to_f32(wf_load_u16(s));
        for (int i = 0; i < WF_Q8_0_BLOCK; i++) {
            dst[i] = d * (float)(int8_t)s[2 + i];
        }
    }
}

static float absolute(float x) { return x < 0 ? -x : x; }

/* Half away from zero, exact for |x| <= 127. What is beyond becomes 0: NaN and infinite weights, and blocks so small that
   1/d overflows, whose scale is 0 anyway. */
static int round_away(float x) {
    if (!(x > -128.0f && x < 128.0f)) {
        return 0;
    }
    int whole = (int)x;
    float rest = x - (float)whole;
    return rest >= 0.5f ? whole + 1 : rest <= -0.5f ? whole - 1 : whole;
}

void wf_q8_0_encode(const float *src, void *dst, size_t k) {
    uint8_t *out = dst;
    for (size_t b = 0; b < k / WF_Q8_0_BLOCK; b++, src += WF_Q8_0_BLOCK, out += WF_Q8_0_BYTES) {
        float largest = 0;
        for (int i = 0; i < WF_Q8_0_BLOCK; i++) {
            largest = absolute(src[i]) > largest ? absolute(src[i]) : largest;
        }
        float d = largest / 127.0f;
        float inverse = d != 0 ? 1.0f / d : 0.0f;
        uint16_t h = wf_f32_to_f16(d);
        out[0] = (uint8_t)h;
        out[1] = (uint8_t)(h >> 8);
        for (int i = 0; i < WF_Q8_0_BLOCK; i++) {
            out[2 + i] = (uint8_t)(int8_t)round_away(src[i] * inverse);
        }
    }
}
