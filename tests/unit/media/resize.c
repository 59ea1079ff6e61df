/* The resizer against Pillow, byte for byte, over tests/golden/media/resize.bin (make_vectors.py describes it),
   then its contract as a stream: rows in any portions, no allocation for a second picture, calls in the wrong
   order, allocations that fail. Run from the repository's root. */
#include <stdlib.h>

#include "check.h"
#include "base/alloc.h"
#include "base/bytes.h"
#include "media/image.h"

static const wf_image_params plain = {.width = 16, .height = 12, .crop_pct = 1.0f, .resample = WF_RESAMPLE_BICUBIC,
                                      .squash = true, .std = {1, 1, 1}};

/* As noise() in make_vectors.py. */
static uint8_t *make_noise(size_t n, uint32_t seed, uint32_t kind) {
    uint8_t *out = malloc(n);
    uint32_t x = seed;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = kind == 0 ? (uint8_t)(x >> 24) : x >> 31 ? 255 : 0;
    }
    return out;
}

static void check_record(wf_resizer *r, wf_bytes *b) {
    uint32_t w = wf_bytes_u32(b), h = wf_bytes_u32(b), tw = wf_bytes_u32(b), th = wf_bytes_u32(b);
    uint32_t pct = wf_bytes_u32(b), resample = wf_bytes_u32(b), squash = wf_bytes_u32(b);
    uint32_t seed = wf_bytes_u32(b), kind = wf_bytes_u32(b);
    uint32_t rw = wf_bytes_u32(b), rh = wf_bytes_u32(b);
    int32_t left = (int32_t)wf_bytes_u32(b), top = (int32_t)wf_bytes_u32(b);
    const uint8_t *want = wf_bytes_take(b, (uint64_t)tw * th * 3);
    CHECK(want != NULL, "resize.bin ends inside a record");
    if (want == NULL) {
        return;
    }
    wf_image_params p = plain;
    p.width = tw;
    p.height = th;
    p.crop_pct = (float)(pct / 1000.0);
    p.resample = (int)resample;
    p.squash = squash != 0;
    wf_error err = {0};
    wf_crop_plan plan = {0};
    CHECK_OK(wf_crop_plan_make(&p, w, h, &plan, &err), err);
    CHECK(plan.resized_w == rw && plan.resized_h == rh && plan.left == left && plan.top == top,
          "%u × %u to %u × %u at %u: %u × %u + %d + %d, Pillow's side has %u × %u + %d + %d", w, h, tw, th, pct,
          plan.resized_w, plan.resized_h, plan.left, plan.top, rw, rh, left, top);
    uint8_t *src = make_noise((size_t)w * h * 3, seed, kind), *got = malloc((size_t)tw * th * 3);
    CHECK_OK(wf_resizer_begin(r, &p, w, h, &err), err);
    CHECK_OK(wf_resizer_rows(r, src, 3, w * 3, h, &err), err);
    CHECK_OK(wf_resizer_finish_u8(r, got, &err), err);
    CHECK(memcmp(got, want, (size_t)tw * th * 3) == 0, "%u × %u to %u × %u, filter %u, squash %u, kind %u", w, h, tw, th,
          resample, squash, kind);
    free(src);
    free(got);
}

WF_TEST(equals_pillow) {
    wf_error err = {0};
    FILE *f = fopen("tests/golden/media/resize.bin", "rb");
    CHECK(f != NULL, "tests/golden/media/resize.bin is missing (run from the repository's root)");
    if (f == NULL) {
        return;
    }
    uint8_t *data = malloc(1 << 20);
    wf_bytes b = wf_bytes_of(data, fread(data, 1, 1 << 20, f));
    fclose(f);
    wf_resizer *r = NULL;
    CHECK_OK(wf_resizer_create(&r, &err), err);
    int records = 0;
    while (wf_bytes_left(&b) > 0 && !b.failed) {
        check_record(r, &b);
        records++;
    }
    CHECK(records > 300, "only %d records", records);
    wf_resizer_free(r);
    free(data);
}

