/* Heap and arena: alignment, zeroing, counting, failure at a chosen allocation, absurd sizes. */
#include "../check.h"
#include "base/alloc.h"
#include "base/arena.h"

WF_TEST(blocks_are_aligned_and_counted) {
    wf_alloc_stats before = wf_alloc_get_stats();
    void *blocks[50];
    for (size_t i = 0; i < 50; i++) {
        blocks[i] = wf_alloc_zero(i * 37);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 64 == 0);
        for (size_t k = 0; k < i * 37; k++) {
            CHECK(((uint8_t *)blocks[i])[k] == 0);
        }
        memset(blocks[i], 0xa5, i * 37);
    }
    wf_alloc_stats during = wf_alloc_get_stats();
    CHECK(during.live == before.live + 50 && during.calls == before.calls + 50);
    CHECK(during.live_bytes == before.live_bytes + 37 * 49 * 50 / 2 &&
          during.peak_bytes >= during.live_bytes);
    for (int i = 0; i < 50; i++) {
        wf_free(blocks[i]);
    }
    wf_free(NULL);
    wf_alloc_stats after = wf_alloc_get_stats();
    CHECK(after.live == before.live && after.live_bytes == before.live_bytes);
}

WF_TEST(realloc_keeps_the_content) {
    uint8_t *p = wf_realloc(NULL, 10);
    CHECK(p != NULL);
    memcpy(p, "0123456789", 10);
    p = wf_realloc(p, 5000);
    CHECK(p != NULL && memcmp(p, "0123456789", 10) == 0 && (uintptr_t)p % 64 == 0);
    p = wf_realloc(p, 4);
    CHECK(p != NULL && memcmp(p, "0123", 4) == 0);
    wf_alloc_fail_after(1);
    CHECK(wf_realloc(p, 1000) == NULL && memcmp(p, "0123", 4) == 0,
          "a block that could not grow stays as it is");
    wf_free(p);
}

WF_TEST(the_chosen_allocation_fails) {
    wf_alloc_fail_after(3);
    void *a = wf_alloc(1), *b = wf_alloc(1), *c = wf_alloc(1), *d = wf_alloc(1);
    CHECK(a != NULL && b != NULL && c == NULL && d != NULL);
    wf_free(a);
    wf_free(b);
    wf_free(d);
}

WF_TEST(absurd_sizes_are_refused) {
    void *p = &p;
    wf_error err;
    wf_error_clear(&err);
    CHECK(wf_alloc(SIZE_MAX) == NULL && wf_alloc(SIZE_MAX - 64) == NULL);
    CHECK_FAILS(wf_alloc_array(&p, UINT64_MAX, 8, "tensors", &err), WF_E_MEMORY, err);
    CHECK(p == NULL &&
              strncmp(err.text, "tensors would need 18446744073709551615 × 8 bytes", 49) == 0,
          "%s", err.text);
    wf_error_clear(&err);
    wf_alloc_fail_after(1);
    CHECK_FAILS(wf_alloc_array(&p, 3, 8, "tensors", &err), WF_E_MEMORY, err);
    CHECK(strcmp(err.text,
                 "no memory for tensors (24 bytes); close other programs or use a smaller model") ==
              0,
          "%s", err.text);
    wf_error_clear(&err);
    CHECK_OK(wf_alloc_array(&p, 0, 8, "tensors", &err), err);
    wf_free(p);
}

WF_TEST(arena_hands_out_what_stays_valid) {
    uint64_t live = wf_alloc_get_stats().live;
    wf_arena arena;
    wf_arena_init(&arena);
    uint8_t *blocks[300];
    for (size_t i = 0; i < 300; i++) {
        size_t n = i * i % 997 + (i == 150 ? 100000 : 0);
        blocks[i] = wf_arena_alloc(&arena, n);
        CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % 16 == 0);
        for (size_t k = 0; k < n; k++) {
            CHECK(blocks[i][k] == 0, "block %zu is not zeroed", i);
        }
        memset(blocks[i], (int)i & 255, n);
    }
    for (size_t i = 0; i < 300; i++) {
        size_t n = i * i % 997 + (i == 150 ? 100000 : 0);
        for (size_t k = 0; k < n; k++) {
            CHECK(blocks[i][k] == (i & 255), "block %zu was overwritten", i);
        }
    }
    CHECK(strcmp(wf_arena_string(&arena, "abcdef", 3), "abc") == 0);
    CHECK(strcmp(wf_arena_format(&arena, "%s-%d", "x", 42), "x-42") == 0);
    CHECK(arena.used <= arena.reserved);
    CHECK(wf_arena_alloc(&arena, SIZE_MAX - 5) == NULL &&
          wf_arena_alloc(&arena, SIZE_MAX / 2 + 1) == NULL);
    wf_arena_free(&arena);
    CHECK(wf_alloc_get_stats().live == live && arena.used == 0 && arena.blocks == NULL);
}

WF_TEST(an_arena_without_memory_says_so) {
    wf_arena arena;
    wf_arena_init(&arena);
    wf_alloc_fail_after(1);
    CHECK(wf_arena_alloc(&arena, 8) == NULL);
    wf_alloc_fail_after(1);
    CHECK(wf_arena_string(&arena, "abc", 3) == NULL);
    wf_alloc_fail_after(1);
    CHECK(wf_arena_format(&arena, "%d", 1) == NULL);
    wf_arena_free(&arena);
}

int main(void) {
    RUN(blocks_are_aligned_and_counted);
    RUN(realloc_keeps_the_content);
    RUN(the_chosen_allocation_fails);
    RUN(absurd_sizes_are_refused);
    RUN(arena_hands_out_what_stays_valid);
    RUN(an_arena_without_memory_says_so);
    return wf_test_done();
}
