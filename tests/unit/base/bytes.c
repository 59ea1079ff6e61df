/* Bounded reading: little-endian values, and a reader that stays failed behind its end. */
#include "base/bytes.h"

#include "../check.h"

WF_TEST(values_are_little_endian) {
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 0x88, 0xff, 0xfe, 0x80, 0x7f, 9, 9, 9};
    wf_bytes b = wf_bytes_of(data, sizeof data);
    CHECK(wf_bytes_u64(&b) == UINT64_C(0x8807060504030201) && wf_bytes_u16(&b) == 0xfeff);
    CHECK(wf_bytes_u8(&b) == 0x80 && wf_bytes_u32(&b) == 0x0909097f && !b.failed &&
          wf_bytes_left(&b) == 0);
}

WF_TEST(a_read_past_the_end_fails_for_good) {
    static const uint8_t data[] = {1, 2, 3};
    wf_bytes b = wf_bytes_of(data, sizeof data);
    CHECK(wf_bytes_u32(&b) == 0 && b.failed);
    CHECK(wf_bytes_u8(&b) == 0 && b.failed && wf_bytes_left(&b) == 3,
          "nothing is consumed by a failed read");
    b = wf_bytes_of(data, sizeof data);
    CHECK(wf_bytes_take(&b, UINT64_MAX) == NULL && b.failed);
    b = wf_bytes_of(data, sizeof data);
    CHECK(wf_bytes_take(&b, 3) == data && wf_bytes_take(&b, 0) == data + 3 && !b.failed &&
          wf_bytes_take(&b, 1) == NULL);
}

int main(void) {
    RUN(values_are_little_endian);
    RUN(a_read_past_the_end_fails_for_good);
    return wf_test_done();
}
