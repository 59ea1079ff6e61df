/* Streamed resize and crop, byte for byte what Pillow's Image.resize (up to 12.3; 13 runs the vertical pass first
   when the height shrinks much more than the width) followed by crop gives: horizontal pass over each row as it
   arrives, rounded to 8 bits; vertical pass over those rows at the end. Only columns of the crop
   and source rows that it reaches are computed. Cost: source rows × crop width × taps multiply–adds of 32 bits
   (about 100 million for 12 megapixels to 224); memory: needed rows × crop width × 3 bytes. */
#include <string.h>

#include "base/alloc.h"
#include "media/filter.h"
#include "media/normalise.h"

struct wf_resizer {
    wf_image_params params;
    uint32_t source_w, source_h;
    wf_filter across, down;        /* columns and rows of the crop */
    uint32_t first_row, end_row;   /* source rows that `down` reads */
    uint32_t next_row;             /* of the source */
    bool begun;
    wf_normalise_table table;
    uint8_t *rows;                 /* [end_row − first_row, width, 3] after the horizontal pass */
    int32_t *sums;                 /* [width, 3] of the vertical pass */
    uint8_t *line;                 /* [width, 3] */
    uint64_t rows_capacity, line_capacity;
};

wf_status wf_resizer_create(wf_resizer **out, wf_error *err) {
    return wf_alloc_array((void **)out, 1, sizeof(wf_resizer), "the image resizer", err);
}

void wf_resizer_free(wf_resizer *r) {
    if (r == NULL) {
        return;
    }
    wf_filter_free(&r->across);
    wf_filter_free(&r->down);
    wf_free(r->rows);
    wf_free(r->sums);
    wf_free(r->line);
    wf_free(r);
}

static void find_row_range(wf_resizer *r) {
    r->first_row = r->source_h;
    r->end_row = 0;
    for (uint32_t y = 0; y < r->down.outputs; y++) {
        uint32_t first = r->down.first[y], end = first + r->down.count[y];
        if (first < end) {
            r->first_row = first < r->first_row ? first : r->first_row;
            r->end_row = end > r->end_row ? end : r->end_row;
        }
    }
    if (r->end_row == 0) {
        r->first_row = 0;
    }
}

static wf_status reserve(wf_resizer *r, wf_error *err) {
    uint64_t line = (uint64_t)r->params.width * 3;
    uint64_t rows = line * (r->end_row - r->first_row);
    if (rows > r->rows_capacity) {
        r->rows_capacity = 0;
        wf_free(r->rows);
        WF_TRY(wf_alloc_array((void **)&r->rows, rows, 1, "the resized rows of a picture", err));
        r->rows_capacity = rows;
    }
    if (line > r->line_capacity) {
        r->line_capacity = 0;
        wf_free(r->sums);
        wf_free(r->line);
        r->line = NULL;
        WF_TRY(wf_alloc_array((void **)&r->sums, line, sizeof *r->sums, "a row of a picture", err));
        WF_TRY(wf_alloc_array((void **)&r->line, line, 1, "a row of a picture", err));
        r->line_capacity = line;
    }
    return WF_OK;
}

static bool same_geometry(const wf_resizer *r, const wf_image_params *p, uint32_t w, uint32_t h) {
    return r->source_w == w && r->source_h == h && r->params.width == p->width && r->params.height == p->height &&
           r->params.crop_pct == p->crop_pct && r->params.resample == p->resample && r->params.squash == p->squash &&
           r->params.round_long == p->round_long;
}

wf_status wf_resizer_begin(wf_resizer *r, const wf_image_params *p, uint32_t src_w, uint32_t src_h, wf_error *err) {
    wf_crop_plan plan;
    bool keep_tables = r->begun && same_geometry(r, p, src_w, src_h); /* frames of a video */
    r->begun = false;
    if ((int)p->resample < WF_RESAMPLE_NEAREST || (int)p->resample > WF_RESAMPLE_BICUBIC) {
        return wf_fail(err, WF_E_ARGUMENT, "resample", -1,
                       "unknown resampling filter %d; known are nearest, bilinear and bicubic", (int)p->resample);
    }
    WF_TRY(wf_crop_plan_make(p, src_w, src_h, &plan, err));
    WF_TRY(wf_normalise_init(&r->table, p->mean, p->std, err));
    if (!keep_tables) {
        WF_TRY(wf_filter_make(&r->across, p->resample, src_w, plan.resized_w, plan.left, p->width, err));
        WF_TRY(wf_filter_make(&r->down, p->resample, src_h, plan.resized_h, plan.top, p->height, err));
    }
    r->params = *p;
    r->source_w = src_w;
    r->source_h = src_h;
    find_row_range(r);
    WF_TRY(reserve(r, err));
    r->next_row = 0;
    r->begun = true;
    return WF_OK;
}

