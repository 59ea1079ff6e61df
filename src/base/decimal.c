/* Digits are doubled and halved by up to 59 binary places at a time, as one does by hand, in one 64-bit remainder. */
#include "base/decimal.h"

#include <math.h>
#include <string.h>

enum { STEP = 59 }; /* 10 · 2^59 and 9 · 2^59 + 2^59 fit in 64 bits */

static void trim(wf_decimal *x) {
    while (x->count > 0 && x->digit[x->count - 1] == 0) {
        x->count--;
    }
    if (x->count == 0) {
        x->point = 0;
    }
}

static void append(wf_decimal *x, int *count, unsigned digit) {
    if (*count < WF_DECIMAL_DIGITS) {
        x->digit[(*count)++] = (uint8_t)digit;
    } else if (digit != 0) {
        x->more = true;
    }
}

/* x ÷ 2^k. What is written never overtakes what is read. */
static void halve(wf_decimal *x, int k) {
    uint64_t rest = 0, below = ((uint64_t)1 << k) - 1;
    int read = 0, written = 0;
    while (rest >> k == 0) { /* up to the first digit of the quotient */
        rest = rest * 10 + (read < x->count ? x->digit[read] : 0);
        read++;
    }
    x->point -= read - 1;
    for (;;) {
        append(x, &written, (unsigned)(rest >> k));
        rest &= below;
        if (read >= x->count && rest == 0) {
            break;
        }
        rest = rest * 10 + (read < x->count ? x->digit[read] : 0);
        read++;
    }
    x->count = written;
}

/* x · 2^k, from the last digit on. */
static void twice(wf_decimal *x, int k) {
    uint8_t product[WF_DECIMAL_DIGITS + 20];
    int at = (int)sizeof product, count = 0;
    uint64_t carry = 0;
    for (int i = x->count - 1; i >= 0 || carry != 0; i--) {
        carry += i >= 0 ? (uint64_t)x->digit[i] << k : 0;
        product[--at] = (uint8_t)(carry % 10);
        carry /= 10;
    }
    x->point += (int)sizeof product - at - x->count;
    for (; at < (int)sizeof product; at++) {
        append(x, &count, product[at]);
    }
    x->count = count;
}

/* x · 2^k */
static void scale(wf_decimal *x, int k) {
    while (k != 0 && x->count != 0) {
        int step = k < -STEP ? -STEP : k > STEP ? STEP : k;
        if (step < 0) {
            halve(x, -step);
        } else {
            twice(x, step);
        }
        trim(x);
        k -= step;
    }
}

/* Whether what stands from digit `at` on is to be rounded up. */
static bool rounds_up(const wf_decimal *x, int at) {
    if (at < 0 || at >= x->count) {
        return false;
    }
    if (x->digit[at] == 5 && at + 1 == x->count && !x->more) {
        return at > 0 && x->digit[at - 1] % 2 != 0;
    }
    return x->digit[at] >= 5;
}

void wf_decimal_round(wf_decimal *x, int keep) {
    if (keep >= x->count) {
        return;
    }
    bool up = rounds_up(x, keep);
    x->count = keep < 0 ? 0 : keep;
    x->more = false;
    if (up) {
        while (x->count > 0 && x->digit[x->count - 1] == 9) {
            x->count--;
        }
        if (x->count == 0) {
            x->digit[x->count++] = 1;
            x->point++;
            return;
        }
        x->digit[x->count - 1]++;
    }
    trim(x);
}

void wf_decimal_of(wf_decimal *x, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint64_t mantissa = bits & (((uint64_t)1 << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7ff);
    if (exponent != 0) {
        mantissa |= (uint64_t)1 << 52;
    } else {
        exponent = 1;
    }
    int count = 0;
    for (uint64_t m = mantissa; m != 0; m /= 10) {
        count++;
    }
    *x = (wf_decimal){.count = count, .point = count};
    for (; mantissa != 0; mantissa /= 10) {
        x->digit[--count] = (uint8_t)(mantissa % 10);
    }
    trim(x);
    scale(x, exponent - 1075);
}

/* |x| as a double: scaled to 0.5 … 1 first, then to the 53 bits (or fewer, near zero) that are rounded to an integer. */
static double nearest(wf_decimal *x) {
    if (x->count == 0 || x->point < -330) {
        return 0.0;
    }
    if (x->point > 310) {
        return HUGE_VAL;
    }
    int exponent = 0; /* of 2, taken out of x */
    while (x->point > 0 || (x->point == 0 && x->digit[0] < 5) || x->point < 0) {
        int k = x->point > 0 ? -3 * x->point : x->point < 0 ? -3 * x->point : 1; /* 2^3 is below 10: never too far down */
        k = k < -STEP ? -STEP : k > STEP ? STEP : k;
        scale(x, k);
        exponent -= k;
    }
    int bits = exponent < -1021 ? 53 + exponent + 1021 : 53;
    scale(x, bits);
    uint64_t mantissa = 0;
    for (int i = 0; i < x->point; i++) {
        mantissa = mantissa * 10 + (i < x->count ? x->digit[i] : 0);
    }
    if (x->point >= 0 && rounds_up(x, x->point)) {
        mantissa++;
    }
    return ldexp((double)mantissa, exponent - bits);
}

static bool is_digit(const char *text, size_t n, size_t at) { return at < n && text[at] >= '0' && text[at] <= '9'; }

/* Digits from *at on into x; returns how many there were. */
static size_t take_digits(wf_decimal *x, const char *text, size_t n, size_t *at, bool fraction) {
    size_t begin = *at;
    for (; is_digit(text, n, *at); ++*at) {
        unsigned digit = (unsigned)(text[*at] - '0');
        if (x->count == 0 && digit == 0) {
            x->point -= fraction && x->point > -100000;
            continue;
        }
        append(x, &x->count, digit);
        x->point += !fraction && x->point < 100000;
    }
    return *at - begin;
}

/* An exponent at *at, or 0 where there is none. */
static int take_exponent(const char *text, size_t n, size_t *at) {
    size_t p = *at;
    if (p >= n || (text[p] != 'e' && text[p] != 'E')) {
        return 0;
    }
    p++;
    bool minus = p < n && text[p] == '-';
    p += p < n && (text[p] == '-' || text[p] == '+');
    if (!is_digit(text, n, p)) {
        return 0;
    }
    int e = 0;
    for (; is_digit(text, n, p); p++) {
        e = e < 1000000 ? 10 * e + (text[p] - '0') : e;
    }
    *at = p;
    return minus ? -e : e;
}

double wf_decimal_parse(const char *text, size_t n, size_t *used) {
    wf_decimal x = {0};
    size_t at = n > 0 && text[0] == '-', digits;
    digits = take_digits(&x, text, n, &at, false);
    if (at < n && text[at] == '.' && (digits > 0 || is_digit(text, n, at + 1))) {
        at++;
        digits += take_digits(&x, text, n, &at, true);
    }
    if (digits != 0) {
        x.point += take_exponent(text, n, &at);
    }
    if (used != NULL) {
        *used = digits != 0 ? at : 0;
    }
    int shown = x.count;
    trim(&x);
    double v = 0;
    if (!x.more && shown <= 15 && x.point >= x.count && x.point <= 15) { /* most are small integers */
        for (int i = 0; i < x.point; i++) {
            v = v * 10 + (i < x.count ? x.digit[i] : 0);
        }
    } else {
        v = nearest(&x);
    }
    return digits != 0 && text[0] == '-' ? -v : v;
}
