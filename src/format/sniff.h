/* What do these bytes look like? Downloads go wrong in a few well-known ways (an error page, a Git
   LFS pointer, an archive that nobody unpacked); naming them saves the user an hour. Looks at the
   first 32 bytes at most. */
#ifndef WF_FORMAT_SNIFF_H
#define WF_FORMAT_SNIFF_H

#include <stddef.h>

typedef enum wf_sniffed {
    WF_SNIFFED_UNKNOWN,
    WF_SNIFFED_GGUF,
    WF_SNIFFED_SAFETENSORS,
    WF_SNIFFED_ZIP,
    WF_SNIFFED_TORCH_LEGACY,
    WF_SNIFFED_OTHER /* known by name, but nothing that we read */
} wf_sniffed;

/* *sentence: what it is and what to do about it, to be put behind "this is "; NULL for UNKNOWN. */
wf_sniffed wf_sniff(const void *bytes, size_t n, const char **sentence);
/* The first bytes as hexadecimal, for errors about unknown content: "4e 6f 74 20". `out` holds 12.
 */
void wf_sniff_hex(const void *bytes, size_t n, char out[12]);

#endif
