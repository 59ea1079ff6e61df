#include "base/print.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/decimal.h"

enum { FINEST = 60, ITEM = 400 }; /* the largest double has 309 digits in front of its point */

typedef struct sink {
    char *dst;
    size_t cap, length; /* of what was said, which may be more than fits */
} sink;

static void put(sink *s, char c) {
    if (s->length + 1 < s->cap) {
        s->dst[s->length] = c;
    }
    s->length++;
}

typedef struct spec {
    bool left, zeros;
    int width, precision; /* −1: none given */
    int longs;            /* how many l; z counts as one where size_t is as wide as long */
} spec;

static char *unsigned_digits(char *end, uint64_t v, unsigned base) {
    do {
        *--end = "0123456789abcdef"[v % base];
        v /= base;
    } while (v != 0);
    return end;
}

/* Digit i behind the first; zeros around those that count. */
static char digit_at(const wf_decimal *x, int i) { return (char)('0' + (i >= 0 && i < x->count ? x->digit[i] : 0)); }

static size_t put_fixed(char *to, const wf_decimal *x, int decimals) {
    size_t n = 0;
    if (x->point <= 0) {
        to[n++] = '0';
    }
    for (int i = 0; i < x->point; i++) {
        to[n++] = digit_at(x, i);
    }
    if (decimals > 0) {
        to[n++] = '.';
    }
    for (int i = 0; i < decimals; i++) {
        to[n++] = digit_at(x, x->point + i);
    }
    return n;
}

static size_t put_exponent(char *to, const wf_decimal *x, int decimals) {
    size_t n = 0;
    int e = x->count == 0 ? 0 : x->point - 1;
    to[n++] = digit_at(x, 0);
    if (decimals > 0) {
        to[n++] = '.';
    }
    for (int i = 1; i <= decimals; i++) {
        to[n++] = digit_at(x, i);
    }
    to[n++] = 'e';
    to[n++] = e < 0 ? '-' : '+';
    char digits[8], *end = digits + sizeof digits, *first = unsigned_digits(end, (uint64_t)(e < 0 ? -e : e), 10);
    if (end - first < 2) {
        to[n++] = '0';
    }
    memcpy(to + n, first, (size_t)(end - first));
    return n + (size_t)(end - first);
}

/* |v| by g, f or e; a finite number. */
static size_t put_real(char *to, double v, char conversion, int precision) {
    wf_decimal x;
    wf_decimal_of(&x, v);
    int p = precision < 0 ? 6 : precision > FINEST ? FINEST : precision;
    if (conversion == 'f') {
        wf_decimal_round(&x, x.point + p);
        return put_fixed(to, &x, p);
    }
    if (conversion == 'e') {
        wf_decimal_round(&x, p + 1);
        return put_exponent(to, &x, p);
    }
    p = p == 0 ? 1 : p;
    wf_decimal_round(&x, p);
    int e = x.count == 0 ? 0 : x.point - 1;
    if (e < -4 || e >= p) {
        return put_exponent(to, &x, x.count - 1);
    }
    return put_fixed(to, &x, x.count > x.point ? x.count - x.point : 0);
}

static void put_item(sink *s, const spec *f, const char *item, size_t n) {
    int pad = f->width > (int)n ? f->width - (int)n : 0;
    size_t i = 0;
    if (f->zeros && !f->left) {
        if (n > 0 && item[0] == '-') {
            put(s, item[i++]);
        }
        for (; pad > 0; pad--) {
            put(s, '0');
        }
    }
    for (; pad > 0 && !f->left; pad--) {
        put(s, ' ');
    }
    for (; i < n; i++) {
        put(s, item[i]);
    }
    for (; pad > 0; pad--) {
        put(s, ' ');
    }
}

static const char *take_number(const char *p, int *v, va_list *args) {
    *v = 0;
    if (*p == '*') {
        *v = va_arg(*args, int);
        return p + 1;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        *v = *v < 10000 ? 10 * *v + (*p - '0') : *v;
    }
    return p;
}