/* Inlined with constant `channels`, so that the compiler sees the stride. */
static inline void across_row(const wf_filter *f, const uint8_t *src, size_t channels, uint8_t *dst) {
    for (uint32_t x = 0; x < f->outputs; x++, dst += 3) {
        const uint8_t *pixel = src + f->first[x] * channels;
        const int32_t *weights = f->weights + (size_t)x * f->taps;
        int32_t red = WF_FILTER_HALF, green = WF_FILTER_HALF, blue = WF_FILTER_HALF;
        for (uint32_t i = 0, n = f->count[x]; i < n; i++, pixel += channels) {
            int32_t w = weights[i];
            red += pixel[0] * w;
            green += pixel[1] * w;
            blue += pixel[2] * w;
        }
        dst[0] = wf_filter_clip(red);
        dst[1] = wf_filter_clip(green);
        dst[2] = wf_filter_clip(blue);
    }
}

wf_status wf_resizer_rows(wf_resizer *r, const uint8_t *pixels, uint32_t channels, uint32_t stride, uint32_t rows,
                          wf_error *err) {
    if (!r->begun) {
        return wf_fail(err, WF_E_STATE, "picture rows", -1, "rows came before wf_resizer_begin succeeded");
    }
    if ((channels != 3 && channels != 4) || stride < r->source_w * channels) {
        return wf_fail(err, WF_E_ARGUMENT, "picture rows", -1,
                       "rows of %u pixels came with %u channels and a stride of %u bytes; 3 or 4 channels and at "
                       "least width × channels bytes are needed",
                       r->source_w, channels, stride);
    }
    if (rows > r->source_h - r->next_row) {
        return wf_fail(err, WF_E_ARGUMENT, "picture rows", -1, "%u rows came, but only %u of %u are missing", rows,
                       r->source_h - r->next_row, r->source_h);
    }
    size_t line = (size_t)r->params.width * 3;
    for (uint32_t i = 0; i < rows; i++, r->next_row++) {
        if (r->next_row < r->first_row || r->next_row >= r->end_row) {
            continue;
        }
        const uint8_t *src = pixels + (size_t)i * stride;
        uint8_t *dst = r->rows + (r->next_row - r->first_row) * line;
        if (channels == 3) {
            across_row(&r->across, src, 3, dst);
        } else {
            across_row(&r->across, src, 4, dst);
        }
    }
    return WF_OK;
}

/* One output row, [width, 3] bytes. */
static void down_row(const wf_resizer *r, uint32_t y, uint8_t *dst) {
    const wf_filter *f = &r->down;
    size_t line = (size_t)r->params.width * 3;
    int32_t *restrict sums = r->sums;
    for (size_t i = 0; i < line; i++) {
        sums[i] = WF_FILTER_HALF;
    }
    for (uint32_t t = 0; t < f->count[y]; t++) {
        const uint8_t *restrict row = r->rows + (f->first[y] + t - r->first_row) * line;
        int32_t w = f->weights[(size_t)y * f->taps + t];
        for (size_t i = 0; i < line; i++) {
            sums[i] += row[i] * w;
        }
    }
    for (size_t i = 0; i < line; i++) {
        dst[i] = wf_filter_clip(sums[i]);
    }
}

static wf_status check_complete(const wf_resizer *r, wf_error *err) {
    if (!r->begun || r->next_row != r->source_h) {
        return wf_fail(err, WF_E_STATE, "picture rows", -1, "the picture was finished after %u of %u rows",
                       r->begun ? r->next_row : 0, r->source_h);
    }
    return WF_OK;
}

wf_status wf_resizer_finish(wf_resizer *r, float *dst, wf_error *err) {
    WF_TRY(check_complete(r, err));
    size_t width = r->params.width, plane = width * r->params.height;
    for (uint32_t y = 0; y < r->params.height; y++) {
        down_row(r, y, r->line);
        wf_normalise_row(&r->table, r->line, r->params.width, plane, dst + y * width);
    }
    return WF_OK;
}

wf_status wf_resizer_finish_u8(wf_resizer *r, uint8_t *dst, wf_error *err) {
    WF_TRY(check_complete(r, err));
    size_t line = (size_t)r->params.width * 3;
    for (uint32_t y = 0; y < r->params.height; y++) {
        down_row(r, y, dst + y * line);
    }
    return WF_OK;
}

wf_status wf_image_to_tensor(const wf_pixels *pixels, const wf_image_params *p, float *dst, wf_error *err) {
    wf_resizer *r = NULL;
    WF_TRY(wf_resizer_create(&r, err));
    wf_status status = wf_resizer_begin(r, p, pixels->width, pixels->height, err);
    if (status == WF_OK) {
        status = wf_resizer_rows(r, pixels->data, pixels->channels, pixels->width * pixels->channels, pixels->height,
                                 err);
    }
    if (status == WF_OK) {
        status = wf_resizer_finish(r, dst, err);
    }
    wf_resizer_free(r);
    return status;
}
