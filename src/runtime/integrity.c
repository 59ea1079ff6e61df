/* Chunk hashes and pins (integrity.h). */
#include "runtime/integrity.h"

#include <string.h>

#include "base/alloc.h"

enum { TOKEN = WF_SHA256_TEXT - 1 };

uint64_t wf_integrity_data_end(const wf_gguf *g) {
    uint64_t bytes = g->total_bytes > g->data_start ? g->total_bytes - g->data_start : 0;
    return g->data_start + (bytes + g->alignment - 1) / g->alignment * g->alignment;
}

/* The next "sha256-…" of a list of hashes separated by white space, or NULL; options behind a
 * question mark don't count. */
static const char *next_token(const char *p) {
    static const char space[] = " \t\r\n\f";
    for (p += strspn(p, space); *p != '\0'; p += strspn(p, space)) {
        size_t n = strcspn(p, " \t\r\n\f?");
        if (n == TOKEN && memcmp(p, "sha256-", 7) == 0 && p[TOKEN - 1] == '=' &&
            strspn(p + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") ==
                TOKEN - 8) {
            return p;
        }
        p += strcspn(p, space);
    }
    return NULL;
}

uint32_t wf_integrity_pins(const char *pin) {
    uint32_t count = 0;
    for (const char *p = next_token(pin); p != NULL; p = next_token(p + TOKEN)) {
        count++;
    }
    return count;
}

const char *wf_integrity_nth(const char *pin, uint32_t index, char text[WF_SHA256_TEXT]) {
    const char *p = next_token(pin);
    for (; p != NULL && index > 0; index--) {
        p = next_token(p + TOKEN);
    }
    memcpy(text, p != NULL ? p : "", p != NULL ? TOKEN : 1);
    text[p != NULL ? TOKEN : 0] = '\0';
    return text;
}

static bool pin_holds(const wf_integrity *x, const char *got) {
    for (const char *p = next_token(x->pin); p != NULL; p = next_token(p + TOKEN)) {
        if (memcmp(p, got, TOKEN) == 0) {
            return true;
        }
    }
    return false;
}

wf_status wf_integrity_open(wf_integrity *x, const char *pin, const char *file, wf_error *err) {
    memset(x, 0, sizeof *x);
    x->file = file;
    wf_sha256_init(&x->hash);
    wf_sha256_init(&x->zeroed);
    if (pin == NULL || *pin == '\0') {
        return WF_OK;
    }
    if (next_token(pin) == NULL) {
        return wf_fail(err, WF_E_ARGUMENT, "integrity", -1,
                       "the integrity value \"%.100s\" holds no SHA-256: \"sha256-\" and 44 "
                       "characters of base64 are wanted, as "
                       "`wasmformer inspect` prints them",
                       pin);
    }
    x->pin_memory = wf_alloc(strlen(pin) + 1);
    if (x->pin_memory == NULL) {
        return wf_fail(err, WF_E_MEMORY, "integrity", -1, "no memory for the integrity value");
    }
    memcpy(x->pin_memory, pin, strlen(pin) + 1);
    x->pin = x->pin_memory;
    return WF_OK;
}

void wf_integrity_close(wf_integrity *x) {
    wf_free(x->pin_memory);
    x->pin = x->pin_memory = NULL;
}

static void digest_text(const wf_integrity *x, char text[WF_SHA256_TEXT]) {
    uint8_t digest[WF_SHA256_BYTES];
    wf_sha256_digest(&x->hash, digest);
    wf_sha256_text(digest, text);
}

static wf_status check_pin(const wf_integrity *x, const char *what, const char *got,
                           wf_error *err) {
    if (x->pin == NULL || pin_holds(x, got)) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_INTEGRITY, "integrity", -1,
                   "%s of %s is not what was promised: expected %.120s, got %s; download it again, "
                   "or correct the integrity value if "
                   "the file was replaced on purpose",
                   what, x->file, x->pin, got);
}