/* What stands between % and the letter of the conversion, at which the result points. */
static const char *take_spec(const char *p, spec *f, va_list *args) {
    *f = (spec){.precision = -1};
    for (; *p == '-' || *p == '0'; p++) {
        f->left |= *p == '-';
        f->zeros |= *p == '0';
    }
    p = take_number(p, &f->width, args);
    if (f->width < 0) {
        f->left = true;
        f->width = -f->width;
    }
    if (*p == '.') {
        p = take_number(p + 1, &f->precision, args);
    }
    for (; *p == 'l' || *p == 'z'; p++) {
        f->longs += *p == 'l' ? 1 : sizeof(size_t) == sizeof(long long) ? 2 : 1;
    }
    return p;
}

static uint64_t take_integer(const spec *f, bool is_signed, va_list *args) {
    if (is_signed) {
        return (uint64_t)(f->longs > 1 ? va_arg(*args, long long) : f->longs == 1 ? va_arg(*args, long) : va_arg(*args, int));
    }
    return f->longs > 1 ? va_arg(*args, unsigned long long) : f->longs == 1 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

static void put_integer(sink *s, spec *f, char conversion, va_list *args) {
    char item[24], *end = item + sizeof item;
    bool is_signed = conversion == 'd' || conversion == 'i';
    uint64_t v = take_integer(f, is_signed, args);
    bool minus = is_signed && (int64_t)v < 0;
    char *first = unsigned_digits(end, minus ? 0 - v : v, conversion == 'x' ? 16 : 10);
    if (minus) {
        *--first = '-';
    }
    put_item(s, f, first, (size_t)(end - first));
}

static void put_double(sink *s, spec *f, char conversion, double v) {
    char item[ITEM];
    size_t n = 0;
    if (signbit(v)) {
        item[n++] = '-';
    }
    if (isfinite(v)) {
        n += put_real(item + n, v, conversion, f->precision);
    } else {
        memcpy(item + n, isnan(v) ? "nan" : "inf", 3);
        n += 3;
        f->zeros = false;
    }
    put_item(s, f, item, n);
}

static void put_string(sink *s, spec *f, const char *text) {
    const char *end = f->precision >= 0 ? memchr(text, '\0', (size_t)f->precision) : text + strlen(text);
    f->zeros = false;
    put_item(s, f, text, end != NULL ? (size_t)(end - text) : (size_t)f->precision);
}

/* One conversion at p, behind its %; returns what follows it, or NULL where it is none that is known here. */
static const char *put_value(sink *s, const char *p, va_list *args) {
    spec f;
    char c;
    p = take_spec(p, &f, args);
    switch (*p) {
    case '%':
        put(s, '%');
        break;
    case 's':
        put_string(s, &f, va_arg(*args, const char *));
        break;
    case 'c':
        c = (char)va_arg(*args, int);
        put_item(s, &f, &c, 1);
        break;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
        put_integer(s, &f, *p, args);
        break;
    case 'e':
    case 'f':
    case 'g':
        put_double(s, &f, *p, va_arg(*args, double));
        break;
    default:
        return NULL;
    }
    return p + 1;
}

int wf_print_list(char *dst, size_t cap, const char *format, va_list args) {
    sink s = {dst, cap, 0};
    va_list rest; /* a parameter of this type may be an array, whose address is of another type */
    va_copy(rest, args);
    for (const char *p = format; *p != '\0';) {
        const char *next = *p == '%' ? put_value(&s, p + 1, &rest) : NULL;
        if (next == NULL && *p == '%') {
            while (*p != '\0') {
                put(&s, *p++);
            }
            break;
        }
        if (next == NULL) {
            put(&s, *p);
        }
        p = next != NULL ? next : p + 1;
    }
    va_end(rest);
    if (cap != 0) {
        dst[s.length < cap ? s.length : cap - 1] = '\0';
    }
    return (int)s.length;
}

int wf_print(char *dst, size_t cap, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = wf_print_list(dst, cap, format, args);
    va_end(args);
    return n;
}
