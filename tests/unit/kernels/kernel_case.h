/* One kernel under test: an op with its inputs and weights in the three forms that exist of it
   (double, scalar float, simd), and a runner that is as hostile as the contract of op.h allows.

   kc_run fills output, workspace and scratch with NaN, lays guard bytes around them, runs the tiles
   of each phase in a shuffled order with scratch spoilt before each one, and checks: guards whole,
   every logical lane finite, every lane behind c zero. Inputs and weights are allocated to the
   exact byte, so that AddressSanitizer sees a read behind them. Weights of a block type are encoded
   first and the scalar forms get the decoded values: the storage loss is not in the errors, only
   the kernels' own. Failures go to CHECK of the running case. */
#ifndef WF_TESTS_KERNEL_CASE_H
#define WF_TESTS_KERNEL_CASE_H

#include <stdlib.h>

#include "../check.h"
#include "graph/op_table.h"
#include "kernels/codec.h"

enum { KC_GUARD = 64, KC_WEIGHTS = 5, KC_INPUTS = WF_OP_INPUTS };
typedef enum kc_form { KC_F64, KC_SCALAR, KC_SIMD, KC_FORMS } kc_form;

typedef struct kc_weight {
    uint32_t n, k;
    wf_pack pack; /* VECTOR, TABLE, or of the case's type: DENSE for a matrix, STORED for a table of tokens */
} kc_weight;

typedef struct kc_spec {
    wf_op op;
    wf_op_params p;
    wf_shape in[KC_INPUTS]; /* c = 0: absent */
    kc_weight w[KC_WEIGHTS]; /* n = 0: absent */
    wf_dtype type;  /* of the matrix or the table of tokens: WF_F32 (0), WF_F16, WF_Q4_0 or WF_Q8_0 */
    float offset;   /* inputs are uniform in offset −1.03 … +0.97 */
} kc_spec;

typedef struct kernel_case {
    kc_spec spec;
    wf_shape out;
    wf_op_call call[KC_FORMS];
} kernel_case;



static inline size_t kc_round(size_t bytes) { return (bytes + 63) / 64 * 64; }

static inline void *kc_alloc(size_t bytes) {
    void *p = aligned_alloc(64, kc_round(bytes + 1));
    if (p == NULL) {
        printf("not ok kernel_case: out of memory\n");
        exit(1);
    }
    memset(p, 0xff, kc_round(bytes + 1));
    return p;
}

/* `bytes` between two guards; everything 0xff, which is NaN as float and as double. */
static inline char *kc_guarded(size_t bytes) { return (char *)kc_alloc(bytes + 2 * KC_GUARD) + KC_GUARD; }

static inline void kc_release(char *p, size_t bytes, const char *what) {
    for (int i = 0; i < KC_GUARD; i++) {
        CHECK((unsigned char)p[i - KC_GUARD] == 0xff, "%s: written %d bytes before its begin", what,
              KC_GUARD - i);
        CHECK((unsigned char)p[bytes + (size_t)i] == 0xff, "%s: written %d bytes behind its end", what, i);
    }
    free(p - KC_GUARD);
}

static inline size_t kc_real(kc_form form) { return form == KC_F64 ? sizeof(double) : sizeof(float); }

static inline void kc_put(void *data, kc_form form, size_t i, float v) {
    if (form == KC_F64) {
        ((double *)data)[i] = v;
    } else {
        ((float *)data)[i] = v;
    }
}

