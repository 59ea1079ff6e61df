/* Zip by its central directory (APPNOTE 4.3): the end record is searched from the back, the zip64
   record taken where the end record says so, every entry's name, size and place copied into the
   arena. Nothing is trusted: counts are bounded by the directory's bytes, the directory and each
   entry by the file, and no name may occur twice. */
#include "format/zip.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "format/sort.h"

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    LONGEST_COMMENT = 65535,
    STORED = 0,
    ENCRYPTED = 1
};
#define LARGEST_DIRECTORY (UINT64_C(256) << 20)

typedef struct place {
    uint64_t count, at, bytes; /* of the central directory */
} place;

static wf_status damaged(const char *what, int64_t offset, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, "zip", offset,
                   "%s: the zip archive is damaged or was cut off; download it again", what);
}

/* Offset of the end record inside the file's tail, searched from the back; -1 when there is none.
 */
static int64_t find_end(const uint8_t *tail, size_t n) {
    for (size_t at = n - END_BYTES + 1; at-- > 0;) {
        if (wf_load_u32(tail + at) == 0x06054b50 &&
            at + END_BYTES + wf_load_u16(tail + at + 20) == n) {
            return (int64_t)at;
        }
    }
    return -1;
}

/* The zip64 end record, which the locator right before the end record points at. */
static wf_status read_end64(const wf_zip *zip, uint64_t end, place *out, wf_error *err) {
    uint8_t locator[LOCATOR_BYTES], record[END64_BYTES];
    const wf_file *f = &zip->file;
    if (end < LOCATOR_BYTES + END64_BYTES) {
        return damaged("there is no room for its zip64 record", (int64_t)end, err);
    }
    WF_TRY(f->read(f->user, end - LOCATOR_BYTES, locator, LOCATOR_BYTES, err));
    uint64_t at = wf_load_u64(locator + 8);
    if (wf_load_u32(locator) != 0x07064b50 || at > end - LOCATOR_BYTES - END64_BYTES) {
        return damaged("its zip64 locator is missing or points outside the file", (int64_t)end,
                       err);
    }
    WF_TRY(f->read(f->user, at, record, END64_BYTES, err));
    if (wf_load_u32(record) != 0x06064b50) {
        return damaged("its zip64 record is missing", (int64_t)at, err);
    }
    out->count = wf_load_u64(record + 32);
    out->bytes = wf_load_u64(record + 40);
    out->at = wf_load_u64(record + 48);
    return WF_OK;
}

static wf_status find_directory(const wf_zip *zip, place *out, wf_error *err) {
    const wf_file *f = &zip->file;
    size_t n =
        f->size < LONGEST_COMMENT + END_BYTES ? (size_t)f->size : LONGEST_COMMENT + END_BYTES;
    if (n < END_BYTES) {
        return damaged("it is too short for a directory", (int64_t)f->size, err);
    }
    uint8_t *tail = wf_alloc(n);
    if (tail == NULL) {
        return wf_fail(err, WF_E_MEMORY, "zip", -1,
                       "no memory for the zip directory; close other programs");
    }
    wf_status s = f->read(f->user, f->size - n, tail, n, err);
    int64_t at = s == WF_OK ? find_end(tail, n) : -1;
    if (at >= 0) {
        const uint8_t *end = tail + at;
        uint64_t end_at = f->size - n + (uint64_t)at;
        out->count = wf_load_u16(end + 10);
        out->bytes = wf_load_u32(end + 12);
        out->at = wf_load_u32(end + 16);
        if (out->count == 0xffff || out->bytes == 0xffffffff || out->at == 0xffffffff) {
            s = read_end64(zip, end_at, out, err);
        }
        if (s == WF_OK && (out->at > end_at || out->bytes > end_at - out->at)) {
            s = damaged("its directory lies outside the file", (int64_t)end_at, err);
        }
    } else if (s == WF_OK) {
        s = wf_fail(
            err, WF_E_TRUNCATED, "zip", (int64_t)f->size,
            "the zip archive has no directory at its end: it was cut off; download it again");
    }
    wf_free(tail);
    return s;
}

/* Sizes and place that do not fit 32 bits stand in the extra field 1, those and only those, in this
 * order. */
static bool take_zip64(wf_zip_entry *e, const uint8_t *extra, size_t n) {
    wf_bytes b = wf_bytes_of(extra, n);
    while (wf_bytes_left(&b) >= 4) {
        uint16_t id = wf_bytes_u16(&b), size = wf_bytes_u16(&b);
        const uint8_t *field = wf_bytes_take(&b, size);
        if (field == NULL) {
            return false;
        }
        if (id == 1) {
            wf_bytes f = wf_bytes_of(field, size);
            e->bytes = e->bytes == 0xffffffff ? wf_bytes_u64(&f) : e->bytes;
            e->packed_bytes = e->packed_bytes == 0xffffffff ? wf_bytes_u64(&f) : e->packed_bytes;
            e->header = e->header == 0xffffffff ? wf_bytes_u64(&f) : e->header;
            return !f.failed;
        }
    }
    return true;
}

