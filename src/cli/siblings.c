#include "cli/siblings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/files.h"

static const char pattern[] = "-#####-of-#####.gguf";
enum { PATTERN = sizeof pattern - 1, OF = 10 };

bool wf_sibling_named(const char *path, uint32_t *count) {
    size_t n = strlen(path);
    if (n <= PATTERN) {
        return false;
    }
    const char *end = path + n - PATTERN;
    for (size_t i = 0; i < PATTERN; i++) {
        bool digit = end[i] >= '0' && end[i] <= '9';
        if (pattern[i] == '#' ? !digit : end[i] != pattern[i]) {
            return false;
        }
    }
    *count = (uint32_t)strtoul(end + OF, NULL, 10);
    return *count != 0 && strtoul(end + 1, NULL, 10) != 0;
}

void wf_sibling_path(const char *path, uint32_t index, uint32_t count, char *out, size_t room) {
    snprintf(out, room, "%.*s-%05u-of-%05u.gguf", (int)(strlen(path) - PATTERN), path, index + 1, count);
}

wf_status wf_sibling_find(const char *path, uint32_t index, uint32_t count, char *out, size_t room, wf_error *err) {
    uint32_t named;
    const char *name = wf_path_base(path);
    if (!wf_sibling_named(path, &named)) {
        return wf_fail(err, WF_E_MISSING, name, -1,
                       "%s is part 1 of %u of a split model, and the others cannot be found by its name: give it back the one that "
                       "ends in -00001-of-%05u.gguf", name, count, count);
    }
    wf_sibling_path(path, index, count, out, room);
    if (!wf_path_exists(out)) {
        return wf_fail(err, WF_E_MISSING, wf_path_base(out), -1,
                       "part %u of %u of the model is missing: %s is not there; put all parts into one folder", index + 1, count, out);
    }
    return WF_OK;
}
