/* Status codes and the error value that every fallible function fills.
   An error is a code plus one sentence for a person: what, where, and the mend.
   The library never prints, exits or aborts. */
#ifndef WF_BASE_STATUS_H
#define WF_BASE_STATUS_H

#include <stdint.h>

typedef enum wf_status {
    WF_OK = 0,
#define WF_ERROR(name, js_class, meaning) WF_E_##name,
#include "base/errors.def"
#undef WF_ERROR
    WF_STATUS_COUNT
} wf_status;

typedef struct wf_error {
    wf_status code;
    int64_t offset;   /* byte offset in the input, or -1 where there is none */
    char where[96];   /* file part, tensor, node or option at fault */
    char text[512];   /* the sentence */
} wf_error;

/* Fills `err` (which may be NULL) and returns `code`, so that a caller can write
   `return wf_fail(err, WF_E_FORMAT, "header", 4, "...", ...)`. The first error wins:
   an error that is already set is kept. Control characters in the text are escaped. */
wf_status wf_fail(wf_error *err, wf_status code, const char *where, int64_t offset,
                  const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 5, 6)))
#endif
    ;

void wf_error_clear(wf_error *err);

/* "WfFormatError" and the like; "ok" for WF_OK. */
const char *wf_status_name(wf_status code);

/* Evaluates a call and returns its status from the enclosing function on failure. */
#define WF_TRY(call)                       \
    do {                                   \
        wf_status wf_try_status_ = (call); \
        if (wf_try_status_ != WF_OK) {     \
            return wf_try_status_;         \
        }                                  \
    } while (0)

#endif