static wf_status take_entry(wf_arena *arena, wf_bytes *b, wf_zip_entry *e, wf_error *err) {
    const uint8_t *p = wf_bytes_take(b, ENTRY_BYTES);
    if (p == NULL || wf_load_u32(p) != 0x02014b50) {
        return damaged("its directory ends early or holds something else", -1, err);
    }
    e->flags = wf_load_u16(p + 8);
    e->method = wf_load_u16(p + 10);
    e->packed_bytes = wf_load_u32(p + 20);
    e->bytes = wf_load_u32(p + 24);
    e->header = wf_load_u32(p + 42);
    size_t name_bytes = wf_load_u16(p + 28), extra_bytes = wf_load_u16(p + 30),
           comment_bytes = wf_load_u16(p + 32);
    const uint8_t *name = wf_bytes_take(b, name_bytes), *extra = wf_bytes_take(b, extra_bytes);
    if (wf_bytes_take(b, comment_bytes) == NULL || name == NULL || extra == NULL ||
        memchr(name, 0, name_bytes) != NULL || !take_zip64(e, extra, extra_bytes)) {
        return damaged("an entry of its directory is broken", -1, err);
    }
    e->name = wf_arena_string(arena, (const char *)name, name_bytes);
    return e->name != NULL ? WF_OK
                           : wf_fail(err, WF_E_MEMORY, "zip", -1,
                                     "no memory for the zip directory; close other programs");
}

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const wf_zip_entry *entries = context;
    return strcmp(entries[a].name, entries[b].name);
}

static wf_status take_directory(wf_arena *arena, wf_zip *zip, const uint8_t *bytes,
                                const place *where, wf_error *err) {
    if (where->count > where->bytes / ENTRY_BYTES) {
        return damaged("its directory is too short for its entries", (int64_t)where->at, err);
    }
    zip->entries = wf_arena_alloc(arena, ((size_t)where->count + 1) * sizeof *zip->entries);
    zip->by_name = wf_arena_alloc(arena, ((size_t)where->count + 1) * sizeof *zip->by_name);
    if (zip->entries == NULL || zip->by_name == NULL) {
        return wf_fail(err, WF_E_MEMORY, "zip", -1,
                       "no memory for the zip directory; close other programs");
    }
    wf_bytes b = wf_bytes_of(bytes, (size_t)where->bytes);
    for (uint32_t i = 0; i < where->count; i++) {
        WF_TRY(take_entry(arena, &b, &zip->entries[i], err));
        zip->by_name[i] = i;
        zip->count++;
    }
    wf_sort_indices(zip->by_name, (size_t)zip->count, by_name, zip->entries);
    for (uint64_t i = 1; i < zip->count; i++) {
        const char *name = zip->entries[zip->by_name[i]].name;
        if (by_name(zip->entries, zip->by_name[i - 1], zip->by_name[i]) == 0) {
            return wf_fail(err, WF_E_FORMAT, name, -1,
                           "the zip archive holds two entries named \"%s\": it is badly made or "
                           "meant to do harm; don't use it",
                           name);
        }
    }
    return WF_OK;
}

wf_status wf_zip_open(wf_arena *arena, wf_file file, wf_zip *out, wf_error *err) {
    place where = {0, 0, 0};
    memset(out, 0, sizeof *out);
    out->file = file;
    WF_TRY(find_directory(out, &where, err));
    if (where.bytes > LARGEST_DIRECTORY) {
        return damaged("its directory is larger than 256 MiB", (int64_t)where.at, err);
    }
    out->directory = where.at;
    uint8_t *bytes = wf_alloc((size_t)where.bytes);
    if (bytes == NULL) {
        return wf_fail(err, WF_E_MEMORY, "zip", -1,
                       "no memory for the zip directory; close other programs");
    }
    wf_status s = file.read(file.user, where.at, bytes, (size_t)where.bytes, err);
    s = s == WF_OK ? take_directory(arena, out, bytes, &where, err) : s;
    wf_free(bytes);
    return s;
}

const wf_zip_entry *wf_zip_find(const wf_zip *zip, const char *name) {
    uint64_t low = 0, high = zip->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const wf_zip_entry *e = &zip->entries[zip->by_name[middle]];
        int order = strcmp(e->name, name);
        if (order == 0) {
            return e;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

wf_status wf_zip_locate(const wf_zip *zip, const wf_zip_entry *e, uint64_t *at, wf_error *err) {
    uint8_t local[LOCAL_BYTES];
    if (e->method != STORED || (e->flags & ENCRYPTED) != 0 || e->packed_bytes != e->bytes) {
        return wf_fail(err, WF_E_UNSUPPORTED, e->name, -1,
                       "the zip entry \"%s\" is %s, and torch.save never does that: the file was "
                       "zipped again; unzip it and "
                       "save it in PyTorch once more",
                       e->name, (e->flags & ENCRYPTED) != 0 ? "encrypted" : "compressed");
    }
    if (zip->directory < LOCAL_BYTES || e->header > zip->directory - LOCAL_BYTES) {
        return damaged("an entry lies outside the file", (int64_t)zip->file.size, err);
    }
    WF_TRY(zip->file.read(zip->file.user, e->header, local, LOCAL_BYTES, err));
    *at = e->header + LOCAL_BYTES + wf_load_u16(local + 26) + wf_load_u16(local + 28);
    if (wf_load_u32(local) != 0x04034b50 || *at > zip->directory ||
        e->bytes > zip->directory - *at) {
        return damaged("an entry lies outside the file or has no header", (int64_t)e->header, err);
    }
    return WF_OK;
}
