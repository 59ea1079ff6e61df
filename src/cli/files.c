/* stdio behind the engine's file interfaces; offsets are 64 bits wide everywhere. */
#define _FILE_OFFSET_BITS 64
#include "cli/files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/platform.h"

static wf_status refused(const char *verb, const char *path, wf_error *err) {
    const char *mend = errno == ENOENT   ? ": check the path"
                       : errno == EACCES ? ": check its permissions"
                       : errno == ENOSPC ? ": free some space"
                                         : "";
    return wf_fail(err, WF_E_IO, path, -1, "%s cannot be %s (%s)%s", path, verb, strerror(errno), mend);
}

bool wf_path_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

bool wf_path_same(const char *a, const char *b) {
    struct stat x, y;
    return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

bool wf_path_is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

const char *wf_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* ---- input ---- */

wf_status wf_input_open(wf_input_file *f, const char *path, wf_error *err) {
    memset(f, 0, sizeof *f);
    f->path = path;
    if (wf_path_is_folder(path)) {
        return wf_fail(err, WF_E_IO, path, -1, "%s is a folder: give the file in it", path);
    }
    f->file = fopen(path, "rb");
    if (f->file == NULL) {
        return refused("opened", path, err);
    }
    if (fseeko(f->file, 0, SEEK_END) == 0) {
        off_t size = ftello(f->file);
        f->seekable = size >= 0 && fseeko(f->file, 0, SEEK_SET) == 0;
        f->size = f->seekable ? (uint64_t)size : 0;
    }
    return WF_OK;
}

void wf_input_close(wf_input_file *f) {
    if (f->file != NULL) {
        fclose(f->file);
    }
    memset(f, 0, sizeof *f);
}

wf_status wf_input_read(wf_input_file *f, void *dst, size_t n, size_t *got, wf_error *err) {
    *got = fread(dst, 1, n, f->file);
    return *got == n || !ferror(f->file) ? WF_OK : refused("read", f->path, err);
}

static wf_status read_at(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    wf_input_file *f = user;
    if (fseeko(f->file, (off_t)offset, SEEK_SET) != 0) {
        return refused("read", f->path, err);
    }
    size_t got;
    WF_TRY(wf_input_read(f, dst, n, &got, err));
    return got == n
               ? WF_OK
               : wf_fail(
                     err, WF_E_TRUNCATED, f->path, (int64_t)(offset + got),
                     "%s ends after %llu bytes, where more were announced: it was cut off; download it again",
                     f->path, (unsigned long long)(offset + got));
}

wf_status wf_input_view(wf_input_file *f, wf_file *out, wf_error *err) {
    if (!f->seekable) {
        return wf_fail(err, WF_E_IO, f->path, -1,
                       "%s is a pipe or device, and this needs a file: save it first", f->path);
    }
    *out = (wf_file){f, f->size, read_at};
    return WF_OK;
}

wf_status wf_input_all(const char *path, uint64_t limit, char **out, size_t *n, wf_error *err) {
    wf_input_file f;
    *out = NULL;
    *n = 0;
    wf_status status = wf_input_open(&f, path, err);
    size_t capacity = f.size < limit ? (size_t)f.size + 2 : (size_t)limit + 2, got = 1;
    char *data = NULL;
    while (status == WF_OK && got != 0) { /* a pipe's length shows at its end only */
        capacity = f.seekable || data == NULL ? capacity : 2 * capacity;
        char *bigger = wf_realloc(data, capacity + 4096);
        if (bigger == NULL) {
            status = wf_fail(err, WF_E_MEMORY, path, -1, "no memory to read %s", path);
            break;
        }
        data = bigger;
        status = wf_input_read(&f, data + *n, capacity + 4095 - *n, &got, err);
        *n += got;
        if (status == WF_OK && *n > limit) {
            status = wf_fail(err, WF_E_UNSUPPORTED, path, -1,
                             "%s is larger than %llu bytes: is it the right file?", path,
                             (unsigned long long)limit);
        }
    }
    wf_input_close(&f);
    if (status != WF_OK) {
        wf_free(data);
        return status;
    }
    data[*n] = '\0';
    *out = data;
    return WF_OK;
}

/* ---- output ---- */

wf_status wf_output_begin(wf_output_file *f, const char *path, wf_error *err) {
    struct stat s;
    memset(f, 0, sizeof *f);
    size_t n = strlen(path);
    f->path = wf_alloc(n + 1);
    if (f->path == NULL) {
        return wf_fail(err, WF_E_MEMORY, path, -1, "no memory for a file name");
    }
    memcpy(f->path, path, n + 1);
    bool exists = stat(path, &s) == 0;
    if (exists && S_ISDIR(s.st_mode)) {
        return wf_fail(err, WF_E_IO, path, -1, "%s is a folder: give the name of a file in it", path);
    }
    if (!exists || S_ISREG(s.st_mode)) {
        f->part = wf_alloc(n + 24);
        if (f->part == NULL) {
            return wf_fail(err, WF_E_MEMORY, path, -1, "no memory for a file name");
        }
        snprintf(f->part, n + 24, "%s.part-%08x", path, (unsigned)wf_platform_token());
    }
    f->file = fopen(f->part != NULL ? f->part : path, "wb");
    if (f->file == NULL) {
        wf_status status = refused("written", path, err);
        wf_free(f->part);
        f->part = NULL;
        return status;
    }
    wf_platform_guard_file(f->part);
    return WF_OK;
}

static wf_status write_bytes(void *user, const void *bytes, size_t n, wf_error *err) {
    wf_output_file *f = user;
    if (wf_platform_interrupted()) {
        return wf_fail(err, WF_E_ABORTED, f->path, -1, "stopped before %s was complete; nothing was written",
                       f->path);
    }
    return fwrite(bytes, 1, n, f->file) == n ? WF_OK : refused("written", f->path, err);
}

wf_byte_sink wf_output_sink(wf_output_file *f) { return (wf_byte_sink){f, write_bytes}; }

wf_status wf_output_commit(wf_output_file *f, wf_error *err) {
    int failed = fclose(f->file);
    f->file = NULL;
    if (failed != 0 || (f->part != NULL && rename(f->part, f->path) != 0)) {
        return refused("written", f->path, err);
    }
    wf_platform_guard_file(NULL);
    wf_free(f->part);
    f->part = NULL;
    return WF_OK;
}

void wf_output_discard(wf_output_file *f) {
    if (f->file != NULL) {
        fclose(f->file);
    }
    if (f->part != NULL) {
        remove(f->part);
        wf_platform_guard_file(NULL);
    }
    wf_free(f->part);
    wf_free(f->path);
    memset(f, 0, sizeof *f);
}