static inline double kc_get(const void *data, kc_form form, size_t i) {
    return form == KC_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static inline const wf_op_impl *kc_impl(const kernel_case *c, kc_form form) {
    const wf_op_entry *e = wf_op_get(c->spec.op);
    return form == KC_F64 ? e->f64 : form == KC_SCALAR ? e->scalar : e->simd;
}

/* Sets input i from `rows` × c floats without padding (a picture: as it is). */
static inline void kc_set_input(kernel_case *c, int i, const float *values) {
    const wf_shape *s = &c->spec.in[i];
    bool picture = s->layout == WF_LAYOUT_NCHW;
    size_t rows = picture ? 1 : wf_shape_rows(s), elements = (size_t)wf_shape_elements(s);
    size_t width = picture ? elements : s->c, stride = picture ? elements : wf_shape_stride(s);
    for (int form = 0; form < KC_FORMS; form++) {
        for (size_t j = 0; j < rows * stride; j++) {
            kc_put(c->call[form].in[i].data, (kc_form)form, j,
                   j % stride < width ? values[j / stride * width + j % stride] : 0);
        }
    }
}

/* The values that a matrix of this type really holds, and its panels for the fast kernels. */
static inline void kc_set_matrix(kernel_case *c, int i, const float *values /* [n, k] */) {
    const wf_weight *w = &c->call[KC_SIMD].w[i];
    const wf_dtype_info *type = wf_dtype_get(c->spec.type);
    const wf_codec *codec = wf_codec_get(c->spec.type, c->spec.p.int8_rows != 0);
    uint32_t stored_k = wf_round_up(w->k, type->block);
    size_t row_bytes = (size_t)wf_dtype_row_bytes(c->spec.type, stored_k);
    char *stored = kc_alloc(row_bytes * w->n);
    float *row = kc_alloc(stored_k * sizeof *row);
    for (uint32_t o = 0; o < w->n; o++) {
        memset(row, 0, stored_k * sizeof *row);
        memcpy(row, values + (size_t)o * w->k, w->k * sizeof *row);
        type->encode(row, stored + o * row_bytes, stored_k);
        type->decode(stored + o * row_bytes, row, stored_k);
        for (uint32_t k = 0; k < w->k; k++) {
            kc_put((void *)c->call[KC_F64].w[i].data, KC_F64, (size_t)o * w->k + k, row[k]);
            kc_put((void *)c->call[KC_SCALAR].w[i].data, KC_SCALAR, (size_t)o * w->k + k, row[k]);
        }
    }
    for (uint32_t panel = 0; panel * WF_PANEL < w->n; panel++) {
        uint32_t rows = w->n - panel * WF_PANEL < WF_PANEL ? w->n - panel * WF_PANEL : WF_PANEL;
        codec->pack((void *)w->data, w->n, w->k, panel, stored + (size_t)panel * WF_PANEL * row_bytes, rows,
                    stored_k);
    }
    free(row);
    free(stored);
}

/* Rows as they are stored, of the case's type, in all forms. */
static inline void kc_set_stored(kernel_case *c, int i, const float *values /* [n, k] */) {
    const wf_weight *w = &c->call[KC_SIMD].w[i];
    const wf_dtype_info *type = wf_dtype_get(c->spec.type);
    uint32_t stored_k = wf_round_up(w->k, type->block);
    size_t row_bytes = (size_t)wf_dtype_row_bytes(c->spec.type, stored_k);
    float *row = kc_alloc(stored_k * sizeof *row);
    for (uint32_t o = 0; o < w->n; o++) {
        memset(row, 0, stored_k * sizeof *row);
        memcpy(row, values + (size_t)o * w->k, w->k * sizeof *row);
        for (int form = 0; form < KC_FORMS; form++) {
            type->encode(row, (char *)c->call[form].w[i].data + o * row_bytes, stored_k);
        }
    }
    free(row);
}

/* Sets weight i from [n, k] floats, n = 1 for vectors. */
static inline void kc_set_weight(kernel_case *c, int i, const float *values) {
    const kc_weight *w = &c->spec.w[i];
    if (w->pack == WF_PACK_DENSE) {
        kc_set_matrix(c, i, values);
        return;
    }
    if (w->pack == WF_PACK_STORED) {
        kc_set_stored(c, i, values);
        return;
    }
    size_t stride = wf_round_up(w->k, WF_LANES);
    for (int form = 0; form < KC_FORMS; form++) {
        for (size_t j = 0; j < w->n * stride; j++) {
            kc_put((void *)c->call[form].w[i].data, (kc_form)form, j,
                   j % stride < w->k ? values[j / stride * w->k + j % stride] : 0);
        }
    }
}

static inline void kc_allocate_weight(kernel_case *c, kc_form form, int i) {
    const kc_weight *w = &c->spec.w[i];
    wf_weight *to = &c->call[form].w[i];
    *to = (wf_weight){NULL, w->pack, form == KC_F64 ? WF_F64 : WF_F32, w->n, w->k};
    size_t bytes = (size_t)w->n * w->k * kc_real(form);
    if (w->pack == WF_PACK_STORED) {
        to->type = c->spec.type;
        bytes = w->n * (size_t)wf_dtype_row_bytes(to->type, wf_round_up(w->k, wf_dtype_get(to->type)->block));
    } else if (w->pack != WF_PACK_DENSE) {
        bytes = (size_t)w->n * wf_round_up(w->k, WF_LANES) * kc_real(form);
    } else if (form == KC_SIMD) {
        to->pack = WF_PACK_PANELS;
        to->type = c->spec.type;
        bytes = wf_codec_get(c->spec.type, c->spec.p.int8_rows != 0)->packed_bytes(w->n, w->k);
    }
    to->data = kc_alloc(bytes);
}

/* Infers the output shape, allocates, and fills everything with noise. False: the shape rule
   refused (already reported). */
static inline bool kc_init(kernel_case *c, const kc_spec *spec) {
    memset(c, 0, sizeof *c);
    c->spec = *spec;
    wf_op_call shapes = {.p = &c->spec.p};
    for (int i = 0; i < KC_INPUTS; i++) {
        shapes.in[i].shape = spec->in[i];
    }
    for (int i = 0; i < KC_WEIGHTS; i++) {
        shapes.w[i].n = spec->w[i].n;
        shapes.w[i].k = spec->w[i].k;
    }
    wf_error err = {0};
    if (wf_op_get(spec->op)->infer(&shapes, "case", &c->out, &err) != WF_OK) {
        CHECK(false, "%s", err.text);
        return false;
    }
    size_t most = 1;
    for (int form = 0; form < KC_FORMS; form++) {
        c->call[form].p = &c->spec.p;
        c->call[form].out.shape = c->out;
        for (int i = 0; i < KC_INPUTS; i++) {
            size_t elements = (size_t)wf_shape_elements(&spec->in[i]);
            c->call[form].in[i].shape = spec->in[i];
            c->call[form].in[i].data =
                spec->in[i].c != 0 ? kc_alloc(elements * kc_real((kc_form)form)) : NULL;
            most = elements > most ? elements : most;
        }
        for (int i = 0; i < KC_WEIGHTS; i++) {
            size_t elements = (size_t)spec->w[i].n * spec->w[i].k;
            most = elements > most ? elements : most;
            if (elements != 0) {
                kc_allocate_weight(c, (kc_form)form, i);
            }
        }
    }
    float *noise = kc_alloc(most * sizeof *noise);
    for (int i = 0; i < KC_INPUTS; i++) {
        if (spec->in[i].c != 0) {
            size_t elements = (size_t)wf_shape_elements(&spec->in[i]);
            wf_test_fill(noise, elements, spec->offset - 1.03f, spec->offset + 0.97f);
            for (size_t j = 0; spec->op == WF_OP_EMBED && j < elements; j++) {
                noise[j] = (float)(wf_test_u32() % spec->w[0].n); /* token ids */
            }
            kc_set_input(c, i, noise);
        }
    }
    for (int i = 0; i < KC_WEIGHTS; i++) {
        if (spec->w[i].n != 0) {
            wf_test_fill(noise, (size_t)spec->w[i].n * spec->w[i].k, -0.93f, 1.07f);
            kc_set_weight(c, i, noise);
        }
    }
    free(noise);
    return true;
}

static inline void kc_free(kernel_case *c) {
    for (int form = 0; form < KC_FORMS; form++) {
        for (int i = 0; i < WF_OP_INPUTS; i++) {
            free(c->call[form].in[i].data);
        }
        for (int i = 0; i < KC_WEIGHTS; i++) {
            free((void *)c->call[form].w[i].data);
        }
        if (c->call[form].out.data != NULL) {
            free((char *)c->call[form].out.data - KC_GUARD);
        }
    }
}

static inline size_t kc_out_bytes(const kernel_case *c, kc_form form) {
    return (size_t)wf_shape_elements(&c->out) * kc_real(form);
}

/* A permutation of 0 … n−1, from a sequence of its own: the noise of later cases must not depend on how often kernels run. */
static inline uint32_t *kc_shuffled(uint32_t n) {
    static uint32_t state = 1;
    uint32_t *order = kc_alloc(n * sizeof *order);
    for (uint32_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        uint32_t j = (state >> 8) % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}

static inline void kc_check_output(const kernel_case *c, kc_form form) {
    size_t stride = wf_shape_stride(&c->out), elements = (size_t)wf_shape_elements(&c->out);
    for (size_t i = 0; i < elements; i++) {
        double v = kc_get(c->call[form].out.data, form, i);
        if (i % stride < c->out.c ? !isfinite(v) : v != 0) {
            CHECK(false, "row %u lane %u of %u is %g", (unsigned)(i / stride), (unsigned)(i % stride),
                  (unsigned)c->out.c, v);
            return;
        }
    }
}

/* Runs one form; its output stays in call[form].out until the next run. */
static inline void kc_run(kernel_case *c, kc_form form) {
    wf_op_call *call = &c->call[form];
    const wf_op_impl *impl = kc_impl(c, form);
    if (call->out.data != NULL) {
        free((char *)call->out.data - KC_GUARD);
    }
    size_t workspace = impl->workspace_bytes != NULL ? impl->workspace_bytes(call) : 0;
    size_t scratch = impl->scratch_bytes != NULL ? impl->scratch_bytes(call) : 0;
    char *work = kc_guarded(workspace), *mine = kc_guarded(scratch), *out = kc_guarded(kc_out_bytes(c, form));
    call->workspace = work;
    call->out.data = out;
    for (uint32_t phase = 0; phase < impl->phases; phase++) {
        uint32_t tiles = impl->tiles(call, phase), *order = kc_shuffled(tiles);
        for (uint32_t i = 0; i < tiles; i++) {
            memset(mine, 0xff, scratch);
            impl->run(call, phase, order[i], mine);
        }
        free(order);
    }
    kc_release(work, workspace, "workspace");
    kc_release(mine, scratch, "scratch");
    for (int i = 0; i < KC_GUARD; i++) {
        CHECK((unsigned char)out[i - KC_GUARD] == 0xff, "output: written before its begin");
        CHECK((unsigned char)out[kc_out_bytes(c, form) + (size_t)i] == 0xff,
              "output: written behind its end");
    }
    kc_check_output(c, form);
}

/* ‖form − reference‖₂ ÷ ‖reference‖₂ over the logical lanes of the last runs. */
static inline double kc_error(const kernel_case *c, kc_form form, kc_form reference) {
    double error = 0, norm = 0;
    for (size_t i = 0, n = (size_t)wf_shape_elements(&c->out); i < n; i++) {
        double want = kc_get(c->call[reference].out.data, reference, i);
        double d = kc_get(c->call[form].out.data, form, i) - want;
        error += d * d;
        norm += want * want;
    }
    return error == 0 ? 0 : norm > 0 ? sqrt(error / norm) : INFINITY;
}

/* The simd output of segment s alone equals, bit for bit, its part of the whole: batched = one by
   one. Call after kc_run. */
static inline void kc_check_segment(const kernel_case *c, uint32_t segment) {
    kernel_case one;
    kc_spec spec = c->spec;
    for (int i = 0; i < KC_INPUTS; i++) {
        spec.in[i].n = spec.in[i].n != 0 ? 1 : 0;
    }
    if (!kc_init(&one, &spec)) {
        return;
    }
    wf_op_call *call = &one.call[KC_SIMD];
    for (int i = 0; i < KC_INPUTS; i++) {
        size_t bytes = (size_t)wf_shape_elements(&spec.in[i]) * sizeof(float);
        if (call->in[i].data != NULL) {
            size_t at = c->spec.in[i].n == 1 ? 0 : segment * bytes; /* 1: all segments read it */
            memcpy(call->in[i].data, (const char *)c->call[KC_SIMD].in[i].data + at, bytes);
        }
    }
    wf_weight own[KC_WEIGHTS];
    memcpy(own, call->w, sizeof own);
    memcpy(call->w, c->call[KC_SIMD].w, sizeof own);
    kc_run(&one, KC_SIMD);
    size_t bytes = kc_out_bytes(&one, KC_SIMD);
    CHECK(memcmp(call->out.data, (const char *)c->call[KC_SIMD].out.data + segment * bytes, bytes) == 0,
          "segment %u of %u differs when run alone", (unsigned)segment, (unsigned)c->spec.in[0].n);
    memcpy(call->w, own, sizeof own);
    kc_free(&one);
}

/* Runs a case of a table in all forms: scalar and fast twin near double precision by relative L2, and each segment alone as in the whole. */
static inline void kc_check_case(kernel_case *c, size_t i, double scalar_limit, double simd_limit) {
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(c, (kc_form)form);
    }
    CHECK(kc_error(c, KC_SCALAR, KC_F64) < scalar_limit, "case %zu, scalar: %.2e", i, kc_error(c, KC_SCALAR, KC_F64));
    CHECK(kc_error(c, KC_SIMD, KC_F64) < simd_limit, "case %zu, simd: %.2e", i, kc_error(c, KC_SIMD, KC_F64));
    for (uint32_t segment = 0; segment < c->spec.in[0].n; segment++) {
        kc_check_segment(c, segment);
    }
}

/* What the shape rule says about a node called "a.b" that it must refuse. */
static inline void kc_expect_refusal(const kc_spec *spec, wf_status code, const char *sentence) {
    wf_op_call shapes = {.p = &spec->p};
    for (int i = 0; i < KC_INPUTS; i++) {
        shapes.in[i].shape = spec->in[i];
    }
    for (int i = 0; i < KC_WEIGHTS; i++) {
        shapes.w[i].n = spec->w[i].n;
        shapes.w[i].k = spec->w[i].k;
    }
    wf_error err = {0};
    wf_shape out;
    wf_status got = wf_op_get(spec->op)->infer(&shapes, "a.b", &out, &err);
    CHECK(got == code, "status %d: %s", (int)got, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "\"%s\" instead of \"%s\"", err.text, sentence);
    CHECK(strcmp(err.where, "a.b") == 0, "where is \"%s\"", err.where);
}

/* What `spec` infers. */
static inline wf_shape kc_inferred(const kc_spec *spec) {
    wf_op_call shapes = {.p = &spec->p};
    for (int i = 0; i < KC_INPUTS; i++) {
        shapes.in[i].shape = spec->in[i];
    }
    for (int i = 0; i < KC_WEIGHTS; i++) {
        shapes.w[i].n = spec->w[i].n;
        shapes.w[i].k = spec->w[i].k;
    }
    wf_error err = {0};
    wf_shape out = {0};
    CHECK_OK(wf_op_get(spec->op)->infer(&shapes, "a.b", &out, &err), err);
    return out;
}

#endif
