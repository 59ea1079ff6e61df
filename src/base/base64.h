/* Base64 (RFC 4648, section 4) of bytes. */
#ifndef WF_BASE_BASE64_H
#define WF_BASE_BASE64_H

#include <stddef.h>

/* Letters that n bytes become, padding included, without the NUL. */
#define WF_BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

/* Writes WF_BASE64_LENGTH(n) letters to `text`, and no NUL; returns how many. */
size_t wf_base64(const void *bytes, size_t n, char *text);

#endif
