#include "convert/split.h"

#include <string.h>

#include "base/alloc.h"
#include "convert/chunks.h"

enum { PIECE = 1 << 16, ALIGNMENT = 32, TENSOR_FIXED = 24 /* lengths, type and offset in the table */ };

typedef struct part {
    uint64_t first, count; /* in the order of arrival */
    uint64_t header, data; /* bytes */
    wf_chunk_hashes chunks;
    uint8_t digest[WF_SHA256_BYTES]; /* of its header */
} part;

struct wf_split {
    const wf_file *file;
    wf_split_options o;
    wf_gguf_reader *reader;
    const wf_gguf *g;
    uint8_t *piece;
    uint32_t *k; /* wf.k in the order of arrival, or NULL */
    part *parts;
    uint32_t count;
    uint64_t done, total; /* of the work, for the bar */
};

static uint64_t aligned(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static wf_status no_memory(wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, "split", -1, "no memory to split the model; close other programs");
}

/* ---- reading the source ---- */

static wf_status read_piece(wf_split *s, const char *phase, uint64_t at, size_t n, wf_error *err) {
    if (s->o.poll != NULL) {
        WF_TRY(s->o.poll(s->o.user, err));
    }
    WF_TRY(s->file->read(s->file->user, at, s->piece, n, err));
    s->done += n;
    if (s->o.progress != NULL) {
        s->o.progress(s->o.user, phase, s->done, s->total);
    }
    return WF_OK;
}

/* The header, and every byte against the hashes that there are. */
static wf_status check_source(wf_split *s, wf_error *err) {
    wf_integrity x;
    WF_TRY(wf_gguf_reader_create(s->file->size, &s->reader, err));
    WF_TRY(wf_integrity_open(&x, s->o.pin, s->o.name, err));
    wf_status status = WF_OK;
    for (uint64_t at = 0; at < s->file->size && status == WF_OK;) {
        size_t n = s->file->size - at < PIECE ? (size_t)(s->file->size - at) : PIECE, used = 0;
        const wf_gguf *header = NULL;
        bool in_header = s->g == NULL;
        status = read_piece(s, "checking", at, n, err);
        if (status == WF_OK && in_header) {
            status = wf_gguf_reader_feed(s->reader, s->piece, n, &used, &header, err);
            status = status == WF_OK ? wf_integrity_bytes(&x, s->piece, used, err) : status;
            s->g = header;
            status = status == WF_OK && header != NULL ? wf_integrity_self(&x, header, err) : status;
            status = status == WF_OK && header != NULL ? wf_integrity_header(&x, header, err) : status;
        }
        size_t rest = in_header && header == NULL ? 0 : n - used;
        if (status == WF_OK && rest > 0) {
            status = wf_integrity_bytes(&x, s->piece + used, rest, err);
            status = status == WF_OK ? wf_gguf_reader_feed(s->reader, s->piece + used, rest, &used, &header, err) : status;
        }
        at += n;
    }
    status = status == WF_OK ? wf_gguf_reader_finish(s->reader, err) : status;
    status = status == WF_OK ? wf_integrity_finish(&x, err) : status;
    wf_integrity_close(&x);
    return status;
}

static wf_status check_kind(const wf_split *s, wf_error *err) {
    uint64_t count = 0;
    if (wf_gguf_get_u64(s->g, "split.count", &count) && count > 1) {
        return wf_fail(err, WF_E_UNSUPPORTED, "split.count", -1,
                       "%s is itself one of %llu parts: split the whole model, or convert the checkpoint again", s->o.name,
                       (unsigned long long)count);
    }
    return s->g->tensor_count != 0 ? WF_OK
                                   : wf_fail(err, WF_E_MISSING, s->o.name, -1, "%s holds no tensors: there is nothing to split",
                                             s->o.name);
}

/* ---- headers ---- */

