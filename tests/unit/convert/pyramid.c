/* Picture sizes from grids: the official MetaFormers, odd geometries, and what fits nothing. */
#include "convert/maps/pyramid.h"

#include "check.h"

/* 7×7 s4 p2, then three 3×3 s2 p1: a stage in front of each convolution but the first. */
static wf_pyramid official(void) {
    wf_pyramid p = {4, {{7, 4, 2, 0, 0, 0}, {3, 2, 1, 0, 0, 0}, {3, 2, 1, 0, 0, 0}, {3, 2, 1, 0, 0, 0}}};
    return p;
}

WF_TEST(a_grid_gives_the_size_that_strides_divide) {
    wf_pyramid p = official();
    p.steps[2].height = p.steps[2].width = 14;
    CHECK(wf_pyramid_side(&p) == 224, "14 × 14 in stage 2: %u", wf_pyramid_side(&p));
    CHECK(wf_pyramid_fits(&p, 224) && wf_pyramid_fits(&p, 223) && !wf_pyramid_fits(&p, 256), "sides around 224");
    p = official();
    p.steps[3].cells = 49;
    CHECK(wf_pyramid_side(&p) == 224, "49 cells in stage 3: %u", wf_pyramid_side(&p));
}

WF_TEST(other_sides_are_found_where_no_multiple_fits) {
    wf_pyramid p = {2, {{8, 4, 0, 23, 23, 0}, {3, 2, 0, 0, 0, 0}}};
    CHECK(wf_pyramid_side(&p) == 96, "8×8 s4 p0 to 23: %u", wf_pyramid_side(&p));
    wf_pyramid q = {2, {{3, 2, 0, 0, 0, 0}, {5, 2, 0, 10, 10, 0}}};
    CHECK(wf_pyramid_side(&q) == 48, "to 10: %u", wf_pyramid_side(&q));
    wf_pyramid odd = {1, {{4, 3, 0, 3, 3, 0}}};
    CHECK(wf_pyramid_side(&odd) == 12, "4×4 s3 p0 to 3: %u", wf_pyramid_side(&odd));
    wf_pyramid none = {1, {{1, 16, 0, 1, 1, 0}}};
    CHECK(wf_pyramid_side(&none) == 16, "a multiple before a smaller side: %u", wf_pyramid_side(&none));
    wf_pyramid tall = {1, {{5, 4, 0, 1, 1, 0}}};
    CHECK(wf_pyramid_side(&tall) == 8, "5×5 s4 to 1: %u", wf_pyramid_side(&tall));
    wf_pyramid only = {2, {{2, 4, 0, 0, 0, 0}, {5, 1, 0, 1, 1, 0}}};
    CHECK(wf_pyramid_side(&only) == 20, "2×2 s4, 5×5 to 1: %u", wf_pyramid_side(&only));
    wf_pyramid not_multiple = {1, {{1, 4, 0, 2, 2, 0}}};
    CHECK(wf_pyramid_side(&not_multiple) == 8, "1×1 s4 to 2: %u", wf_pyramid_side(&not_multiple));
    wf_pyramid padded = {1, {{4, 4, 3, 2, 2, 0}}};
    CHECK(wf_pyramid_side(&padded) == 4, "4×4 s4 p3 to 2: %u", wf_pyramid_side(&padded));
    wf_pyramid small = {1, {{3, 8, 2, 1, 1, 0}}};
    CHECK(wf_pyramid_side(&small) == 1, "no multiple of 8 gives one cell: %u", wf_pyramid_side(&small));
}

WF_TEST(nothing_fits_a_contradiction) {
    wf_pyramid p = official();
    p.steps[2].cells = 15; /* no square */
    CHECK(wf_pyramid_side(&p) == 0, "15 cells: %u", wf_pyramid_side(&p));
    p = official();
    p.steps[1].height = 14;
    p.steps[1].width = 7; /* a square picture gives square grids */
    CHECK(wf_pyramid_side(&p) == 0, "14 × 7: %u", wf_pyramid_side(&p));
    wf_pyramid still = {1, {{3, 0, 1, 4, 4, 0}}};
    CHECK(wf_pyramid_side(&still) == 0 && !wf_pyramid_fits(&still, 4), "stride 0");
    wf_pyramid huge = {2, {{1, 4000000000u, 0, 0, 0, 0}, {1, 4000000000u, 4294967295u, 9, 9, 0}}};
    CHECK(wf_pyramid_side(&huge) == 0, "strides beyond every picture: %u", wf_pyramid_side(&huge));
}

int main(void) {
    RUN(a_grid_gives_the_size_that_strides_divide);
    RUN(other_sides_are_found_where_no_multiple_fits);
    RUN(nothing_fits_a_contradiction);
    return wf_test_done();
}
