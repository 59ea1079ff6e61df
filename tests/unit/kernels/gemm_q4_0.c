/* The Q4_0 codec's matrix product: against double, the plain float loop, parts of itself; and padding
   that holds garbage. */
#include "gemm_cases.h"

static void check(uint32_t m, uint32_t k, uint32_t n, uint32_t options) {
    case_check_float(wf_codec_get(WF_Q4_0, false), m, k, n, options);
}

WF_TEST(gemm_q4_0) { cases_run(check); }

/* A row of 40 elements is stored in two blocks; what the file holds behind element 40 must not count. */
WF_TEST(padding_of_a_row_does_not_count) {
    enum { K = 40, ROWS = 3, BYTES = 36 };
    const wf_codec *codec = wf_codec_get(WF_Q4_0, false);
    unsigned char stored[2][ROWS * BYTES];
    float a[64] = {0}, c[2][32], row[64];
    wf_test_seed(9);
    for (int r = 0; r < ROWS; r++) {
        wf_test_fill(row, 64, -1, 1);
        wf_dtype_get(WF_Q4_0)->encode(row, stored[0] + r * BYTES, 64);
    }
    memcpy(stored[1], stored[0], sizeof stored[0]);
    for (int r = 0; r < ROWS; r++) { /* elements 8 … 15 and 16 … 31 of the second block */
        unsigned char *q = stored[1] + r * BYTES + 18 + 2;
        for (int i = 0; i < 16; i++) {
            q[i] = (unsigned char)(i < 8 ? (q[i] & 15) | 0x50 : 0xa3);
        }
    }
    wf_test_fill(a, K, -1, 1);
    for (int i = 0; i < 2; i++) {
        void *packed = case_alloc(codec->packed_bytes(ROWS, K)), *scratch = case_alloc(codec->scratch_bytes(1, K));
        codec->pack(packed, ROWS, K, 0, stored[i], ROWS, 64);
        wf_weight w = {packed, WF_PACK_PANELS, WF_Q4_0, ROWS, K};
        wf_gemm g = {.a = a, .m = 1, .lda = 64, .w = &w, .n1 = ROWS, .c = c[i], .ldc = 32, .scratch = scratch};
        codec->gemm(&g);
        free(packed);
        free(scratch);
    }
    CHECK(same_bits(c[0], c[1], 32), "%g and %g", (double)c[0][0], (double)c[1][0]);
    CHECK(c[0][0] != 0 && c[0][ROWS] == 0, "%g, then %g", (double)c[0][0], (double)c[0][ROWS]);
}

int main(void) {
    RUN(gemm_q4_0);
    RUN(padding_of_a_row_does_not_count);
    return wf_test_done();
}