static bool stays(const char *key) {
    return strncmp(key, "split.", 6) != 0 && strcmp(key, "general.alignment") != 0 && strcmp(key, WF_CHUNKS_KEY) != 0 &&
           strcmp(key, WF_HEADER_KEY) != 0 && strcmp(key, WF_PARTS_KEY) != 0;
}

static wf_status add_number(wf_gguf_writer *w, const char *key, wf_gguf_type type, uint64_t value, wf_error *err) {
    wf_gguf_kv kv = {{key, strlen(key)}, type, type, 0, {value}};
    return wf_gguf_add_kv(w, &kv, err);
}

/* The types are gguf-split's. */
static wf_status add_keys(const wf_split *s, uint32_t index, wf_gguf_writer *w, wf_error *err) {
    for (uint64_t i = 0; i < s->g->kv_count && index == 0; i++) {
        const wf_gguf_kv *kv = &s->g->kvs[i];
        if (s->k != NULL && strcmp(kv->key.text, "wf.k") == 0) {
            WF_TRY(wf_gguf_add_array(w, "wf.k", WF_GGUF_U32, s->k, s->g->tensor_count, err));
        } else if (stays(kv->key.text)) {
            WF_TRY(wf_gguf_add_kv(w, kv, err));
        }
    }
    WF_TRY(add_number(w, "split.no", WF_GGUF_U16, index, err));
    WF_TRY(add_number(w, "split.count", WF_GGUF_U16, s->count, err));
    return add_number(w, "split.tensors.count", WF_GGUF_I32, s->g->tensor_count, err);
}

static wf_status add_digests(const wf_split *s, wf_gguf_writer *w, wf_error *err) {
    void *all;
    WF_TRY(wf_alloc_array(&all, s->count, WF_SHA256_BYTES, WF_PARTS_KEY, err));
    for (uint32_t i = 1; i < s->count; i++) {
        memcpy((uint8_t *)all + (i - 1) * WF_SHA256_BYTES, s->parts[i].digest, WF_SHA256_BYTES);
    }
    uint64_t bytes = s->count > 0 ? (uint64_t)(s->count - 1) * WF_SHA256_BYTES : 0;
    wf_status status = wf_gguf_add_array(w, WF_PARTS_KEY, WF_GGUF_U8, all, bytes, err);
    wf_free(all);
    return status;
}

/* The header of a part; the data follow through the same writer, which the caller frees in any case. */
static wf_status begin_part(const wf_split *s, uint32_t index, const part *p, wf_byte_sink out, wf_gguf_writer **w, wf_error *err) {
    WF_TRY(wf_gguf_writer_create(w, err));
    WF_TRY(wf_gguf_add_seal(*w, WF_HEADER_KEY, err));
    WF_TRY(add_keys(s, index, *w, err));
    WF_TRY(wf_chunks_add_to(&p->chunks, *w, err));
    if (index == 0) {
        WF_TRY(add_digests(s, *w, err));
    }
    for (uint64_t i = p->first; i < p->first + p->count; i++) {
        const wf_gguf_tensor *t = &s->g->tensors[s->g->by_offset[i]];
        WF_TRY(wf_gguf_add_tensor(*w, t->name.text, t->type, t->n_dims, t->dims, err));
    }
    return wf_gguf_write_header(*w, out, err);
}

static wf_status write_tensors(wf_split *s, const part *p, const char *phase, wf_gguf_writer *w, wf_error *err) {
    for (uint64_t i = p->first; i < p->first + p->count; i++) {
        const wf_gguf_tensor *t = &s->g->tensors[s->g->by_offset[i]];
        for (uint64_t at = 0; at < t->bytes;) {
            size_t n = t->bytes - at < PIECE ? (size_t)(t->bytes - at) : PIECE;
            WF_TRY(read_piece(s, phase, s->g->data_start + t->offset + at, n, err));
            WF_TRY(wf_gguf_write_data(w, s->piece, n, err));
            at += n;
        }
    }
    return wf_gguf_write_end(w, err);
}

/* ---- the plan ---- */

