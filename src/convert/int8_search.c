/* The choices of static int8: gains and grids (src/tensor/README.md argues them).
   Grid: the range [low, high] with the least expected squared error over the histogram, step²/12 for what lies inside and the
   squared distance for what is clipped; or one that leaves room for other pictures' extremes, where on those that were held back it errs
   less. Each value counts with its channel's importance, so that the error is the output's.
   Gain: SmoothQuant's (arXiv 2211.10438) gain[c] = (largest |W[:, c]|)^(1−α) / (largest |x_c|)^α, for the α (or none at all) whose
   product differs least on the sample rows.
   Static at all: unless a step of each row's own halves the loss, as where few tokens carry values far beyond all others. */
#include <string.h>

#include "base/alloc.h"
#include "convert/calibrate.h"
#include "kernels/quantize.h"

static float larger(float a, float b) { return a > b ? a : b; }

static void set_grid(wf_int8_input *in, float low, float high) {
    float scale = (high - low) / 255.0f;
    in->scale = scale > 1e-30f ? scale : 1e-30f;
    in->zero = __builtin_roundf(-low / in->scale);
    in->zero = in->zero < 0 ? 0 : in->zero > 255 ? 255 : in->zero;
    in->is_static = true;
}

/* ---- the grid ---- */

static double expected_error(const wf_layer_view *v, float low, float high) {
    const double width = ((double)v->hist_high - v->hist_low) / WF_HISTOGRAM, step = ((double)high - low) / 255;
    double sum = 0;
    for (int i = 0; i < WF_HISTOGRAM; i++) {
        double x = v->hist_low + (i + 0.5) * width, off = x < low ? low - x : x > high ? x - high : 0;
        sum += v->histogram[i] * (off > 0 ? off * off : step * step / 12);
    }
    return sum;
}

static void least_error(const wf_layer_view *v, wf_int8_input *in) {
    float best_low = v->hist_low, best_high = v->hist_high, reach = 0.5f;
    double best = expected_error(v, best_low, best_high);
    for (int round = 0; round < 4; round++, reach *= 0.5f) { /* a coarse grid of ranges, then finer ones around the best */
        const float low = best_low, high = best_high;
        for (int a = -4; a <= 4; a++) {
            for (int b = -4; b <= 4; b++) {
                float l = low * (1 + reach * (float)a / 4), h = high * (1 + reach * (float)b / 4);
                l = l < v->hist_low ? v->hist_low : l;
                h = h > v->hist_high ? v->hist_high : h;
                double error = expected_error(v, l, h);
                if (error < best) {
                    best = error;
                    best_low = l;
                    best_high = h;
                }
            }
        }
    }
    set_grid(in, best_low, best_high);
}

/* A picture's extreme is the largest of many values, so it is about Gumbel distributed: mean + deviation · √6/π · (7 − γ) is exceeded once
   in e⁷ pictures. Few pictures make that uncertain, so it stays between 1.1 and 2 times the largest that was seen. */
static float farthest(const wf_extreme *e, uint32_t pictures) {
    double mean = e->sum / pictures, variance = e->squares / pictures - mean * mean;
    double size = mean + __builtin_sqrt(variance > 0 ? variance : 0) * 0.7796968 * (7 - 0.5772157);
    double least = 1.1 * (double)e->largest, most = 2 * (double)e->largest;
    return (float)(size < least ? least : size > most ? most : size);
}

void wf_int8_find_grids(wf_layer_view *v, float *gain) {
    least_error(v, &v->grids[0]);
    set_grid(&v->grids[1], -farthest(&v->least, v->pictures), farthest(&v->most, v->pictures));
    for (int g = 0; g < WF_GRIDS; g++) {
        v->grids[g].gain = gain;
        v->grids[g].channels = v->channels;
    }
}

/* ---- products on the samples ---- */

typedef struct product {
    int8_t *q;      /* [n, k] */
    float *steps;   /* [n] */
    float *w;       /* [n, k] the source's */
    float *x;       /* [WF_SAMPLE_ROWS, k] rounded inputs, as integers minus the zero */
    double *y;      /* [WF_SAMPLE_ROWS, n] the source's output */
    void *memory;
    uint64_t n, k;
} product;

