/* Listing folders, and finding the pictures below one. */
#include "cli/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "cli/files.h"

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

wf_status wf_names_read(const char *path, wf_names *out, wf_error *err) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return wf_fail(err, WF_E_IO, path, -1, "the folder %s cannot be read: check the path", path);
    }
    wf_status status = WF_OK;
    for (struct dirent *e = readdir(dir); e != NULL && status == WF_OK; e = readdir(dir)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        if (out->count == out->capacity) {
            size_t wanted = 2 * out->capacity + 64;
            const char **bigger = wf_realloc(out->names, wanted * sizeof *bigger);
            status = bigger == NULL ? WF_E_MEMORY : WF_OK;
            out->names = bigger != NULL ? bigger : out->names;
            out->capacity = bigger != NULL ? wanted : out->capacity;
        }
        char *name = status == WF_OK ? wf_arena_string(&out->arena, e->d_name, strlen(e->d_name)) : NULL;
        if (name == NULL) {
            status = wf_fail(err, WF_E_MEMORY, path, -1, "no memory for the names in %s", path);
            break;
        }
        out->names[out->count++] = name;
    }
    closedir(dir);
    if (out->count != 0) {
        qsort(out->names, out->count, sizeof *out->names, by_text);
    }
    return status;
}

void wf_names_free(wf_names *l) {
    wf_free(l->names);
    wf_arena_free(&l->arena);
}

bool wf_is_picture_name(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot != NULL && i < 3; i++) {
        if (strcasecmp(dot, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static wf_status add_path(wf_names *out, const char *path, wf_error *err) {
    if (out->count == out->capacity) {
        size_t wanted = 2 * out->capacity + 64;
        const char **bigger = wf_realloc(out->names, wanted * sizeof *bigger);
        if (bigger == NULL) {
            return wf_fail(err, WF_E_MEMORY, path, -1, "no memory for the names of pictures");
        }
        out->names = bigger;
        out->capacity = wanted;
    }
    out->names[out->count] = wf_arena_string(&out->arena, path, strlen(path));
    return out->names[out->count++] != NULL ? WF_OK : wf_fail(err, WF_E_MEMORY, path, -1, "no memory for the names of pictures");
}

static wf_status find_below(const char *folder, int depth, wf_names *out, wf_error *err) {
    wf_names names;
    char path[4096];
    memset(&names, 0, sizeof names);
    wf_status status = wf_names_read(folder, &names, err);
    for (size_t i = 0; i < names.count && status == WF_OK; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, names.names[i]) >= (int)sizeof path) {
            continue;
        }
        if (wf_path_is_folder(path)) {
            status = depth > 0 ? find_below(path, depth - 1, out, err) : WF_OK;
        } else if (wf_is_picture_name(names.names[i])) {
            status = add_path(out, path, err);
        }
    }
    wf_names_free(&names);
    return status;
}

wf_status wf_find_pictures(const char *folder, wf_names *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    WF_TRY(find_below(folder, 3, out, err));
    return out->count != 0 ? WF_OK
                           : wf_fail(err, WF_E_MISSING, folder, -1, "%s holds no pictures: .jpg, .jpeg or .png files are wanted there or "
                                     "in folders below", folder);
}