static wf_status count_bytes(void *user, const void *bytes, size_t n, wf_error *err) {
    (void)bytes;
    (void)err;
    *(uint64_t *)user += n;
    return WF_OK;
}

/* Bytes of a part's header without tensors and hashes. */
static wf_status bare_header(wf_split *s, uint32_t index, uint64_t *bytes, wf_error *err) {
    part none;
    wf_gguf_writer *w = NULL;
    memset(&none, 0, sizeof none);
    *bytes = 0;
    wf_byte_sink sink = {bytes, count_bytes};
    wf_status status = begin_part(s, index, &none, sink, &w, err);
    wf_gguf_writer_free(w);
    return status;
}

static uint64_t table_bytes(const wf_gguf_tensor *t) { return TENSOR_FIXED + t->name.length + 8 * (uint64_t)t->n_dims; }

static uint64_t part_bytes(uint64_t bare, uint64_t table, uint64_t data) {
    return aligned(bare + table + (data + WF_CHUNK_BYTES - 1) / WF_CHUNK_BYTES * WF_SHA256_BYTES) + data;
}

/* Fills parts from the front; `bare` are the empty headers of the first and of the others. parts may be NULL, to count. */
static wf_status fill(const wf_split *s, const uint64_t bare[2], part *parts, uint32_t *count, wf_error *err) {
    uint64_t table = 0, data = 0, n = 0;
    *count = 0;
    for (uint64_t i = 0; i < s->g->tensor_count; i++) {
        const wf_gguf_tensor *t = &s->g->tensors[s->g->by_offset[i]];
        uint64_t empty = bare[*count > 0], more = table_bytes(t), size = aligned(t->bytes);
        if (n > 0 && part_bytes(empty, table + more, data + size) > s->o.limit) {
            if (++*count == WF_MOST_FILES) {
                return wf_fail(err, WF_E_ARGUMENT, "size", -1, "%s would become more than %d files: choose a larger size", s->o.name,
                               WF_MOST_FILES);
            }
            table = data = n = 0;
            empty = bare[1];
        }
        uint64_t least = part_bytes(empty, table + more, data + size);
        if (least > s->o.limit) {
            return wf_fail(err, WF_E_ARGUMENT, t->name.text, -1,
                           "a file with tensor \"%s\" takes %llu bytes, more than the %llu of --size, and tensors are not cut: choose "
                           "a larger size", t->name.text, (unsigned long long)least, (unsigned long long)s->o.limit);
        }
        table += more;
        data += size;
        n++;
        if (parts != NULL) {
            part *p = &parts[*count];
            p->first = i + 1 - n;
            p->count = n;
            p->data = data;
        }
    }
    ++*count;
    return WF_OK;
}

/* The first header grows with the number of parts: once more until they agree. */
static wf_status plan(wf_split *s, wf_error *err) {
    uint64_t bare[2];
    uint32_t count = 1, found = 0;
    WF_TRY(bare_header(s, 0, &bare[0], err));
    WF_TRY(bare_header(s, 1, &bare[1], err));
    for (uint64_t with = bare[0];; count = found) {
        const uint64_t now[2] = {with + (uint64_t)(count - 1) * WF_SHA256_BYTES, bare[1]};
        WF_TRY(fill(s, now, NULL, &found, err));
        if (found <= count) { /* one too many is possible at an edge; never one too few */
            memcpy(bare, now, sizeof bare);
            break;
        }
    }
    if (found == 1) {
        return wf_fail(err, WF_E_ARGUMENT, "size", -1, "%s fits into one file of that size (it has %llu bytes): nothing is to be split",
                       s->o.name, (unsigned long long)s->file->size);
    }
    void *parts;
    WF_TRY(wf_alloc_array(&parts, found, sizeof(part), "the parts", err));
    s->parts = parts;
    s->count = found;
    return fill(s, bare, s->parts, &found, err);
}

