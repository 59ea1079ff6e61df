/* The end of a row that is no whole vector. */
#include "kernels/simd128/rows.h"

v128_t wf_load_tail(const float *x, uint32_t count) {
    float some[4] = {0, 0, 0, 0};
    for (uint32_t i = 0; i < count; i++) {
        some[i] = x[i];
    }
    return wasm_v128_load(some);
}
