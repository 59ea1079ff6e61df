/* The inverse DCT of 8 × 8 with 13-bit constants and 2 more bits between the passes: the "islow" transform of the IJG's library, to the last
   bit, for pixels must be those on which models were evaluated. Method: Loeffler, Ligtenberg, Moschytz, "Practical fast 1-D DCT algorithms
   with 11 multiplications" (1989), 12 multiplications and 32 additions a row. Sums wrap instead of overflowing; what lies between the
   passes saturates at 16 bits as in the vector versions, which only shows where a file is damaged. */
#include "media/jpeg_decode.h"

enum {
    BITS = 13,
    EXTRA = 2, /* kept between the passes */
    K0_298 = 2446, K0_390 = 3196, K0_541 = 4433, K0_765 = 6270, K0_899 = 7373, K1_175 = 9633,
    K1_501 = 12299, K1_847 = 15137, K1_961 = 16069, K2_053 = 16819, K2_562 = 20995, K3_072 = 25172, /* · 2^13 */
};

static inline int32_t times(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
static inline int32_t plus(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
static inline int32_t minus(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
static inline int32_t rounded(int32_t v, int bits) { return plus(v, 1 << (bits - 1)) >> bits; }
static inline int32_t clamp(int32_t v, int32_t low, int32_t high) { return v < low ? low : v > high ? high : v; }

/* Eight values → eight, scaled by 2^BITS. */
static inline void transform(const int32_t in[8], int32_t out[8]) {
    int32_t z = times(plus(in[2], in[6]), K0_541);
    int32_t low = plus(z, times(in[6], -K1_847)), high = plus(z, times(in[2], K0_765));
    int32_t sum = times(plus(in[0], in[4]), 1 << BITS), difference = times(minus(in[0], in[4]), 1 << BITS);
    int32_t even[4] = {plus(sum, high), plus(difference, low), minus(difference, low), minus(sum, high)};

    int32_t z3 = plus(in[7], in[3]), z4 = plus(in[5], in[1]), z5 = times(plus(z3, z4), K1_175);
    int32_t z1 = times(plus(in[7], in[1]), -K0_899), z2 = times(plus(in[5], in[3]), -K2_562);
    z3 = plus(times(z3, -K1_961), z5);
    z4 = plus(times(z4, -K0_390), z5);
    int32_t odd[4] = {plus(times(in[1], K1_501), plus(z1, z4)), plus(times(in[3], K3_072), plus(z2, z3)),
                      plus(times(in[5], K2_053), plus(z2, z4)), plus(times(in[7], K0_298), plus(z1, z3))};
    for (int i = 0; i < 4; i++) {
        out[i] = plus(even[i], odd[i]);
        out[7 - i] = minus(even[i], odd[i]);
    }
}

void wf_jpeg_idct(const int16_t *block, const uint16_t *steps, uint8_t *out, size_t stride) {
    int32_t half[64]; /* [column, row] */
    for (int x = 0; x < 8; x++) {
        int32_t in[8], y[8], rest = 0;
        for (int v = 0; v < 8; v++) {
            in[v] = (int16_t)(uint16_t)((uint32_t)block[8 * v + x] * steps[8 * v + x]);
            rest |= v > 0 ? in[v] : 0;
        }
        if (rest == 0) { /* most columns: the same as below, for a constant */
            for (int v = 0; v < 8; v++) {
                half[8 * v + x] = clamp(in[0] * (1 << EXTRA), -32768, 32767);
            }
            continue;
        }
        transform(in, y);
        for (int v = 0; v < 8; v++) {
            half[8 * v + x] = clamp(rounded(y[v], BITS - EXTRA), -32768, 32767);
        }
    }
    for (int v = 0; v < 8; v++, out += stride) {
        int32_t y[8];
        transform(half + (ptrdiff_t)8 * v, y);
        for (int x = 0; x < 8; x++) {
            out[x] = (uint8_t)clamp(rounded(y[x], BITS + EXTRA + 3) + 128, 0, 255);
        }
    }
}