static wf_status arrival_k(wf_split *s, wf_error *err) {
    const wf_gguf_kv *kv = wf_gguf_find(s->g, "wf.k");
    void *k;
    if (kv == NULL || kv->count != s->g->tensor_count) {
        return WF_OK;
    }
    WF_TRY(wf_alloc_array(&k, kv->count, sizeof(uint32_t), "wf.k", err));
    s->k = k;
    for (uint64_t i = 0; i < kv->count; i++) {
        uint64_t logical = 0;
        wf_gguf_item_u64(kv, s->g->by_offset[i], &logical);
        s->k[i] = (uint32_t)logical;
    }
    return WF_OK;
}

/* ---- hashes ---- */

static wf_status hash_bytes(void *user, const void *bytes, size_t n, wf_error *err) {
    (void)err;
    wf_sha256_add(user, bytes, n);
    return WF_OK;
}

static wf_status hash_part(wf_split *s, uint32_t index, wf_error *err) {
    part *p = &s->parts[index];
    wf_gguf_writer *w = NULL;
    wf_sha256 hash;
    wf_chunks_begin(&p->chunks);
    wf_status status = begin_part(s, index, p, wf_chunks_sink(&p->chunks), &w, err);
    p->chunks.in_data = true;
    status = status == WF_OK ? write_tensors(s, p, "hashing", w, err) : status;
    status = status == WF_OK ? wf_chunks_end(&p->chunks, err) : status;
    wf_gguf_writer_free(w);
    WF_TRY(status);
    w = NULL;
    wf_sha256_init(&hash);
    wf_byte_sink sink = {&hash, hash_bytes};
    status = begin_part(s, index, p, sink, &w, err);
    wf_gguf_writer_free(w);
    wf_sha256_digest(&hash, p->digest);
    p->header = hash.length;
    return status;
}

static wf_status prepare(wf_split *s, wf_error *err) {
    WF_TRY(check_source(s, err));
    WF_TRY(check_kind(s, err));
    WF_TRY(arrival_k(s, err));
    WF_TRY(plan(s, err));
    for (uint32_t i = s->count; i-- > 0;) { /* the first last: it vouches for the others */
        WF_TRY(hash_part(s, i, err));
    }
    return WF_OK;
}

wf_status wf_split_create(const wf_file *file, const wf_split_options *o, wf_split **out, wf_error *err) {
    wf_split *s = wf_alloc_zero(sizeof *s);
    *out = NULL;
    if (s == NULL) {
        return no_memory(err);
    }
    s->file = file;
    s->o = *o;
    s->total = 3 * file->size;
    s->piece = wf_alloc(PIECE);
    wf_status status = s->piece != NULL ? prepare(s, err) : no_memory(err);
    if (status != WF_OK) {
        wf_split_free(s);
        return status;
    }
    *out = s;
    return WF_OK;
}

void wf_split_free(wf_split *s) {
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->count && s->parts != NULL; i++) {
        wf_free(s->parts[i].chunks.digests);
    }
    wf_free(s->parts);
    wf_free(s->k);
    wf_free(s->piece);
    wf_gguf_reader_free(s->reader);
    wf_free(s);
}

uint32_t wf_split_count(const wf_split *s) { return s->count; }

uint64_t wf_split_bytes(const wf_split *s, uint32_t part_index) {
    return s->parts[part_index].header + s->parts[part_index].data;
}

uint64_t wf_split_tensors(const wf_split *s, uint32_t part_index) { return s->parts[part_index].count; }

void wf_split_integrity(const wf_split *s, char text[WF_SHA256_TEXT]) { wf_sha256_text(s->parts[0].digest, text); }

wf_status wf_split_write(wf_split *s, uint32_t index, wf_byte_sink out, wf_error *err) {
    wf_gguf_writer *w = NULL;
    wf_status status = begin_part(s, index, &s->parts[index], out, &w, err);
    status = status == WF_OK ? write_tensors(s, &s->parts[index], "writing", w, err) : status;
    wf_gguf_writer_free(w);
    return status;
}
