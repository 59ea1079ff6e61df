/* Which relaxed dot this CPU has, found by arithmetic (the instruction's result is left to the
   implementation when its second operand is not in 0 … 127). Weights are the first operand, full
   int8:
       u8 × s8, exact       VNNI and AVX-VNNI                      → WF_DOT_U8S8 (activations + 128)
       s8 × s8, exact       Arm's SDOT                             → WF_DOT_S8S8
       u8 × s8, saturating  pmaddubsw, all that x86 has without these (and all that V8 uses where VNNI
                            is there in its AVX-512 form only)     → WF_DOT_PAIRS, by the dot's first
                            step alone (activations + 128)
       anything else                                               → WF_DOT_I16 (no relaxed dot at all)
   A module may run on another machine than the one it was compiled on, so this is asked at start,
   not at build. */
#include "base/simd.h"
#include "kernels/codec.h"

#if WF_SIMD_HAS_DOT

/* Bytes through memory, so that no compiler folds the dot with rules of its own. */
static v128_t all(volatile int8_t byte) { return wasm_i8x16_splat(byte); }

static int32_t dot_of(int8_t w, int8_t x) {
    return wasm_i32x4_extract_lane(wf_dot_i8x16_add(all(w), all(x), wasm_i32x4_splat(1000)), 0) - 1000;
}

/* The same byte pairs everywhere. */
static int32_t pairs_of(int32_t w, int32_t x) {
    volatile int32_t weights = w, other = x;
    return wasm_i16x8_extract_lane(wf_pairs_i8x16(wasm_i16x8_splat((int16_t)weights), wasm_i16x8_splat((int16_t)other)), 0);
}

static bool pairs_are_exact(void) {
    return pairs_of(0x4040, 0xffff) == 128 * 255 && pairs_of(0xc0c0, 0xffff) == -128 * 255 && pairs_of(0x017f, 0xffff) == 128 * 255 &&
           pairs_of(0x7f80, 0x8001) == 127 * 128 - 128 && pairs_of(0x8000, 0xff80) == -128 * 255 && pairs_of(0x0103, 0x8002) == 128 + 6;
}

static wf_dot probe(void) {
    /* 0x80 is 128 or −128; 255 · 127 · 2 does not fit 16 bits, so saturation shows. */
    if (dot_of(127, -1) == 4 * 127 * 255 && dot_of(-128, -1) == 4 * -128 * 255 &&
        dot_of(1, -128) == 4 * 128 && dot_of(-127, 3) == 4 * -127 * 3) {
        return WF_DOT_U8S8;
    }
    if (dot_of(127, -128) == 4 * 127 * -128 && dot_of(-128, -128) == 4 * 128 * 128 &&
        dot_of(127, 127) == 4 * 127 * 127 && dot_of(-127, 3) == 4 * -127 * 3) {
        return WF_DOT_S8S8;
    }
    return pairs_are_exact() ? WF_DOT_PAIRS : WF_DOT_I16;
}

#else

static wf_dot probe(void) { return WF_DOT_I16; }

#endif

wf_dot wf_dot_probe(void) { return probe(); }

static int current = -1;

/* Two threads that ask first at the same time find the same answer. Natively the dot is emulated,
   slowly: it is there for tests, which force it, unless WF_RELAXED asks for it. */
wf_dot wf_dot_current(void) {
    int dot = __atomic_load_n(&current, __ATOMIC_RELAXED);
    if (dot < 0) {
#if defined(WF_RELAXED)
        dot = (int)probe();
#else
        dot = WF_DOT_I16;
#endif
        __atomic_store_n(&current, dot, __ATOMIC_RELAXED);
    }
    return (wf_dot)dot;
}

void wf_dot_force(wf_dot dot) { __atomic_store_n(&current, (int)dot, __ATOMIC_RELAXED); }