static wf_status read_table(wf_integrity *x, const wf_gguf_kv *kv, wf_error *err) {
    uint64_t wanted = (x->data_end - x->data_start + WF_CHUNK_BYTES - 1) / WF_CHUNK_BYTES;
    if (kv->type != WF_GGUF_ARRAY || kv->element != WF_GGUF_U8 ||
        kv->count != wanted * WF_SHA256_BYTES) {
        return wf_fail(err, WF_E_FORMAT, WF_CHUNKS_KEY, -1,
                       WF_CHUNKS_KEY " of %s is not a list of %llu SHA-256 digests, one for each "
                                     "MiB of its data; convert the "
                                     "checkpoint again",
                       x->file, (unsigned long long)wanted);
    }
    x->chunks = kv->value.items;
    x->count = wanted;
    return WF_OK;
}

static bool has_seal(const wf_gguf *g) {
    const wf_gguf_kv *kv = g->kvs;
    return g->kv_count > 0 && strcmp(kv->key.text, WF_HEADER_KEY) == 0 && kv->type == WF_GGUF_ARRAY &&
           kv->element == WF_GGUF_U8 && kv->count == WF_SHA256_BYTES;
}

wf_status wf_integrity_self(wf_integrity *x, const wf_gguf *gguf, wf_error *err) {
    uint8_t digest[WF_SHA256_BYTES];
    x->data = true;
    if (has_seal(gguf)) {
        wf_sha256_digest(&x->zeroed, digest);
        if (memcmp(digest, gguf->kvs[0].value.items, sizeof digest) != 0) {
            return wf_fail(err, WF_E_INTEGRITY, WF_HEADER_KEY, 0,
                           "the header of %s (bytes 0 to %llu) is damaged: it does not match its own "
                           "hash (" WF_HEADER_KEY "); download it again",
                           x->file, (unsigned long long)x->position - 1);
        }
    } else if (wf_gguf_find(gguf, WF_CHUNKS_KEY) != NULL) {
        return wf_fail(err, WF_E_INTEGRITY, WF_HEADER_KEY, 0,
                       "the header of %s (bytes 0 to %llu) is damaged or of an older version: it has "
                       "hashes of the data (" WF_CHUNKS_KEY "), but does not begin with its own "
                       "(" WF_HEADER_KEY "); download it again, or convert the checkpoint again",
                       x->file, (unsigned long long)x->position - 1);
    }
    return WF_OK;
}

wf_status wf_integrity_length(const wf_integrity *x, uint64_t bytes, wf_error *err) {
    if (x->trust != WF_TRUST_CHUNKS || bytes <= x->data_end) {
        return WF_OK;
    }
    return wf_fail(err, WF_E_INTEGRITY, x->file, (int64_t)x->data_end,
                   "%s goes on behind the %llu bytes that its header describes: it is damaged, or "
                   "something was put behind it; download it again",
                   x->file, (unsigned long long)x->data_end);
}

wf_status wf_integrity_header(wf_integrity *x, const wf_gguf *gguf, wf_error *err) {
    const wf_gguf_kv *kv = wf_gguf_find(gguf, WF_CHUNKS_KEY);
    x->data_start = gguf->data_start;
    x->data_end = wf_integrity_data_end(gguf);
    if (gguf->tensor_count == 0) { /* nor padding */
        x->data_start = x->data_end = x->position;
    }
    if (kv == NULL) {
        x->trust = x->pin != NULL ? WF_TRUST_FILE : WF_TRUST_NONE;
        x->verified = x->pin != NULL ? 0 : UINT64_MAX;
        return WF_OK;
    }
    digest_text(x, x->header);
    WF_TRY(check_pin(x, "the header", x->header, err));
    WF_TRY(read_table(x, kv, err));
    x->trust = WF_TRUST_CHUNKS;
    x->verified = x->data_start;
    wf_sha256_init(&x->hash);
    return WF_OK;
}

static uint64_t chunk_end(const wf_integrity *x) {
    uint64_t end = x->data_start + (x->current + 1) * WF_CHUNK_BYTES;
    return end < x->data_end ? end : x->data_end;
}

