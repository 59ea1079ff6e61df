/* Text for terminals. Names and labels come from untrusted files: control characters, invalid UTF-8 and
   direction overrides are shown as escapes, never sent. Tables are aligned by the number of characters. */
#ifndef WF_CLI_TEXT_OUT_H
#define WF_CLI_TEXT_OUT_H

#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/status.h"
#include "format/json.h"

/* Writes s with everything dangerous escaped (\x1b, \u202e); plain UTF-8 passes. */
void wf_out_text(FILE *f, const char *s);
/* A line "  label    value" of a description. */
void wf_out_row(const char *label, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

typedef char wf_number[32];
/* "59.6 MB" (powers of 1000), "11,915,176", "1.82 G". They return `out`. */
const char *wf_out_bytes(wf_number out, uint64_t bytes);
const char *wf_out_count(wf_number out, uint64_t n);
const char *wf_out_scaled(wf_number out, double v);

typedef char wf_shape_text[200];
/* "[2, 3, 64, 64]"; up to 8 dimensions. */
const char *wf_out_shape(wf_shape_text out, const uint64_t *dims, uint32_t n);

enum { WF_TABLE_COLUMNS = 8 };
typedef struct wf_table {
    wf_arena arena;
    struct wf_table_row *first, **last;
    uint32_t columns;
    const char *align; /* one letter a column: l or r */
    int width[WF_TABLE_COLUMNS];
} wf_table;
void wf_table_init(wf_table *t, const char *align);
/* As many strings as there are columns; they are copied. */
void wf_table_row(wf_table *t, ...);
void wf_table_print(wf_table *t, FILE *f); /* and frees it */

/* {"class":…,"message":…,"where":…,"offset":…} */
void wf_json_error(wf_text *t, const wf_error *err);

#endif
