/* The loops of limits.h. Arithmetic has the shape of the GEMM's tile: two vectors of B, and per row one splat of A with its
   multiply–adds. */
#include "kernels/limits.h"

#include "base/simd.h"
#include "kernels/codec.h"
#include "kernels/simd128/byte_products.h"

#if defined(WF_RELAXED)
enum { ROWS = 6 };
#else
enum { ROWS = 5 };
#endif
enum { VECTORS = 2, STEPS = 64, B_BYTES = STEPS * VECTORS * 16 }; /* with A and C: 3776 bytes */

/* `steps` is no constant to the compiler: unrolled loops spill. */
static __attribute__((noinline)) void f32_loop(const float *a, const float *b, float *c, uint32_t steps) {
    v128_t sum[ROWS * VECTORS];
    WF_UNROLL for (int i = 0; i < ROWS * VECTORS; i++) {
        sum[i] = wasm_v128_load(c + 4 * i);
    }
    for (uint32_t k = 0; k < steps; k++) {
        v128_t w0 = wasm_v128_load(b + 8 * k), w1 = wasm_v128_load(b + 8 * k + 4);
        WF_UNROLL for (int i = 0; i < ROWS; i++) {
            v128_t x = wasm_v128_load32_splat(a + i * STEPS + k);
            sum[2 * i] = wf_madd(x, w0, sum[2 * i]);
            sum[2 * i + 1] = wf_madd(x, w1, sum[2 * i + 1]);
        }
    }
    WF_UNROLL for (int i = 0; i < ROWS * VECTORS; i++) {
        wasm_v128_store(c + 4 * i, sum[i]);
    }
}

/* `dot` is a constant where this is inlined; any relaxed dot of four bytes is WF_DOT_U8S8. */
WF_INLINE void int8_loop(const int8_t *a, const int8_t *b, int32_t *c, uint32_t steps, const wf_dot dot) {
    const char *row[6];
    v128_t sum[12];
    WF_UNROLL for (int i = 0; i < ROWS * VECTORS; i++) {
        sum[i] = wasm_v128_load(c + 4 * i);
    }
    WF_UNROLL for (int i = 0; i < ROWS; i++) {
        row[i] = (const char *)a + 4 * i * STEPS;
    }
#if WF_SIMD_HAS_DOT
    const v128_t ones = wf_ones();
#endif
    for (uint32_t k = 0; k < steps; k++) {
        v128_t w[VECTORS] = {wasm_v128_load(b + 32 * k), wasm_v128_load(b + 32 * k + 16)};
#if WF_SIMD_HAS_DOT
        if (dot == WF_DOT_PAIRS) {
            wf_add_pairs(sum, w, ones, row, 4 * k, ROWS, VECTORS);
            continue;
        }
#endif
        wf_add_products(sum, w, row, 4 * k, ROWS, VECTORS, dot == WF_DOT_U8S8);
    }
    WF_UNROLL for (int i = 0; i < ROWS * VECTORS; i++) {
        wasm_v128_store(c + 4 * i, sum[i]);
    }
}

#define LOOP(name, dot)                                                                                             \
    static __attribute__((noinline)) void name(const int8_t *a, const int8_t *b, int32_t *c, uint32_t steps) {      \
        int8_loop(a, b, c, steps, dot);                                                                             \
    }
/* Relaxed builds have no loop for WF_DOT_I16: every CPU known has one of the others, and a download weighs. */
#if defined(__wasm__) && WF_SIMD_HAS_DOT
enum { INT8_PRODUCTS = 16 }; /* of a vector */
LOOP(dot_loop, WF_DOT_U8S8)
LOOP(pairs_loop, WF_DOT_PAIRS)
#else
enum { INT8_PRODUCTS = 8 };
LOOP(i16_loop, WF_DOT_I16)
#endif

static void int8_steps(wf_dot dot, const int8_t *a, const int8_t *b, int32_t *c, uint32_t steps) {
#if defined(__wasm__) && WF_SIMD_HAS_DOT
    (dot == WF_DOT_PAIRS ? pairs_loop : dot_loop)(a, b, c, steps);
#else
    (void)dot;
    i16_loop(a, b, c, steps);
#endif
}

uint64_t wf_limit_arithmetic(bool int8, uint32_t rounds, void *memory) {
    uint8_t *b = memory, *a = b + B_BYTES, *c = a + ROWS * STEPS * 4; /* 2048 + 1536 + 192 bytes at most */
    for (int i = 0; i < WF_LIMIT_BYTES / 4; i++) {
        ((float *)memory)[i] = 0; /* no denormals, no overflow, whatever the number of rounds */
    }
    const wf_dot dot = wf_dot_current();
    uint32_t steps = STEPS;
    __asm__("" : "+r"(steps));
    for (uint32_t i = 0; i < rounds; i++) {
        if (!int8) {
            f32_loop((const float *)a, (const float *)b, (float *)c, steps);
        } else {
            int8_steps(dot, (const int8_t *)a, (const int8_t *)b, (int32_t *)c, steps);
        }
    }
    return (uint64_t)rounds * STEPS * ROWS * VECTORS * (int8 ? INT8_PRODUCTS : 4);
}

uint64_t wf_limit_copy(void *memory, size_t bytes, uint32_t rounds) {
    const uint8_t *from = memory;
    uint8_t *to = (uint8_t *)memory + bytes / 2;
    for (uint32_t i = 0; i < rounds; i++) {
        for (size_t at = 0; at < bytes / 2; at += 64) {
            v128_t v0 = wasm_v128_load(from + at), v1 = wasm_v128_load(from + at + 16);
            v128_t v2 = wasm_v128_load(from + at + 32), v3 = wasm_v128_load(from + at + 48);
            wasm_v128_store(to + at, v0);
            wasm_v128_store(to + at + 16, v1);
            wasm_v128_store(to + at + 32, v2);
            wasm_v128_store(to + at + 48, v3);
        }
        __asm__ volatile("" : "+r"(to) : : "memory");
    }
    return (uint64_t)rounds * bytes;
}