WF_TEST(portions_and_alpha_change_nothing) {
    enum { W = 53, H = 41, STRIDE = W * 4 + 9 };
    wf_error err = {0};
    wf_resizer *r = NULL;
    uint8_t *rgb = make_noise(W * H * 3, 5, 0), *rgba = make_noise(STRIDE * H, 6, 0);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            memcpy(rgba + y * STRIDE + x * 4, rgb + (y * W + x) * 3, 3);
        }
    }
    uint8_t whole[16 * 12 * 3], parts[16 * 12 * 3];
    CHECK_OK(wf_resizer_create(&r, &err), err);
    CHECK_OK(wf_resizer_begin(r, &plain, W, H, &err), err);
    CHECK_OK(wf_resizer_rows(r, rgb, 3, W * 3, H, &err), err);
    CHECK_OK(wf_resizer_finish_u8(r, whole, &err), err);
    CHECK_OK(wf_resizer_begin(r, &plain, W, H, &err), err);
    for (uint32_t y = 0, n = 1; y < H; y += n, n = n + 2 > H - y - n ? 1 : n + 2) {
        CHECK_OK(wf_resizer_rows(r, rgba + y * STRIDE, 4, STRIDE, n, &err), err);
    }
    CHECK_OK(wf_resizer_finish_u8(r, parts, &err), err);
    CHECK(memcmp(whole, parts, sizeof whole) == 0, "rows in portions differ from rows at once");
    wf_resizer_free(r);
    free(rgb);
    free(rgba);
}

WF_TEST(second_picture_allocates_nothing) {
    wf_error err = {0};
    wf_resizer *r = NULL;
    uint8_t *rgb = make_noise(64 * 64 * 3, 5, 0);
    static float out[3 * 16 * 12];
    CHECK_OK(wf_resizer_create(&r, &err), err);
    uint64_t calls = 0;
    for (uint32_t side = 64; side >= 61; side--) { /* the largest first; then smaller ones fit */
        CHECK_OK(wf_resizer_begin(r, &plain, side, side, &err), err);
        CHECK_OK(wf_resizer_rows(r, rgb, 3, side * 3, side, &err), err);
        CHECK_OK(wf_resizer_finish(r, out, &err), err);
        CHECK(calls == 0 || wf_alloc_get_stats().calls == calls, "a later picture allocated");
        calls = wf_alloc_get_stats().calls;
    }
    wf_resizer_free(r);
    free(rgb);
}

WF_TEST(normalises_as_torchvision) {
    wf_error err = {0};
    wf_image_params p = plain;
    const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    memcpy(p.mean, mean, sizeof mean);
    memcpy(p.std, std, sizeof std);
    p.width = 16;
    p.height = 16;
    uint8_t rgb[256 * 3];
    static float out[3 * 256];
    for (int i = 0; i < 256; i++) {
        rgb[3 * i] = (uint8_t)i;
        rgb[3 * i + 1] = (uint8_t)(255 - i);
        rgb[3 * i + 2] = (uint8_t)(i * 7);
    }
    wf_pixels pixels = {rgb, 16, 16, 3};
    CHECK_OK(wf_image_to_tensor(&pixels, &p, out, &err), err);
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < 256; i++) {
            volatile float unit = (float)rgb[3 * i + c] / 255.0f; /* volatile: one rounding a step */
            volatile float centred = unit - mean[c];
            volatile float want = centred / std[c];
            CHECK(out[256 * c + i] == want, "channel %d value %d", c, rgb[3 * i + c]);
        }
    }
    /* The familiar ends of ImageNet's red range. */
    CHECK_NEAR(out[0], -2.117904, 1e-6);
    CHECK_NEAR(out[255], 2.248908, 1e-6);
}

