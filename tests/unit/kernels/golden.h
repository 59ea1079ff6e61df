/* torch's op vectors for the unit tests of the kernels: tests/golden/data/ops_torch.safetensors,
   written by tests/golden/make_ops_subset.py (programs run from the repository's root).

   Tolerances: our double form and torch's compute the same formula in other orders of summation;
   1e-13 leaves a hundred times the rounding of k ≤ 150 terms and still sees a wrong eps, a wrong
   divisor or a swapped axis at once. The float forms get what check_kernels.c derives. Where a test
   allows more it says why. */
#ifndef WF_TESTS_KERNELS_GOLDEN_H
#define WF_TESTS_KERNELS_GOLDEN_H

#include "base/bytes.h"
#include "kernel_case.h"

typedef struct golden {
    uint32_t dims[4]; /* missing leading axes are 1 */
    size_t count;
    double *values; /* floats are exact in it */
} golden;

static inline void golden_missing(const char *name) {
    printf("not ok %s: not in tests/golden/data/ops_torch.safetensors (run from the repository's "
           "root)\n",
           name);
    exit(1);
}

/* The whole file, read once. */
static inline const char *golden_file(void) {
    static char *bytes;
    FILE *f = bytes == NULL ? fopen("tests/golden/data/ops_torch.safetensors", "rb") : NULL;
    if (bytes == NULL && f == NULL) {
        golden_missing("golden file");
    }
    if (f != NULL) {
        enum { MOST = 1 << 20 };
        bytes = kc_alloc(MOST);
        size_t got = fread(bytes, 1, MOST - 1, f);
        fclose(f);
        bytes[got] = 0;
    }
    return bytes;
}

/* Our own writer's JSON: no spaces, {"NAME":{"dtype":"F64","shape":[…],"data_offsets":[…]},…}. */
static inline golden golden_read(const char *name) {
    const char *file = golden_file(), *header = file + 8, *body = header + wf_load_u64(file);
    char quoted[96];
    snprintf(quoted, sizeof quoted, "\"%s\":{\"dtype\":\"F", name);
    const char *entry = strstr(header, quoted);
    if (entry == NULL) {
        golden_missing(name);
        return (golden){0};
    }
    bool wide = entry[strlen(quoted)] == '6';
    golden g = {{1, 1, 1, 1}, 1, NULL};
    char *at = (char *)strstr(entry, "\"shape\":[") + strlen("\"shape\":[");
    for (int axis = 0; axis < 4 && *at != ']'; axis++, at += *at == ',') {
        memmove(g.dims, g.dims + 1, 3 * sizeof *g.dims);
        g.dims[3] = (uint32_t)strtoul(at, &at, 10);
        g.count *= g.dims[3];
    }
    const char *data =
        body + strtoul(strstr(at, "\"data_offsets\":[") + strlen("\"data_offsets\":["), NULL, 10);
    g.values = kc_alloc(g.count * sizeof *g.values);
    for (size_t i = 0; i < g.count; i++) {
        uint64_t bits = wide ? wf_load_u64(data + 8 * i) : wf_load_u32(data + 4 * i);
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow); /* little-endian hosts only, as all of ours are */
        memcpy(&g.values[i], &bits, sizeof bits);
        g.values[i] = wide ? g.values[i] : (double)narrow;
    }
    return g;
}

/* "OP/in/ARG" and "OP/out/y_f64". */
static inline golden golden_of(const char *op, const char *rest) {
    char name[80];
    snprintf(name, sizeof name, "%s/%s", op, rest);
    return golden_read(name);
}

/* [a, b, c, d] → [a, c, d, b], in place: a picture becomes rows of channels, a convolution's weight
   our order. */
static inline void golden_channels_last(golden *g) {
    uint32_t a = g->dims[0], b = g->dims[1], cd = g->dims[2] * g->dims[3];
    double *to = kc_alloc(g->count * sizeof *to);
    for (uint32_t i = 0; i < a; i++) {
        for (uint32_t j = 0; j < b; j++) {
            for (uint32_t k = 0; k < cd; k++) {
                to[((size_t)i * cd + k) * b + j] = g->values[((size_t)i * b + j) * cd + k];
            }
        }
    }
    free(g->values);
    g->values = to;
}

/* As floats, which inputs are. */
static inline float *golden_floats(const golden *g) {
    float *out = kc_alloc(g->count * sizeof *out);
    for (size_t i = 0; i < g->count; i++) {
        out[i] = (float)g->values[i];
    }
    return out;
}

static inline void golden_set_input(kernel_case *c, int i, golden g) {
    float *values = golden_floats(&g);
    kc_set_input(c, i, values);
    free(values);
    free(g.values);
}

static inline void golden_set_weight(kernel_case *c, int i, golden g) {
    float *values = golden_floats(&g);
    kc_set_weight(c, i, values);
    free(values);
    free(g.values);
}

/* Runs all forms and compares their first rows with `want` [rows, c]; frees want. */
static inline void golden_check(kernel_case *c, golden want, double double_tolerance,
                                double float_tolerance) {
    static const char *const names[] = {"double", "scalar", "simd"};
    size_t width = c->out.c, stride = wf_shape_stride(&c->out);
    for (int form = 0; form < KC_FORMS; form++) {
        kc_run(c, (kc_form)form);
        double error = 0, norm = 0;
        for (size_t i = 0; i < want.count; i++) {
            size_t at = i / width * stride + i % width;
            double d = kc_get(c->call[form].out.data, (kc_form)form, at) - want.values[i];
            error += d * d;
            norm += want.values[i] * want.values[i];
        }
        double allowed = form == KC_F64 ? double_tolerance : float_tolerance;
        CHECK(norm > 0 && sqrt(error / norm) <= allowed, "%s is off by %.2e, allowed %.1e", names[form],
              sqrt(error / norm), allowed);
    }
    free(want.values);
}

#endif
