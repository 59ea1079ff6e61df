/* Numbers in decimal, exactly: what a double is as digits, and the double next to some digits. In place of the C library's
   strtod and %g: those follow the process's locale, and bring 128-bit floats that weigh 9 KB in a page's engine. */
#ifndef WF_BASE_DECIMAL_H
#define WF_BASE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No double has more than 767 digits; what a text has beyond is remembered in `more`. */
enum { WF_DECIMAL_DIGITS = 800 };

/* 0.d₀d₁d₂… × 10^point, without zeros at either end; count 0 is zero. */
typedef struct wf_decimal {
    int count, point;
    bool more; /* something that is not zero follows behind the last digit */
    uint8_t digit[WF_DECIMAL_DIGITS];
} wf_decimal;

/* |v|, which must be finite. */
void wf_decimal_of(wf_decimal *x, double v);

/* Keeps the first `keep` digits; exact halves go to even. */
void wf_decimal_round(wf_decimal *x, int keep);

/* The double nearest to a number as JSON writes it (-1.5e-3; also 1. and .5), halves to even, too large ones infinite. *used,
   which may be NULL, is how many of the n bytes belong to it: 0 where no number begins. */
double wf_decimal_parse(const char *text, size_t n, size_t *used);

#endif
