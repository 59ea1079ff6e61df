/* The f32 micro-kernel. A tile of C stays in registers while k runs: per k, two vectors of each
   panel are loaded once, and each row adds splat(a) · b to its accumulators. 6 rows × 1 panel (12
   accumulators; 5 rows in the baseline build) is what V8's 14 registers hold, and reaches the
   machine's peak (README.md); the smaller tiles serve the rows that 6 leaves over, and with few
   rows more panels keep enough independent sums in flight to hide the latency of an addition. Every
   element is ((0 + a₀b₀) + a₁b₁) + … whatever the tile. */
#include "kernels/simd128/gemm_f32_tile.h"

#include "base/simd.h"

/* `rows` and `panels` are constants where this is inlined. */
WF_INLINE void tile(const wf_f32_tile *t, const uint32_t rows, const uint32_t panels) {
    const uint32_t vectors = 2 * panels, kc = t->kc;
    const size_t ldc = t->ldc, panel = t->panel;
    const float *a[6], *first = t->b;
    float *c = t->c;
    WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
        a[i] = t->a + i * t->lda;
    }
    for (uint32_t left = t->more + 1; left > 0; left--, first += panels * panel, c += 8 * panels) {
        v128_t sum[12];
        const float *b[4];
        WF_UNROLL for (uint32_t i = 0; i < rows * vectors; i++) {
            sum[i] = t->first ? wasm_f32x4_splat(0) : wasm_v128_load(c + i / vectors * ldc + i % vectors * 4);
        }
        WF_UNROLL for (uint32_t p = 0; p < panels; p++) {
            b[p] = first + p * panel;
        }
        uint32_t k = 0;
        do { /* at least once: else the compiler writes the whole loop again for a kc of 0 */
            v128_t w[8];
            WF_UNROLL for (uint32_t p = 0; p < panels; p++, b[p - 1] += 8) {
                w[2 * p] = wasm_v128_load(b[p]);
                w[2 * p + 1] = wasm_v128_load(b[p] + 4);
            }
            WF_UNROLL for (uint32_t i = 0; i < rows; i++) {
                v128_t x = wasm_v128_load32_splat(a[i] + k);
                WF_UNROLL for (uint32_t j = 0; j < vectors; j++) {
                    sum[i * vectors + j] = wf_madd(x, w[j], sum[i * vectors + j]);
                }
            }
        } while (++k < kc);
        WF_UNROLL for (uint32_t i = 0; i < rows * vectors; i++) {
            wasm_v128_store(c + i / vectors * ldc + i % vectors * 4, sum[i]);
        }
    }
}

/* Functions of their own, so that each gets its own register allocation; called through tables, or
   Binaryen would put them back together. */
#define TILE(rows, panels)                                                               \
    static __attribute__((noinline)) void tile_##rows##x##panels(const wf_f32_tile *t) { \
        tile(t, rows, panels);                                                           \
    }
typedef void (*tile_function)(const wf_f32_tile *t);

TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(1, 3) TILE(1, 4)

/* [panels − 1][rows]; NULL: never asked for. */
static const tile_function tiles[4][7] = {
    {NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1},
    {NULL, tile_1x2, tile_2x2, tile_3x2},
    {NULL, tile_1x3},
    {NULL, tile_1x4},
};

void wf_gemm_f32_tile(const wf_f32_tile *t, uint32_t rows, uint32_t panels) { tiles[panels - 1][rows](t); }
