#include <stddef.h>

#include "base/simd.h"
#include "kernels/codec.h"
#include "prototype.h"

/* `wide`: int16 and two products a lane, a constant like rows and vectors. All of k runs in registers. */
WF_INLINE void tile(const prototype *p, const uint32_t rows, const uint32_t vectors, const bool wide, const char *a, const char *b,
                    int32_t *c) {
    v128_t sum[12];
    const char *at[6];
    const uint32_t size = wide ? 2 : 1, steps = p->k * size / 4;
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        at[i] = a + (size_t)i * p->k * size;
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            sum[i * vectors + j] = wasm_i32x4_splat(0);
        }
    }
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
                if (!wide) {
                    *s = wf_dot_i8x16_add(w[j], x, *s);
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

WF_INLINE void product(const prototype *p, const uint32_t rows, const uint32_t vectors, const bool wide, uint32_t m0, uint32_t m1) {
    const size_t size = wide ? 2 : 1;
    for (uint32_t j = 0; j < p->n; j += 4 * vectors) {
        for (uint32_t i = m0; i < m1; i += rows) {
            tile(p, rows, vectors, wide, (const char *)p->a + (size_t)i * p->k * size, (const char *)p->b + (size_t)j * p->k * size,
                 (int32_t *)(void *)p->c + (size_t)i * p->n + j);
        }
    }
}

#define PRODUCT(rows, vectors, wide)                                                                                           \
    static __attribute__((noinline)) void product_##rows##x##vectors##_##wide(const prototype *p, uint32_t m0, uint32_t m1) { \
        product(p, rows, vectors, wide, m0, m1);                                                                               \
    }
PRODUCT(2, 4, true) PRODUCT(3, 3, true) PRODUCT(4, 2, true) PRODUCT(5, 2, true)
#if WF_SIMD_HAS_DOT
PRODUCT(2, 4, false) PRODUCT(3, 3, false) PRODUCT(4, 2, false) PRODUCT(5, 2, false) PRODUCT(6, 2, false)
#endif

static const struct {
    uint32_t rows, vectors;
    bool wide;
    void (*run)(const prototype *p, uint32_t m0, uint32_t m1);
} products[] = {{2, 4, true, product_2x4_true}, {3, 3, true, product_3x3_true}, {4, 2, true, product_4x2_true}, {5, 2, true, product_5x2_true},
#if WF_SIMD_HAS_DOT
                {2, 4, false, product_2x4_false}, {3, 3, false, product_3x3_false}, {4, 2, false, product_4x2_false},
                {5, 2, false, product_5x2_false}, {6, 2, false, product_6x2_false},
#endif
};
enum { PRODUCTS = sizeof products / sizeof *products };

static int find(const prototype *p) {
    const bool wide = wf_dot_current() == WF_DOT_I16;
    for (int i = 0; i < PRODUCTS; i++) {
        if (products[i].rows == p->rows && products[i].vectors == p->vectors && products[i].wide == wide) {
            return i;
        }
    }
    return -1;
}

bool prototype_i8_exists(const prototype *p) { return find(p) >= 0; }

void prototype_i8_run(const prototype *p, uint32_t share, uint32_t shares) {
    products[find(p)].run(p, p->m / shares * share, p->m / shares * (share + 1));
}