static wf_status end_chunk(wf_integrity *x, const uint8_t digest[WF_SHA256_BYTES], wf_error *err) {
    uint64_t begin = x->data_start + x->current * WF_CHUNK_BYTES, end = chunk_end(x);
    if (memcmp(digest, x->chunks + x->current * WF_SHA256_BYTES, WF_SHA256_BYTES) != 0) {
        return wf_fail(err, WF_E_INTEGRITY, WF_CHUNKS_KEY, (int64_t)begin,
                       "chunk %llu of %llu of %s (bytes %llu to %llu) is not what was published: "
                       "it was damaged on its way or on the "
                       "disk; download it again",
                       (unsigned long long)x->current + 1, (unsigned long long)x->count, x->file,
                       (unsigned long long)begin, (unsigned long long)end - 1);
    }
    x->current++;
    x->verified = end;
    return WF_OK;
}

wf_status wf_integrity_digest(wf_integrity *x, const uint8_t digest[WF_SHA256_BYTES],
                              wf_error *err) {
    if (!x->outside || x->trust != WF_TRUST_CHUNKS || x->current >= x->count ||
        chunk_end(x) > x->position) {
        return wf_fail(err, WF_E_STATE, WF_CHUNKS_KEY, -1,
                       "the digest of chunk %llu was given before its bytes",
                       (unsigned long long)x->current + 1);
    }
    return end_chunk(x, digest, err);
}

static uint64_t within(uint64_t place, uint64_t from, uint64_t n) {
    return place <= from ? 0 : place - from < n ? place - from : n;
}

/* The next bytes of the header, those of its own hash as zeros. */
static void hash_zeroed(wf_integrity *x, const uint8_t *p, size_t n) {
    static const uint8_t zeros[WF_SHA256_BYTES];
    size_t from = (size_t)within(WF_HEADER_AT, x->position, n);
    size_t to = (size_t)within(WF_HEADER_AT + WF_SHA256_BYTES, x->position, n);
    wf_sha256_add(&x->zeroed, p, from);
    wf_sha256_add(&x->zeroed, zeros, to - from);
    wf_sha256_add(&x->zeroed, p + to, n - to);
}

wf_status wf_integrity_bytes(wf_integrity *x, const void *bytes, size_t n, wf_error *err) {
    const uint8_t *p = bytes;
    if (!x->data) {
        hash_zeroed(x, p, n);
    }
    if (x->trust != WF_TRUST_CHUNKS) {
        if (x->verified == 0) { /* the header, or a file that is pinned whole */
            wf_sha256_add(&x->hash, p, n);
        }
        x->position += n;
        return WF_OK;
    }
    while (n > 0 && x->position < x->data_end && !x->outside) {
        uint64_t end = chunk_end(x);
        size_t piece = n < end - x->position ? n : (size_t)(end - x->position);
        wf_sha256_add(&x->hash, p, piece);
        p += piece;
        n -= piece;
        x->position += piece;
        if (x->position == end) {
            uint8_t digest[WF_SHA256_BYTES];
            wf_sha256_digest(&x->hash, digest);
            wf_sha256_init(&x->hash);
            WF_TRY(end_chunk(x, digest, err));
        }
    }
    x->position += n; /* hashed outside, or behind the data */
    return wf_integrity_length(x, x->position, err);
}

wf_status wf_integrity_finish(wf_integrity *x, wf_error *err) {
    char got[WF_SHA256_TEXT];
    if (x->trust == WF_TRUST_CHUNKS && x->position < x->data_end) {
        return wf_fail(err, WF_E_TRUNCATED, x->file, (int64_t)x->position,
                       "%s ends after %llu of %llu bytes: it was cut off; download it again",
                       x->file, (unsigned long long)x->position, (unsigned long long)x->data_end);
    }
    if (x->trust == WF_TRUST_CHUNKS && x->current < x->count) {
        return wf_fail(err, WF_E_STATE, WF_CHUNKS_KEY, -1,
                       "%s has ended, but %llu of its %llu chunks were not verified", x->file,
                       (unsigned long long)(x->count - x->current), (unsigned long long)x->count);
    }
    if (x->trust == WF_TRUST_FILE) {
        digest_text(x, got);
        WF_TRY(check_pin(x, "the content", got, err));
        x->verified = UINT64_MAX;
    }
    return WF_OK;
}
