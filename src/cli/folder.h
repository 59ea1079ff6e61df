/* Names in folders. */
#ifndef WF_CLI_FOLDER_H
#define WF_CLI_FOLDER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct wf_names {
    wf_arena arena;
    const char **names; /* sorted */
    size_t count, capacity;
} wf_names;

/* The names in a folder, hidden ones left out; free in any case. *out is zeroed before. */
wf_status wf_names_read(const char *path, wf_names *out, wf_error *err);
void wf_names_free(wf_names *names);
/* .jpg, .jpeg, .png */
bool wf_is_picture_name(const char *name);
/* Paths of the pictures in a folder and up to three levels below, in the order of the names; at least one. */
wf_status wf_find_pictures(const char *folder, wf_names *out, wf_error *err);

#endif
