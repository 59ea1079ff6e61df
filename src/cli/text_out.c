/* Safe text and aligned tables for terminals. */
#include "cli/text_out.h"

#include <stdarg.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at p (1 … 4) and its code point, or 0. */
static int utf8_decode(const unsigned char *p, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || p[0] >= 0xf5) {
        return 0;
    }
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    *code = c;
    return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

/* C0 and C1 controls reach the terminal's command parser; the others reorder or hide what a person reads. */
static int dangerous(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || c == 0x61c;
}

/* One character of s as shown: its text into `shown`, how many columns that takes; returns the bytes used. */
static int show(const unsigned char *p, char shown[12], int *columns) {
    uint32_t c = 0;
    int n = utf8_decode(p, &c);
    if (n == 0) {
        *columns = snprintf(shown, 12, "\\x%02x", p[0]);
        return 1;
    }
    if (dangerous(c)) {
        *columns = snprintf(shown, 12, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        return n;
    }
    memcpy(shown, p, (size_t)n);
    shown[n] = '\0';
    *columns = 1;
    return n;
}

void wf_out_text(FILE *f, const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    char shown[12];
    int columns;
    while (*p != '\0') {
        p += show(p, shown, &columns);
        fputs(shown, f);
    }
}

static int columns_of(const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    char shown[12];
    int columns, total = 0;
    while (*p != '\0') {
        p += show(p, shown, &columns);
        total += columns;
    }
    return total;
}

void wf_out_row(const char *label, const char *format, ...) {
    char value[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    printf("  %-14s ", label);
    wf_out_text(stdout, value);
    putchar('\n');
}

const char *wf_out_bytes(wf_number out, uint64_t bytes) {
    if (bytes < 1000) {
        snprintf(out, sizeof(wf_number), "%u bytes", (unsigned)bytes);
    } else {
        double v = (double)bytes / 1000;
        int unit = 0;
        for (; v >= 999.95 && unit < 4; unit++) {
            v /= 1000;
        }
        snprintf(out, sizeof(wf_number), "%.1f %cB", v, "kMGTP"[unit]);
    }
    return out;
}

const char *wf_out_count(wf_number out, uint64_t n) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *wf_out_scaled(wf_number out, double v) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int unit = 0;
    for (; v >= 1000 && unit < 4; unit++) {
        v /= 1000;
    }
    snprintf(out, sizeof(wf_number), "%.3g%s", v, units[unit]);
    return out;
}

const char *wf_out_shape(wf_shape_text out, const uint64_t *dims, uint32_t n) {
    size_t at = 1;
    out[0] = '[';
    for (uint32_t d = 0; d < n; d++) {
        at += (size_t)snprintf(out + at, sizeof(wf_shape_text) - at, "%s%llu", d != 0 ? ", " : "",
                               (unsigned long long)dims[d]);
    }
    snprintf(out + at, sizeof(wf_shape_text) - at, "]");
    return out;
}

/* ---- tables ---- */

struct wf_table_row {
    struct wf_table_row *next;
    const char *cells[WF_TABLE_COLUMNS];
};

void wf_table_init(wf_table *t, const char *align) {
    memset(t, 0, sizeof *t);
    wf_arena_init(&t->arena);
    t->align = align;
    t->columns = (uint32_t)strlen(align);
    t->last = &t->first;
}

void wf_table_row(wf_table *t, ...) {
    struct wf_table_row *row = wf_arena_alloc(&t->arena, sizeof *row);
    if (row == NULL) {
        return;
    }
    va_list args;
    va_start(args, t);
    for (uint32_t i = 0; i < t->columns; i++) {
        const char *cell = va_arg(args, const char *);
        row->cells[i] = wf_arena_string(&t->arena, cell, strlen(cell));
        int columns = row->cells[i] != NULL ? columns_of(cell) : 0;
        t->width[i] = columns > t->width[i] ? columns : t->width[i];
    }
    va_end(args);
    *t->last = row;
    t->last = &row->next;
}

void wf_table_print(wf_table *t, FILE *f) {
    for (struct wf_table_row *row = t->first; row != NULL; row = row->next) {
        for (uint32_t i = 0; i < t->columns; i++) {
            const char *cell = row->cells[i] != NULL ? row->cells[i] : "";
            int pad = t->width[i] - columns_of(cell);
            fprintf(f, "  %*s", t->align[i] == 'r' ? pad : 0, "");
            wf_out_text(f, cell);
            fprintf(f, "%*s", t->align[i] != 'r' && i + 1 < t->columns ? pad : 0, "");
        }
        fputc('\n', f);
    }
    wf_arena_free(&t->arena);
}

void wf_json_error(wf_text *t, const wf_error *err) {
    wf_text_add(t, "{\"class\":");
    wf_text_json_string(t, wf_status_name(err->code));
    wf_text_add(t, ",\"message\":");
    wf_text_json_string(t, err->text);
    wf_text_add(t, ",\"where\":");
    wf_text_json_string(t, err->where);
    if (err->offset >= 0) {
        wf_text_format(t, ",\"offset\":%lld", (long long)err->offset);
    }
    wf_text_add(t, "}");
}
