/* SHA-256 blocks by the SHA instructions of x86, where the CPU has them: five times the portable rate.
   The instructions want the eight variables as two vectors, {f, e, b, a} and {h, g, d, c} from the lowest
   lane, and make two rounds each; sha256msg1 and sha256msg2 are the two halves of the message
   schedule. Included by sha256.c only. */
#ifndef WF_BASE_SHA256_X86_H
#define WF_BASE_SHA256_X86_H

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static bool x86_has_sha(void) {
    static int known; /* 0: not asked yet; every thread would write the same */
    if (known == 0) {
        unsigned a, b, c, d, sse = 0;
        bool sha = __get_cpuid(1, &a, &b, &sse, &d) != 0 && (sse & bit_SSE4_1) != 0 &&
                   __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
        known = sha ? 1 : 2;
    }
    return known == 1;
}

__attribute__((target("sha,sse4.1,ssse3"))) static void
x86_blocks(uint32_t state[8], const uint8_t *p, size_t blocks, const uint32_t constants[64]) {
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);        /* b a d c */
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b); /* h g f e */
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; blocks > 0; blocks--, p += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++) {
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), swap);
        }
        for (int r = 0; r < 16; r++) { /* four rounds */
            if (r >= 4) {
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[r & 3], w[(r + 1) & 3]),
                                            _mm_alignr_epi8(w[(r + 3) & 3], w[(r + 2) & 3], 4));
                w[r & 3] = _mm_sha256msg2_epu32(sum, w[(r + 3) & 3]);
            }
            __m128i words =
                _mm_add_epi32(w[r & 3], _mm_loadu_si128((const __m128i *)(constants + 4 * r)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);  /* a b e f */
    high = _mm_shuffle_epi32(cdgh, 0xb1); /* g h c d */
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

#endif
