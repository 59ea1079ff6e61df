/* The number type of the scalar kernels, and the few functions they need.

   Every scalar/OP.c is compiled twice. Plain, wf_real is float and the kernel is wf_OP_scalar: the
   specification of the fast kernels, shipped as their stand-in. With -DWF_REAL_F64=1 it is double
   and the kernel is wf_OP_f64: the truth that errors are measured against (--precision f64,
   goldens); tools only.

   The float build uses no libm: exp and erf are pure IEEE double arithmetic rounded once to float
   (relative error below 6.1e-8, half an ulp and a bit), so results are bit-equal on every platform.
   The double build uses libm's. Sums over a map or a row (means, variances, softmax denominators)
   run in double in both; dot products run in wf_real. */
#ifndef WF_KERNELS_SCALAR_REAL_H
#define WF_KERNELS_SCALAR_REAL_H

#include <string.h>

#include "kernels/op.h"

#ifndef WF_REAL_F64
#define WF_REAL_F64 0
#endif

#if WF_REAL_F64
#include <math.h>
typedef double wf_real;
#define WF_SCALAR_NAME(op) wf_##op##_f64
#else
typedef float wf_real;
#define WF_SCALAR_NAME(op) wf_##op##_scalar
#endif

/* WF_SCALAR_IMPL(linear) = {…}; defines wf_linear_scalar or wf_linear_f64. */
#define WF_SCALAR_IMPL(op)                      \
    extern const wf_op_impl WF_SCALAR_NAME(op); \
    const wf_op_impl WF_SCALAR_NAME(op)

/* Rows a tile of the row-wise kernels: small enough that a step budget can stop between tiles. */
enum { WF_SCALAR_ROWS = 16 };

static inline uint32_t wf_scalar_row_tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return (wf_shape_rows(&call->out.shape) + WF_SCALAR_ROWS - 1) / WF_SCALAR_ROWS;
}

static inline uint32_t wf_scalar_tile_end(const wf_op_call *call, uint32_t tile) {
    uint32_t rows = wf_shape_rows(&call->out.shape), end = (tile + 1) * WF_SCALAR_ROWS;
    return end < rows ? end : rows;
}

static inline uint32_t wf_scalar_segment_tiles(const wf_op_call *call, uint32_t phase) {
    (void)phase;
    return call->out.shape.n;
}

/* Row r of a rows tensor: [c], then zero lanes up to the stride. */
static inline wf_real *wf_row(const wf_view *view, uint32_t r) {
    return (wf_real *)view->data + (size_t)r * wf_shape_stride(&view->shape);
}

/* Keeps the invariant of the row just written: lanes c … stride−1 are zero. */
static inline void wf_row_zero_lanes(const wf_view *view, uint32_t r) {
    uint32_t c = view->shape.c;
    memset(wf_row(view, r) + c, 0, (wf_shape_stride(&view->shape) - c) * sizeof(wf_real));
}

/* Element i of a vector weight, or what an absent one stands for. */
static inline wf_real wf_vector_at(const wf_weight *w, uint32_t i, wf_real absent) {
    return w->data != NULL ? ((const wf_real *)w->data)[i] : absent;
}

/* Parameters travel as float. The source meant a decimal power (eps = 1e-5), which the double build
   restores: the float next to 1e-5 is off by 2.5e-8, more than the double build's own error. */
static inline double wf_real_eps(float eps) {
#if WF_REAL_F64
    static const double meant[] = {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12};
    for (size_t i = 0; i < sizeof meant / sizeof meant[0]; i++) {
        if ((float)meant[i] == eps) {
            return meant[i];
        }
    }
#endif
    return eps;
}

#if WF_REAL_F64
static inline double wf_real_sqrt(double x) { return sqrt(x); }
static inline double wf_real_exp(double x) { return exp(x); }
static inline double wf_real_erf(double x) { return erf(x); }
#else
/* IEEE demands a correctly rounded root, so the machine's is as good as our own. */
static inline double wf_real_sqrt(double x) { return __builtin_sqrt(x); }

/* exp(x) for x ≤ 0 and modest positive x: x = k·ln 2 + r with |r| ≤ ½ ln 2, exp(r) by its Taylor
   series up to r¹²/12! (remainder 2e-16), and 2^k through the exponent bits. Below −708 the result
   is 0, as in float it is long before. */
static inline double wf_exp_arithmetic(double x) {
    if (x < -708.0) {
        return 0.0;
    }
    if (x > 709.0) {
        x = 709.0; /* infinite as a float */
    }
    double scaled = x * 1.4426950408889634; /* 1/ln 2 */
    int32_t k = (int32_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
    /* ln 2 in two parts: the first has 32 zero bits at its end, so that k·part is exact. */
    double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    double sum = 1.0;
    for (int i = 12; i >= 1; i--) {
        sum = 1.0 + sum * r / i;
    }
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

static inline float wf_real_exp(float x) { return x != x ? x : (float)wf_exp_arithmetic(x); }

/* erf(x) = 2/√π · exp(−x²) · Σ_n 2ⁿ x^(2n+1) / (1·3·5 … (2n+1)): all terms have one sign, nothing
   cancels. Beyond 4 the float nearest to erf is ±1. */
static inline float wf_real_erf(float value) {
    double x = value;
    if (!(x > -4.0 && x < 4.0)) {
        return x > 0 ? 1.0f : x < 0 ? -1.0f : value; /* NaN stays NaN */
    }
    double term = x, sum = x, size = x < 0 ? -x : x;
    for (int n = 1; size > 1e-17; n++) {
        term *= 2.0 * x * x / (2 * n + 1);
        sum += term;
        size = term < 0 ? -term : term;
    }
    return (float)(1.1283791670955126 * wf_exp_arithmetic(-x * x) * sum); /* 2/√π */
}
#endif

#endif
