/* Error values. Text is cleaned of control characters because names in it come from
   untrusted files and end up in terminals and pages. */
#include "base/status.h"

#include <stdarg.h>
#include <string.h>

#include "base/print.h"

static void copy_clean(char *dst, size_t cap, const char *src) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (; *src != '\0' && n + 5 < cap; src++) {
        unsigned char c = (unsigned char)*src;
        if (c < 0x20 || c == 0x7f) {
            dst[n++] = '\\';
            dst[n++] = 'x';
            dst[n++] = hex[c >> 4];
            dst[n++] = hex[c & 15];
        } else {
            dst[n++] = (char)c;
        }
    }
    dst[n] = '\0';
}

wf_status wf_fail(wf_error *err, wf_status code, const char *where, int64_t offset,
                  const char *format, ...) {
    if (err == NULL || err->code != WF_OK) {
        return code;
    }
    char raw[sizeof err->text];
    va_list args;
    va_start(args, format);
    wf_print_list(raw, sizeof raw, format, args);
    va_end(args);
    err->code = code;
    err->offset = offset;
    copy_clean(err->where, sizeof err->where, where != NULL ? where : "");
    copy_clean(err->text, sizeof err->text, raw);
    return code;
}

void wf_error_clear(wf_error *err) {
    memset(err, 0, sizeof *err);
    err->offset = -1;
}

const char *wf_status_name(wf_status code) {
    switch (code) {
#define WF_ERROR(name, js_class, meaning) \
    case WF_E_##name:                     \
        return #js_class;
#include "base/errors.def"
#undef WF_ERROR
    default:
        return "ok";
    }
}
