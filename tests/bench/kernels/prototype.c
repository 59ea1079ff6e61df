#include "prototype.h"

#include <stddef.h>

#include "base/simd.h"

/* Blocks of k, and floats of A that stay in the L2 cache. */
enum { KC = 512, A_FLOATS = 131072 };

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

WF_INLINE void tile(const prototype *p, const uint32_t rows, const uint32_t vectors, const float *a, const float *b,
                    float *c, uint32_t kc, bool first) {
    v128_t sum[12];
    const float *at[6];
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        at[i] = a + (size_t)i * p->k;
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            sum[i * vectors + j] = first ? wasm_f32x4_splat(0) : wasm_v128_load(c + (size_t)i * p->n + 4 * j);
        }
    }
    for (uint32_t k = 0; k < kc; k++, b += 4 * vectors) {
        v128_t w[4];
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            w[j] = wasm_v128_load(b + 4 * j);
        }
        WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
            v128_t x = wasm_v128_load32_splat(at[i] + k);
            WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
                sum[i * vectors + j] = wf_madd(x, w[j], sum[i * vectors + j]);
            }
        }
    }
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
            wasm_v128_store(c + (size_t)i * p->n + 4 * j, sum[i * vectors + j]);
        }
    }
}

WF_INLINE void product(const prototype *p, const uint32_t rows, const uint32_t vectors, uint32_t m0, uint32_t m1) {
    const uint32_t columns = 4 * vectors, mc = A_FLOATS / least(p->k, KC) / rows * rows;
    for (uint32_t k0 = 0; k0 < p->k; k0 += KC) {
        uint32_t kc = least(KC, p->k - k0);
        for (uint32_t i0 = m0; i0 < m1; i0 += mc) {
            uint32_t end = least(i0 + mc, m1);
            for (uint32_t j = 0; j < p->n; j += columns) {
                const float *b = p->b + (size_t)j * p->k + (size_t)k0 * columns;
                for (uint32_t i = i0; i < end; i += rows) {
                    tile(p, rows, vectors, p->a + (size_t)i * p->k + k0, b, p->c + (size_t)i * p->n + j, kc, k0 == 0);
                }
            }
        }
    }
}

#define PRODUCT(rows, vectors)                                                                                    \
    static __attribute__((noinline)) void product_##rows##x##vectors(const prototype *p, uint32_t m0, uint32_t m1) { \
        product(p, rows, vectors, m0, m1);                                                                        \
    }
PRODUCT(2, 4) PRODUCT(3, 3) PRODUCT(4, 2) PRODUCT(5, 2) PRODUCT(6, 2)

static const struct {
    uint32_t rows, vectors;
    void (*run)(const prototype *p, uint32_t m0, uint32_t m1);
} products[] = {{2, 4, product_2x4}, {3, 3, product_3x3}, {4, 2, product_4x2}, {5, 2, product_5x2}, {6, 2, product_6x2}};

bool prototype_exists(const prototype *p) {
    for (int i = 0; i < 5; i++) {
        if (products[i].rows == p->rows && products[i].vectors == p->vectors) {
            return true;
        }
    }
    return false;
}

void prototype_run(const prototype *p, uint32_t share, uint32_t shares) {
    for (int i = 0; i < 5; i++) {
        if (products[i].rows == p->rows && products[i].vectors == p->vectors) {
            products[i].run(p, p->m / shares * share, p->m / shares * (share + 1));
        }
    }
}
