/* A small JSON reader (RFC 8259) into an arena tree, for config files, and a writer into a growing
   string. Depth is limited to 64, numbers are doubles, duplicate keys are an error that names the
   key. */
#ifndef WF_FORMAT_JSON_H
#define WF_FORMAT_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum wf_json_kind {
    WF_JSON_NULL,
    WF_JSON_BOOL,
    WF_JSON_NUMBER,
    WF_JSON_STRING,
    WF_JSON_ARRAY,
    WF_JSON_OBJECT
} wf_json_kind;

typedef struct wf_json {
    wf_json_kind kind;
    const char *key; /* inside an object */
    bool boolean;
    double number;
    const char *string; /* NUL-terminated UTF-8; \u0000 is refused */
    size_t length;
    struct wf_json *first, *next; /* children; siblings */
    size_t count;                 /* children */
    bool seen;                    /* for readers that want to know what they left out */
} wf_json;

wf_status wf_json_parse(wf_arena *arena, const char *text, size_t n, const char *where,
                        wf_json **out, wf_error *err);
const wf_json *wf_json_get(const wf_json *object, const char *key); /* NULL-safe */
const wf_json *wf_json_at(const wf_json *array, size_t i);
bool wf_json_to_u64(const wf_json *v, unsigned long long *out); /* whole, 0 … 2^53 */

/* ---- writing ---- */
typedef struct wf_text {
    char *data; /* NUL-terminated; NULL until something was written */
    size_t length, capacity;
    bool failed; /* memory ran out: data is incomplete */
} wf_text;

void wf_text_free(wf_text *t);
void wf_text_add(wf_text *t, const char *s);
void wf_text_format(wf_text *t, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* A quoted and escaped JSON string. */
void wf_text_json_string(wf_text *t, const char *s);
/* The shortest decimal that reads back as the same double; "null" for NaN and infinities. */
void wf_text_json_number(wf_text *t, double v);

#endif
