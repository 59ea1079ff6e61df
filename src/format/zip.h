/* Zip archives as torch.save writes them: the central directory (zip64 included) and the place of
   stored entries. Compressed and encrypted entries are refused when they are asked for; checksums
   are not looked at. */
#ifndef WF_FORMAT_ZIP_H
#define WF_FORMAT_ZIP_H

#include "format/source.h"

typedef struct wf_zip_entry {
    const char *name;
    uint64_t header; /* file offset of the local header */
    uint64_t bytes, packed_bytes;
    uint16_t method, flags;
} wf_zip_entry;

typedef struct wf_zip {
    wf_file file;
    wf_zip_entry *entries; /* in the order of the directory */
    uint64_t count;
    uint64_t directory; /* file offset behind the last byte that an entry may use */
    uint32_t *by_name;
} wf_zip;

wf_status wf_zip_open(wf_arena *arena, wf_file file, wf_zip *out, wf_error *err);
const wf_zip_entry *wf_zip_find(const wf_zip *zip, const char *name); /* NULL when absent */
/* The file offset of the entry's bytes; fails unless the entry is stored as it is and lies inside
 * the file. */
wf_status wf_zip_locate(const wf_zip *zip, const wf_zip_entry *entry, uint64_t *at, wf_error *err);

#endif
