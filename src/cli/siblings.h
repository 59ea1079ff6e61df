/* The names of a split model's files: NAME-00001-of-0000N.gguf, numbered from 1. */
#ifndef WF_CLI_SIBLINGS_H
#define WF_CLI_SIBLINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Whether the path is named like a part; *count: of how many. */
bool wf_sibling_named(const char *path, uint32_t *count);
/* The path of part `index` (from 0) of `count` into `out`, made from a path named like any part. */
void wf_sibling_path(const char *path, uint32_t index, uint32_t count, char *out, size_t room);
/* The same, for a file that says so itself: an error where its name is not like that, or the part is not there. */
wf_status wf_sibling_find(const char *path, uint32_t index, uint32_t count, char *out, size_t room, wf_error *err);

#endif
