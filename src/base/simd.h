/* 128-bit SIMD under one set of names: the wasm_* intrinsics. On wasm they come from the compiler;
   natively SIMDe provides them, so that sanitizers and fuzzers run the very source that ships.
   Native results equal the wasm baseline bit for bit (build with -ffp-contract=off); known
   exceptions: min/max of ±0 and NaN, which no kernel relies on.

   Relaxed SIMD is a second build of the same files (WF_RELAXED). What differs sits in two helpers:
     wf_madd(a, b, c)                 a·b + c: two roundings in the baseline, fused where WF_RELAXED
                                      allows it
     wf_dot_i8x16_add(w, x, acc)      four bytes of w · four bytes of x added to each lane of acc; w
                                      is signed, the second operand is what the CPU makes of it
                                      (dot_probe.c)
     wf_pairs_i8x16(w, x)             its first step: sums of two products in 16 bits */
#ifndef WF_BASE_SIMD_H
#define WF_BASE_SIMD_H

#include <stddef.h>
#include <stdint.h>

#define WF_INLINE static inline __attribute__((always_inline))
/* Before the loops over a tile's registers: their arrays only become registers when the loops are
   gone. */
#if defined(__clang__)
#define WF_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WF_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__wasm__)

#include <wasm_simd128.h>

#else

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/wasm/simd128.h>
/* Names that SIMDe 0.7.4 lacks. */
#ifndef wasm_u32x4_splat
#define wasm_u32x4_splat(x) wasm_i32x4_splat((int32_t)(x))
#endif
#ifndef wasm_u16x8_splat
#define wasm_u16x8_splat(x) wasm_i16x8_splat((int16_t)(x))
#endif
#ifndef wasm_u8x16_splat
#define wasm_u8x16_splat(x) wasm_i8x16_splat((int8_t)(x))
#endif

#if defined(WF_RELAXED) && defined(__FMA__)
#include <immintrin.h>
#endif

/* What a relaxed dot does, by the CPU below: VNNI multiplies u8 × s8, Arm's SDOT s8 × s8, and
   pmaddubsw u8 × s8 with sums of two products that saturate at 16 bits. Natively it is emulated,
   and tests choose which. */
typedef enum wf_simd_dot { WF_SIMD_DOT_VNNI, WF_SIMD_DOT_SDOT, WF_SIMD_DOT_PMADDUBSW } wf_simd_dot;
void wf_simd_dot_emulate(wf_simd_dot kind);
v128_t wf_simd_dot_emulated(v128_t w, v128_t x, v128_t acc);
v128_t wf_simd_pairs_emulated(v128_t w, v128_t x);

#endif

/* Constants come from tables, through a pointer that the compiler cannot see through, one
   load32_splat each: a v128.const is dear in V8 and cost GELU and exp half their speed
   (kernels/simd128/README.md). */
WF_INLINE const void *wf_table(const void *table) {
    __asm__("" : "+r"(table));
    return table;
}
WF_INLINE v128_t wf_f32x4_at(const float *table, int i) { return wasm_v128_load32_splat(table + i); }
WF_INLINE v128_t wf_i32x4_at(const int32_t *table, int i) { return wasm_v128_load32_splat(table + i); }

WF_INLINE v128_t wf_madd(v128_t a, v128_t b, v128_t c) {
#if defined(__wasm__) && defined(WF_RELAXED)
    return wasm_f32x4_relaxed_madd(a, b, c);
#elif defined(WF_RELAXED) && defined(__FMA__)
    __m128 x, y, z;
    __builtin_memcpy(&x, &a, sizeof x);
    __builtin_memcpy(&y, &b, sizeof y);
    __builtin_memcpy(&z, &c, sizeof z);
    z = _mm_fmadd_ps(x, y, z);
    __builtin_memcpy(&a, &z, sizeof a);
    return a;
#else
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}

/* The baseline wasm build has no such instruction: there WF_SIMD_HAS_DOT is 0 and nothing may call
   this. */
#if !defined(__wasm__)
#define WF_SIMD_HAS_DOT 1
WF_INLINE v128_t wf_dot_i8x16_add(v128_t w, v128_t x, v128_t acc) { return wf_simd_dot_emulated(w, x, acc); }
WF_INLINE v128_t wf_pairs_i8x16(v128_t w, v128_t x) { return wf_simd_pairs_emulated(w, x); }
#elif defined(WF_RELAXED)
#define WF_SIMD_HAS_DOT 1
WF_INLINE v128_t wf_dot_i8x16_add(v128_t w, v128_t x, v128_t acc) {
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, x, acc);
}
WF_INLINE v128_t wf_pairs_i8x16(v128_t w, v128_t x) { return wasm_i16x8_relaxed_dot_i8x16_i7x16(w, x); }
#else
#define WF_SIMD_HAS_DOT 0
#endif

#endif