static wf_status product_make(const wf_mapping *m, const wf_layer_view *v, product *p, wf_error *err) {
    const wf_map_row *r = &m->rows[v->row];
    const wf_map_stored s = wf_map_stored_of(m, r, WF_F32);
    const uint64_t n = s.rows, k = s.k, rows = WF_SAMPLE_ROWS;
    memset(p, 0, sizeof *p);
    WF_TRY(wf_alloc_array(&p->memory, rows * n * sizeof(double) + (n * k + rows * k + n) * sizeof(float) + n * k, 1, r->name, err));
    p->y = p->memory;
    p->w = (float *)(p->y + rows * n);
    p->x = p->w + n * k;
    p->steps = p->x + rows * k;
    p->q = (int8_t *)(p->steps + n);
    p->n = n;
    p->k = k;
    wf_map_reader reader;
    wf_status status = wf_map_reader_open(&reader, m, r, err);
    for (uint64_t j = 0; j < n && status == WF_OK; j++) {
        float *w = p->w + j * k;
        status = wf_map_read_row(&reader, j, w, err);
        for (uint32_t i = 0; i < v->sample_count && status == WF_OK; i++) {
            const float *x = v->samples + (size_t)i * k;
            float sum = 0;
            for (uint64_t c = 0; c < k; c++) {
                sum += x[c] * w[c];
            }
            p->y[i * n + j] = sum;
        }
    }
    wf_map_reader_close(&reader);
    if (status != WF_OK) {
        wf_free(p->memory);
    }
    return status;
}

/* A sample row as integers minus the zero; returns their step. */
static float round_row(const wf_layer_view *v, const wf_int8_input *in, const float *row, uint64_t k, float *x) {
    float largest = wf_quantize_largest(row, k);
    for (uint64_t c = 0; c < k; c++) {
        float gain = in->gain != NULL ? in->gain[c % v->channels] : 1;
        x[c] = in->is_static ? (float)wf_quantize_u8(row[c], gain / in->scale, (int32_t)in->zero) - in->zero
                             : (float)wf_quantize_i8(row[c], wf_quantize_inverse(largest));
    }
    return in->is_static ? in->scale : wf_quantize_step(largest);
}

static wf_status product_loss(const wf_mapping *m, const wf_layer_view *v, product *p, const wf_int8_input *in, double *loss,
                              wf_error *err) {
    double difference = 0, size = 0;
    float row_steps[WF_SAMPLE_ROWS];
    WF_TRY(wf_int8_matrix(m, v->row, in, p->q, p->steps, err));
    for (uint32_t i = 0; i < v->sample_count; i++) {
        row_steps[i] = round_row(v, in, v->samples + i * p->k, p->k, p->x + i * p->k);
    }
    for (uint64_t j = 0; j < p->n; j++) {
        float *w = p->w + j * p->k; /* the source's output is known: its row may go */
        for (uint64_t c = 0; c < p->k; c++) {
            w[c] = p->q[j * p->k + c];
        }
        for (uint32_t i = 0; i < v->sample_count; i++) {
            const float *x = p->x + i * p->k;
            float sum = 0;
            for (uint64_t c = 0; c < p->k; c++) {
                sum += x[c] * w[c];
            }
            double y = p->y[i * p->n + j], d = (double)sum * row_steps[i] * p->steps[j] - y;
            difference += d * d;
            size += y * y;
        }
    }
    *loss = size > 0 ? __builtin_sqrt(difference / size) : 0;
    return WF_OK;
}

/* The input's part of the loss over the pictures that were held back, where values beyond the grid are met that no sample row holds. */
static double held_back_loss(const wf_layer_view *v, const product *p, double error) {
    double energy = 0;
    for (uint64_t i = 0; i < (uint64_t)v->sample_count * p->n; i++) {
        energy += (double)p->y[i] * (double)p->y[i];
    }
    energy *= v->sample_count > 0 ? v->held_rows / v->sample_count : 0;
    return energy > 0 ? __builtin_sqrt(error / energy) : 0;
}

wf_status wf_int8_choose_static(const wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err) {
    const wf_int8_input by_row = {.channels = v->channels};
    const int best = v->error[1] < v->error[0];
    product p;
    WF_TRY(product_make(m, v, &p, err));
    *in = v->grids[best];
    double held_back = held_back_loss(v, &p, v->error[best]);
    wf_status status = product_loss(m, v, &p, in, &v->loss[0], err);
    status = status == WF_OK ? product_loss(m, v, &p, &by_row, &v->loss[1], err) : status;
    wf_free(p.memory);
    v->loss[0] = held_back > v->loss[0] ? held_back : v->loss[0];
    if (status == WF_OK && v->loss[0] > 2 * v->loss[1]) {
        *in = by_row;
    }
    return status;
}

