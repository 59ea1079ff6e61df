/* The F32 codec's matrix product (kernels/simd128/gemm_f32.c). */
#include "gemm_cases.h"

static void check(uint32_t m, uint32_t k, uint32_t n, uint32_t options) {
    case_check_float(wf_codec_get(WF_F32, false), m, k, n, options);
}

WF_TEST(gemm_f32) { cases_run(check); }

/* Panels hold k columns of 8 rows; rows beyond n are zero; stored rows may be longer than k. */
WF_TEST(gemm_f32_pack) {
    const wf_codec *codec = wf_codec_get(WF_F32, false);
    enum { N = 11, K = 5, STORED_K = 7 };
    float stored[N][STORED_K], packed[16 * K];
    wf_test_fill(&stored[0][0], N * STORED_K, -1, 1);
    memset(packed, 0xff, sizeof packed);
    CHECK(codec->packed_bytes(N, K) == sizeof packed, "%zu bytes", codec->packed_bytes(N, K));
    codec->pack(packed, N, K, 1, stored[8], 3, STORED_K);
    codec->pack(packed, N, K, 0, stored[0], 8, STORED_K);
    for (int r = 0; r < 16; r++) {
        for (int k = 0; k < K; k++) {
            float want = r < N ? stored[r][k] : 0;
            CHECK(packed[(r / 8 * K + k) * 8 + r % 8] == want, "row %d, element %d", r, k);
        }
    }
}

int main(void) {
    RUN(gemm_f32_pack);
    RUN(gemm_f32);
    return wf_test_done();
}
