/* The choices of static int8 for one matrix (src/tensor/README.md argues them).
   Grid: the range that one picture in 1100 leaves, by a Gumbel distribution with the mean and deviation of the pictures' extremes.
   Static at all: unless a step of each row's own halves the loss, as where few tokens carry values far beyond all others. */
#include <string.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "convert/calibrate.h"
#include "kernels/quantize.h"

static void set_grid(wf_int8_input *in, float low, float high) {
    float scale = (high - low) / 255.0f;
    in->scale = scale > 1e-30f ? scale : 1e-30f;
    in->zero = __builtin_roundf(-low / in->scale);
    in->zero = in->zero < 0 ? 0 : in->zero > 255 ? 255 : in->zero;
    in->is_static = true;
}

/* ---- the grid ---- */

static void end_picture(wf_extreme *e) {
    e->seen = e->now > e->seen ? e->now : e->seen;
    e->sum += e->now;
    e->squares += (double)e->now * e->now;
    e->now = 0;
}

void wf_int8_end_picture(wf_layer_view *v) {
    end_picture(&v->low);
    end_picture(&v->high);
    v->pictures++;
}

/* Extremes of many values are Gumbel distributed: mean + deviation · √6/π · (7 − γ) is exceeded with probability e⁻⁷. Few pictures
   make that uncertain, so it stays between 1.1 and 2 times the largest that was seen. */
static float reach(const wf_extreme *e, uint32_t pictures) {
    double mean = e->sum / pictures, variance = e->squares / pictures - mean * mean;
    double size = mean + __builtin_sqrt(variance > 0 ? variance : 0) * 0.7796968 * ((getenv("WF_G") ? atof(getenv("WF_G")) : 7) - 0.5772157);
    double least = 1.1 * (double)e->seen, most = 2 * (double)e->seen;
    return (float)(size < least ? least : size > most ? most : size);
}

void wf_int8_choose_grid(const wf_layer_view *v, wf_int8_input *in) {
    set_grid(in, -reach(&v->low, v->pictures), reach(&v->high, v->pictures));
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
    for (uint64_t j = 0; j < n; j++) {
        float *w = p->w + j * k;
        wf_status status = wf_map_read_row(m, r, j, w, err);
        if (status != WF_OK) {
            wf_free(p->memory);
            return status;
        }
        for (uint32_t i = 0; i < v->sample_count; i++) {
            const float *x = v->samples + (size_t)i * k;
            float sum = 0;
            for (uint64_t c = 0; c < k; c++) {
                sum += x[c] * w[c];
            }
            p->y[i * n + j] = sum;
        }
    }
    return WF_OK;
}

/* A sample row as integers minus the zero; returns their step. */
static float round_row(const wf_int8_input *in, const float *row, uint64_t k, float *x) {
    float largest = wf_quantize_largest(row, k);
    for (uint64_t c = 0; c < k; c++) {
        x[c] = in->is_static ? (float)wf_quantize_u8(row[c], 1 / in->scale, (int32_t)in->zero) - in->zero
                             : (float)wf_quantize_i8(row[c], wf_quantize_inverse(largest));
    }
    return in->is_static ? in->scale : wf_quantize_step(largest);
}

static wf_status product_loss(const wf_mapping *m, const wf_layer_view *v, product *p, const wf_int8_input *in, double *loss,
                              wf_error *err) {
    double difference = 0, size = 0;
    float row_steps[WF_SAMPLE_ROWS];
    WF_TRY(wf_int8_matrix(m, v->row, p->q, p->steps, err));
    for (uint32_t i = 0; i < v->sample_count; i++) {
        row_steps[i] = round_row(in, v->samples + i * p->k, p->k, p->x + i * p->k);
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

wf_status wf_int8_choose_static(const wf_mapping *m, wf_layer_view *v, wf_int8_input *in, wf_error *err) {
    const wf_int8_input by_row = {false, 0, 0};
    product p;
    WF_TRY(product_make(m, v, &p, err));
    wf_status status = product_loss(m, v, &p, in, &v->loss[0], err);
    status = status == WF_OK ? product_loss(m, v, &p, &by_row, &v->loss[1], err) : status;
    wf_free(p.memory);
    if (status == WF_OK && v->loss[0] > (getenv("WF_R") ? atof(getenv("WF_R")) : 2) * v->loss[1] && v->loss[0] > (getenv("WF_A") ? atof(getenv("WF_A")) : 0)) {
        *in = by_row;
    }
    return status;
}