WF_TEST(refuses_misuse) {
    wf_error err = {0};
    wf_resizer *r = NULL;
    uint8_t pixels[64 * 4] = {0}, out[16 * 12 * 3];
    wf_image_params p = plain;
    CHECK_OK(wf_resizer_create(&r, &err), err);
    CHECK_FAILS(wf_resizer_rows(r, pixels, 3, 24, 1, &err), WF_E_STATE, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_resizer_finish_u8(r, out, &err), WF_E_STATE, err);
    wf_error_clear(&err);
    CHECK_OK(wf_resizer_begin(r, &p, 8, 8, &err), err);
    CHECK_FAILS(wf_resizer_rows(r, pixels, 2, 24, 1, &err), WF_E_ARGUMENT, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_resizer_rows(r, pixels, 3, 23, 1, &err), WF_E_ARGUMENT, err);
    wf_error_clear(&err);
    CHECK_FAILS(wf_resizer_rows(r, pixels, 3, 24, 9, &err), WF_E_ARGUMENT, err);
    wf_error_clear(&err);
    CHECK_OK(wf_resizer_rows(r, pixels, 3, 24, 7, &err), err);
    CHECK_FAILS(wf_resizer_finish_u8(r, out, &err), WF_E_STATE, err);
    const struct {
        uint32_t w, h, width, height;
        float pct, std;
        int resample;
    } bad[] = {
        {0, 8, 16, 16, 1, 1, 2},     {8, 0, 16, 16, 1, 1, 2},      {65536, 8, 16, 16, 1, 1, 2}, {8, 8, 0, 16, 1, 1, 2},
        {8, 8, 16, 99999, 1, 1, 2},  {8, 8, 16, 16, 0, 1, 2},      {8, 8, 16, 16, -1, 1, 2},    {8, 8, 16, 16, NAN, 1, 2},
        {8, 8, 16, 16, 50, 1, 2},    {8, 8, 16, 16, 1, 0, 2},      {8, 8, 16, 16, 1, NAN, 2},   {8, 8, 16, 16, 1, 1, 3},
        {1, 65535, 9999, 9999, 1, 1, 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wf_error_clear(&err);
        p = plain;
        p.squash = false;
        p.width = bad[i].width;
        p.height = bad[i].height;
        p.crop_pct = bad[i].pct;
        p.std[1] = bad[i].std;
        p.resample = bad[i].resample;
        CHECK(wf_resizer_begin(r, &p, bad[i].w, bad[i].h, &err) != WF_OK && err.text[0] != 0, "case %zu passed", i);
        wf_error_clear(&err);
        CHECK_FAILS(wf_resizer_finish_u8(r, out, &err), WF_E_STATE, err);
    }
    wf_resizer_free(r);
}

WF_TEST(survives_failing_allocations) {
    uint8_t *rgb = make_noise(40 * 30 * 3, 5, 0);
    static float out[3 * 16 * 12];
    wf_pixels pixels = {rgb, 40, 30, 3};
    uint64_t live = wf_alloc_get_stats().live;
    int failures = 0;
    for (uint64_t n = 1; n < 100; n++) {
        wf_error err = {0};
        wf_alloc_fail_after(n);
        wf_status status = wf_image_to_tensor(&pixels, &plain, out, &err);
        wf_alloc_fail_after(0);
        CHECK(wf_alloc_get_stats().live == live, "allocation %d failed and %d blocks leaked", (int)n,
              (int)(wf_alloc_get_stats().live - live));
        if (status == WF_OK) {
            break;
        }
        failures++;
        CHECK(status == WF_E_MEMORY && err.text[0] != 0, "status %d", (int)status);
    }
    CHECK(failures >= 8 && failures < 20, "%d allocations", failures);
    free(rgb);
}

int main(void) {
    RUN(equals_pillow);
    RUN(portions_and_alpha_change_nothing);
    RUN(second_picture_allocates_nothing);
    RUN(normalises_as_torchvision);
    RUN(refuses_misuse);
    RUN(survives_failing_allocations);
    return wf_test_done();
}