/* ---- the gains ---- */

static float power(float x, float y) { return x > 0 ? (float)__builtin_exp(y * __builtin_log(x)) : 0; }

/* The range that all channels need once they are multiplied by their gains. */
static void gained_range(const wf_layer_view *v, const float *gain, float *low, float *high) {
    *low = *high = 0;
    for (uint32_t c = 0; c < v->channels; c++) {
        float g = gain != NULL ? gain[c] : 1;
        *low = v->low[c] * g < *low ? v->low[c] * g : *low;
        *high = larger(*high, v->high[c] * g);
    }
}

/* Within 1/16 and 16 of their geometric mean, so that a dead channel does not blow its weights up. Eight bits of a gain are enough;
   more would differ between C libraries. */
static void make_gain(const wf_layer_view *v, const float *largest_weight, float alpha, float *gain) {
    double mean = 0;
    for (uint32_t c = 0; c < v->channels; c++) {
        float x = larger(larger(-v->low[c], v->high[c]), 1e-6f), w = larger(largest_weight[c], 1e-6f);
        gain[c] = power(w, 1 - alpha) / power(x, alpha);
        mean += __builtin_log(gain[c]);
    }
    float unit = (float)__builtin_exp(mean / v->channels);
    for (uint32_t c = 0; c < v->channels; c++) {
        float g = gain[c] / unit;
        uint32_t bits = (wf_float_bits(g < 0.0625f ? 0.0625f : g > 16 ? 16 : g) + 0x8000) & 0xffff0000;
        memcpy(&gain[c], &bits, sizeof bits);
    }
}

static void weigh_channels(const product *p, const wf_layer_view *v, float *largest) {
    for (uint64_t j = 0; j < p->n; j++) {
        for (uint64_t c = 0; c < p->k; c++) {
            float w = p->w[j * p->k + c], size = w < 0 ? -w : w;
            largest[c % v->channels] = larger(largest[c % v->channels], size);
            v->importance[c % v->channels] += (double)w * w;
        }
    }
}

static wf_status try_gains(const wf_mapping *m, wf_layer_view *v, product *p, float *gains /* [2, channels] */, const float *largest,
                           wf_int8_input *in, wf_error *err) {
    static const float alphas[] = {0.3f, 0.5f, 0.7f, 0.9f};
    float *trial = gains + v->channels, low, high;
    wf_int8_input plain = {.is_static = true, .channels = v->channels};
    double best, loss;
    gained_range(v, NULL, &low, &high);
    set_grid(&plain, low, high);
    *in = plain;
    WF_TRY(product_loss(m, v, p, &plain, &best, err));
    best *= 0.97; /* gains must pay for the work that they are */
    for (size_t i = 0; i < sizeof alphas / sizeof alphas[0]; i++) {
        wf_int8_input t = {.is_static = true, .gain = trial, .channels = v->channels};
        make_gain(v, largest, alphas[i], trial);
        gained_range(v, trial, &low, &high);
        set_grid(&t, low, high);
        WF_TRY(product_loss(m, v, p, &t, &loss, err));
        if (loss < best) {
            best = loss;
            memcpy(gains, trial, v->channels * sizeof *gains);
            in->gain = gains;
        }
    }
    return WF_OK;
}

wf_status wf_int8_choose_gain(wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err) {
    product p;
    float *gains = wf_arena_alloc(m->arena, 2 * v->channels * sizeof *gains);
    float *largest = wf_arena_alloc(m->arena, v->channels * sizeof *largest);
    if (gains == NULL || largest == NULL) {
        return wf_fail(err, WF_E_MEMORY, m->rows[v->row].name, -1, "no memory for the gains of a matrix");
    }
    WF_TRY(product_make(m, v, &p, err));
    weigh_channels(&p, v, largest);
    wf_status status = try_gains(m, v, &p, gains, largest, in, err);
    wf_free(p.memory);
    for (uint32_t c = 0; c < v->channels && in->gain != NULL; c++) {
        v->importance[c] /= (double)in->gain[c] * in->gain[c];
    }
    gained_range(v, in->gain, &v->hist_low, &v->hist_high);
    return status;
}
