/* The F16 codec's matrix product (kernels/simd128/gemm_f16.c), and that widening is exact for every
 * half. */
#include "gemm_cases.h"

static void check(uint32_t m, uint32_t k, uint32_t n, uint32_t options) {
    case_check_float(wf_codec_get(WF_F16, false), m, k, n, options);
}

WF_TEST(gemm_f16) { cases_run(check); }

/* k = 1 and a = 1 makes the product the widened weight itself. */
WF_TEST(gemm_f16_every_half) {
    const wf_codec *codec = wf_codec_get(WF_F16, false);
    enum { N = 65536 };
    uint16_t *stored = case_alloc(N * sizeof *stored),
             *packed = case_alloc(codec->packed_bytes(N, 1));
    float *c = case_alloc(N * sizeof *c), *a = case_rows(1, 1, 32, 32);
    void *scratch = case_alloc(codec->scratch_bytes(1, 1));
    for (uint32_t i = 0; i < N; i++) {
        stored[i] = (uint16_t)i;
    }
    for (uint32_t panel = 0; panel < N / 8; panel++) {
        codec->pack(packed, N, 1, panel, stored + 8 * panel, 8, 1);
    }
    wf_weight w = {packed, WF_PACK_PANELS, WF_F16, N, 1};
    a[0] = 1;
    wf_gemm g = {.a = a, .m = 1, .lda = 32, .w = &w, .n1 = N, .c = c, .ldc = N, .scratch = scratch};
    codec->gemm(&g);
    for (uint32_t i = 0; i < N; i++) {
        float want = wf_f16_to_f32((uint16_t)i);
        CHECK(c[i] == want || (isnan(c[i]) && isnan(want)), "half %04x is %g, not %g", i,
              (double)c[i], (double)want);
    }
    free(stored), free(packed), free(c), free(a), free(scratch);
}

int main(void) {
    RUN(gemm_f16_every_half);
    RUN(gemm_f16);
    return wf_test_done();
}
