/* A growing string, and JSON's quoting and numbers on top of it. A failed allocation is remembered
   in `failed` instead of being reported at each call: check it once at the end. */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/decimal.h"
#include "base/print.h"
#include "format/json.h"

void wf_text_free(wf_text *t) {
    wf_free(t->data);
    memset(t, 0, sizeof *t);
}

/* Room for n more bytes and the NUL. */
static bool reserve(wf_text *t, size_t n) {
    if (t->failed || n > SIZE_MAX / 4 || t->length > SIZE_MAX / 4) {
        t->failed = true;
        return false;
    }
    if (t->length + n + 1 > t->capacity) {
        size_t wanted = (t->length + n + 1) * 2 < 256 ? 256 : (t->length + n + 1) * 2;
        char *bigger = wf_realloc(t->data, wanted);
        if (bigger == NULL) {
            t->failed = true;
            return false;
        }
        t->data = bigger;
        t->capacity = wanted;
    }
    return true;
}

static void add_bytes(wf_text *t, const char *s, size_t n) {
    if (reserve(t, n)) {
        memcpy(t->data + t->length, s, n);
        t->length += n;
        t->data[t->length] = '\0';
    }
}

void wf_text_add(wf_text *t, const char *s) {
    add_bytes(t, s, strlen(s));
}

void wf_text_format(wf_text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = wf_print_list(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        t->failed = true;
    } else if (reserve(t, (size_t)n)) {
        wf_print_list(t->data + t->length, (size_t)n + 1, format, again);
        t->length += (size_t)n;
    }
    va_end(again);
}

/* Runs of harmless bytes are copied whole. DEL is escaped too, beyond JSON's rules, for terminals.
 */
void wf_text_json_string(wf_text *t, const char *s) {
    add_bytes(t, "\"", 1);
    while (*s != '\0') {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\' &&
               s[plain] != 0x7f) {
            plain++;
        }
        add_bytes(t, s, plain);
        s += plain;
        if (*s == '\0') {
            break;
        }
        if (*s == '"' || *s == '\\') {
            char escaped[2] = {'\\', *s};
            add_bytes(t, escaped, 2);
        } else if (*s == '\n') {
            add_bytes(t, "\\n", 2);
        } else {
            wf_text_format(t, "\\u%04x", (unsigned char)*s);
        }
        s++;
    }
    add_bytes(t, "\"", 1);
}

void wf_text_json_number(wf_text *t, double v) {
    char digits[32];
    if (!isfinite(v)) {
        add_bytes(t, "null", 4);
        return;
    }
    if (fabs(v) < 1e15 && v == floor(v) && !(v == 0 && signbit(v))) {
        wf_text_format(t, "%lld", (long long)v);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        wf_print(digits, sizeof digits, "%.*g", precision, v);
        if (wf_decimal_parse(digits, strlen(digits), NULL) == v) {
            break;
        }
    }
    wf_text_add(t, digits);
}
