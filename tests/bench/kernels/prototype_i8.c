#include <stddef.h>

#include "base/simd.h"
#include "kernels/codec.h"
#include "kernels/simd128/byte_products.h"
#include "prototype.h"

/* WIDE: int16 and two products a lane; else bytes and four, by the relaxed dot or by its sums of two in 16 bits and ones. A constant like
   rows and vectors. All of k runs in registers. */
typedef enum kind { WIDE, DOT, PAIRS } kind;

WF_INLINE void tile(const prototype *p, const uint32_t rows, const uint32_t vectors, const kind how, const char *a, const char *b,
                    int32_t *c) {
    v128_t sum[12];
    const char *at[6];
    const uint32_t size = how == WIDE ? 2 : 1, steps = p->k * size / 4;
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        at[i] = a + (size_t)i * p->k * size;
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            sum[i * vectors + j] = wasm_i32x4_splat(0);
        }
    }
#if WF_SIMD_HAS_DOT
    const v128_t ones = wf_ones();
#endif
    for (uint32_t k = 0; k < steps; k++, b += 16 * vectors) {
        v128_t w[4];
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            w[j] = wasm_v128_load(b + 16 * j);
        }
        WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
            v128_t x = wasm_v128_load32_splat(at[i] + 4 * k);
            WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
                v128_t *s = &sum[i * vectors + j];
#if WF_SIMD_HAS_DOT
                if (how != WIDE) {
                    *s = how == DOT ? wf_dot_i8x16_add(w[j], x, *s)
                                    : wasm_i32x4_add(*s, wasm_i32x4_dot_i16x8(wf_pairs_i8x16(w[j], x), ones));
                    continue;
                }
#endif
                *s = wasm_i32x4_add(*s, wasm_i32x4_dot_i16x8(w[j], x));
            }
        }
    }
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            wasm_v128_store(c + (size_t)i * p->n + 4 * j, sum[i * vectors + j]);
        }
    }
}

WF_INLINE void product(const prototype *p, const uint32_t rows, const uint32_t vectors, const kind how, uint32_t m0, uint32_t m1) {
    const size_t size = how == WIDE ? 2 : 1;
    for (uint32_t j = 0; j < p->n; j += 4 * vectors) {
        for (uint32_t i = m0; i < m1; i += rows) {
            tile(p, rows, vectors, how, (const char *)p->a + (size_t)i * p->k * size, (const char *)p->b + (size_t)j * p->k * size,
                 (int32_t *)(void *)p->c + (size_t)i * p->n + j);
        }
    }
}

#define PRODUCT(rows, vectors, how)                                                                                           \
    static __attribute__((noinline)) void product_##rows##x##vectors##_##how(const prototype *p, uint32_t m0, uint32_t m1) { \
        product(p, rows, vectors, how, m0, m1);                                                                               \
    }
PRODUCT(2, 4, WIDE) PRODUCT(3, 3, WIDE) PRODUCT(4, 2, WIDE) PRODUCT(5, 2, WIDE)
#if WF_SIMD_HAS_DOT
PRODUCT(2, 4, DOT) PRODUCT(3, 3, DOT) PRODUCT(4, 2, DOT) PRODUCT(5, 2, DOT) PRODUCT(6, 2, DOT)
PRODUCT(2, 4, PAIRS) PRODUCT(3, 3, PAIRS) PRODUCT(4, 2, PAIRS) PRODUCT(5, 2, PAIRS) PRODUCT(6, 2, PAIRS)
#endif

#define LIST(rows, vectors, how) {rows, vectors, how, product_##rows##x##vectors##_##how}
static const struct {
    uint32_t rows, vectors;
    kind how;
    void (*run)(const prototype *p, uint32_t m0, uint32_t m1);
} products[] = {LIST(2, 4, WIDE),  LIST(3, 3, WIDE),  LIST(4, 2, WIDE),  LIST(5, 2, WIDE),
#if WF_SIMD_HAS_DOT
                LIST(2, 4, DOT),   LIST(3, 3, DOT),   LIST(4, 2, DOT),   LIST(5, 2, DOT),   LIST(6, 2, DOT),
                LIST(2, 4, PAIRS), LIST(3, 3, PAIRS), LIST(4, 2, PAIRS), LIST(5, 2, PAIRS), LIST(6, 2, PAIRS),
#endif
};
enum { PRODUCTS = sizeof products / sizeof *products };

static int find(const prototype *p) {
    const wf_dot dot = wf_dot_current();
    const kind how = dot == WF_DOT_I16 ? WIDE : dot == WF_DOT_PAIRS ? PAIRS : DOT;
    for (int i = 0; i < PRODUCTS; i++) {
        if (products[i].rows == p->rows && products[i].vectors == p->vectors && products[i].how == how) {
            return i;
        }
    }
    return -1;
}

bool prototype_i8_exists(const prototype *p) { return find(p) >= 0; }

void prototype_i8_run(const prototype *p, uint32_t share, uint32_t shares) {
    products[find(p)].run(p, p->m / shares * share, p->m / shares * (share + 1));
}
