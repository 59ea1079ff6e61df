/* Fuzz target of the PyTorch containers. Input that begins like a zip archive or like the legacy
   container is opened as one; anything else is taken for the data.pkl of a small archive with three storages, so that the
   pickle machine and the checks on tensors are reached without guessing zip records. */
#include "checkpoint.h"

static size_t put(uint8_t *out, size_t at, const void *p, size_t n) {
    memcpy(out + at, p, n);
    return at + n;
}

static size_t put_int(uint8_t *out, size_t at, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        out[at++] = (uint8_t)(v >> 8 * i);
    }
    return at;
}

static void try_pickle(const uint8_t *pickle, size_t size) {
    static const uint8_t storage[64] = {1, 2, 3, 0, 0, 0, 128, 63, 255, 255, 0, 124, 7};
    struct {
        const char *name;
        const uint8_t *bytes;
        size_t n, header;
    } entries[] = {{"a/data.pkl", pickle, size, 0},
                   {"a/data/0", storage, 64, 0},
                   {"a/data/1", storage, 8, 0},
                   {"a/data/2", storage, 0, 0}};
    uint8_t *zip = malloc(size + 1024);
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        entries[i].header = at;
        at = put(zip, at, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
        at = put_int(zip, at, entries[i].n, 4);
        at = put_int(zip, at, entries[i].n, 4);
        at = put_int(zip, at, strlen(entries[i].name), 4);
        at = put(zip, at, entries[i].name, strlen(entries[i].name));
        at = entries[i].n != 0 ? put(zip, at, entries[i].bytes, entries[i].n) : at;
    }
    size_t directory = at;
    for (int i = 0; i < 4; i++) {
        at = put(zip, at, "PK\1\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        at = put_int(zip, at, entries[i].n, 4);
        at = put_int(zip, at, entries[i].n, 4);
        at = put_int(zip, at, strlen(entries[i].name), 2);
        at = put_int(zip, at, 0, 8);
        at = put_int(zip, at, 0, 4);
        at = put_int(zip, at, entries[i].header, 4);
        at = put(zip, at, entries[i].name, strlen(entries[i].name));
    }
    size_t end = at;
    at = put(zip, at, "PK\5\6\0\0\0\0\4\0\4\0", 12);
    at = put_int(zip, at, end - directory, 4);
    at = put_int(zip, at, directory, 4);
    at = put_int(zip, at, 0, 2);
    try_checkpoint(zip, at);
    free(zip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char legacy[] = "\x80\2\x8a\nl\xfc\x9c";
    if (size >= 7 && (memcmp(data, "PK", 2) == 0 || memcmp(data, legacy, 7) == 0)) {
        try_checkpoint(data, size);
    } else {
        try_pickle(data, size);
    }
    return 0;
}
