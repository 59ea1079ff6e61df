/* The test kit of the C unit tests: a program is a main() that runs cases and returns wf_test_done().

       WF_TEST(adds_up) { CHECK(1 + 1 == 2, "arithmetic: %d", 1 + 1); }
       int main(void) { RUN(adds_up); return wf_test_done(); }

   A case prints one line, "ok NAME" or "not ok NAME: why" (the first failed check; the count of the others); tests/run.mjs
   counts these lines. A failed CHECK does not end the case. */
#ifndef WF_TESTS_CHECK_H
#define WF_TESTS_CHECK_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct wf_test_state {
    int cases, failed_cases; /* of the program */
    int failed;              /* checks of the running case */
    char why[512];           /* its first failure */
} wf_test;

#define WF_TEST(name) static void name(void)
#define RUN(name) wf_test_run(#name, name)

/* Something is true; otherwise the case fails with the message (printf). */
#define CHECK(cond, ...)                                     \
    do {                                                     \
        if (!(cond)) {                                       \
            wf_test_fail(__FILE__, __LINE__, #cond);         \
            wf_test_explain(" " __VA_ARGS__);                 \
        }                                                    \
    } while (0)

/* |got − want| ≤ tolerance; a NaN fails. */
#define CHECK_NEAR(got, want, tolerance)                                                              \
    do {                                                                                              \
        double wf_got_ = (double)(got), wf_want_ = (double)(want), wf_tol_ = (double)(tolerance);     \
        if (!(fabs(wf_got_ - wf_want_) <= wf_tol_)) {                                                 \
            wf_test_fail(__FILE__, __LINE__, #got);                                                   \
            wf_test_explain(" is %.9g, not %.9g (tolerance %.2g)", wf_got_, wf_want_, wf_tol_);        \
        }                                                                                             \
    } while (0)

/* A call that must succeed, and one that must fail with that code; `err` is the wf_error it fills. */
#define CHECK_OK(call, err) CHECK((call) == 0, "%s", (err).text)
#define CHECK_FAILS(call, code_, err)                                                                 \
    do {                                                                                              \
        int wf_status_ = (int)(call);                                                                 \
        CHECK(wf_status_ == (int)(code_), "status %d: %s", wf_status_, (err).text);                   \
        CHECK((err).text[0] != 0, "an error without a sentence");                                     \
    } while (0)

static inline void wf_test_fail(const char *file, int line, const char *what) {
    const char *name = strrchr(file, '/');
    if (wf_test.failed++ == 0) {
        snprintf(wf_test.why, sizeof wf_test.why, "%s:%d: %s", name != NULL ? name + 1 : file, line, what);
    }
}

__attribute__((format(printf, 1, 2))) static inline void wf_test_explain(const char *format, ...) {
    size_t n = strlen(wf_test.why);
    if (wf_test.failed != 1 || format[1] == 0 || n + 2 >= sizeof wf_test.why) {
        return; /* only the first failure is told in full */
    }
    wf_test.why[n++] = ':';
    va_list args;
    va_start(args, format);
    vsnprintf(wf_test.why + n, sizeof wf_test.why - n, format, args);
    va_end(args);
}

/* One case of a table: name it with printf, check, end it. Cases don't nest. */
static inline void wf_test_begin(void) {
    wf_test.failed = 0;
    wf_test.why[0] = 0;
}

__attribute__((format(printf, 1, 2))) static inline void wf_test_end(const char *name, ...) {
    char text[256];
    va_list args;
    va_start(args, name);
    vsnprintf(text, sizeof text, name, args);
    va_end(args);
    wf_test.cases++;
    if (wf_test.failed == 0) {
        printf("ok %s\n", text);
    } else {
        wf_test.failed_cases++;
        for (char *c = wf_test.why; *c != 0; c++) {
            *c = *c == '\n' ? ' ' : *c;
        }
        printf("not ok %s: %s", text, wf_test.why);
        if (wf_test.failed > 1) {
            printf(" (and %d more)", wf_test.failed - 1);
        }
        printf("\n");
    }
    fflush(stdout);
}

static inline void wf_test_run(const char *name, void (*body)(void)) {
    wf_test_begin();
    body();
    wf_test_end("%s", name);
}

/* The exit status; a program without a single case fails too. */
static inline int wf_test_done(void) { return wf_test.cases == 0 || wf_test.failed_cases > 0; }

/* ‖got − want‖₂ ÷ ‖want‖₂, summed in double; infinite when got has a NaN or infinity. */
static inline double wf_rel_l2(const float *got, const float *want, size_t n) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        error += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    if (!(error <= 1e300)) {
        return INFINITY;
    }
    return norm > 0 ? sqrt(error / norm) : (error > 0 ? INFINITY : 0);
}

/* The same against a double reference. */
static inline double wf_rel_l2_f64(const float *got, const double *want, size_t n) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - want[i];
        error += d * d;
        norm += want[i] * want[i];
    }
    if (!(error <= 1e300)) {
        return INFINITY;
    }
    return norm > 0 ? sqrt(error / norm) : (error > 0 ? INFINITY : 0);
}

/* Reproducible noise: the same numbers on every machine and in every build. */
static uint32_t wf_test_seed_ = 1;
static inline void wf_test_seed(uint32_t seed) { wf_test_seed_ = seed * 2654435761u + 1u; }
static inline uint32_t wf_test_u32(void) {
    wf_test_seed_ = wf_test_seed_ * 1664525u + 1013904223u;
    uint32_t x = wf_test_seed_;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}
/* Uniform in [low, high). */
static inline float wf_test_uniform(float low, float high) {
    return low + (high - low) * ((float)(wf_test_u32() >> 8) * 0x1p-24f);
}
static inline void wf_test_fill(float *out, size_t n, float low, float high) {
    for (size_t i = 0; i < n; i++) {
        out[i] = wf_test_uniform(low, high);
    }
}

#endif
