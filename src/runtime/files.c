/* Feeding one file or several (files.h). */
#include "runtime/files.h"

#include <string.h>

#include "base/alloc.h"
#include "format/sort.h"
#include "runtime/model.h"

static wf_model_file *current(const wf_files *f) { return f->list[f->current]; }

static wf_status no_memory(const char *what, wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, what, -1, "no memory for the files of the model; close other programs");
}

/* A sentence about a file's content must say whose it is. */
static wf_status blame(const wf_model_file *file, const wf_error *why, wf_error *err) {
    bool named = strstr(why->text, file->name) != NULL;
    return named ? wf_fail(err, why->code, why->where, why->offset, "%s", why->text)
                 : wf_fail(err, why->code, why->where, why->offset, "%s: %s", file->name, why->text);
}

static wf_status begin(wf_model *m, const char *name, uint64_t bytes, const char *pin, wf_error *err) {
    wf_files *f = &m->files;
    wf_model_file *file = wf_arena_alloc(&m->arena, sizeof *file);
    if (file == NULL) {
        return no_memory(name, err);
    }
    memset(file, 0, sizeof *file);
    strncpy(file->name, name, sizeof file->name - 1);
    file->model = m;
    file->bytes = bytes;
    f->list[f->opened++] = file;
    WF_TRY(wf_gguf_reader_create(bytes, &file->reader, err));
    return wf_integrity_open(&file->integrity, pin, file->name, err);
}

wf_status wf_files_open(wf_model *m, const char *pin, uint64_t bytes, wf_error *err) {
    wf_files *f = &m->files;
    f->list = wf_arena_alloc(&m->arena, sizeof(wf_model_file *));
    if (f->list == NULL) {
        return no_memory(m->file_name, err);
    }
    f->count = 1;
    if (pin != NULL && *pin != '\0') {
        f->pin = wf_alloc(strlen(pin) + 1);
        if (f->pin == NULL) {
            return no_memory("integrity", err);
        }
        memcpy(f->pin, pin, strlen(pin) + 1);
    }
    WF_TRY(begin(m, m->file_name, bytes, pin, err));
    f->list[0]->integrity.outside = m->options.digests_outside;
    return WF_OK;
}

void wf_files_close(wf_files *f) {
    for (uint32_t i = 0; i < f->opened; i++) {
        wf_integrity_close(&f->list[i]->integrity);
        wf_gguf_reader_free(f->list[i]->reader);
    }
    wf_free(f->pin);
    memset(f, 0, sizeof *f);
}

/* ---- the first round: headers ---- */

/* The first header says how many parts there are, and what pins them. */
static wf_status split_begins(wf_model *m, const wf_gguf *g, wf_error *err) {
    wf_files *f = &m->files;
    wf_model_file *first = f->list[0];
    uint64_t count = 1, number = 0;
    if (wf_gguf_find(g, "split.count") == NULL) {
        return WF_OK;
    }
    if (!wf_gguf_get_u64(g, "split.count", &count) || count > WF_MOST_FILES) {
        return wf_fail(err, WF_E_FORMAT, "split.count", -1,
                       "%s does not say of how many parts it is one (split.count must be a whole number up to %d): it is damaged; "
                       "download it again", first->name, WF_MOST_FILES);
    }
    if (count <= 1) {
        return WF_OK;
    }
    if (!wf_gguf_get_u64(g, "split.no", &number) || number != 0) {
        return wf_fail(err, WF_E_ARGUMENT, "split.no", -1,
                       "%s is part %llu of %llu of a split model: begin with part 1, whose name ends in -00001-of-%05llu.gguf",
                       first->name, (unsigned long long)number + 1, (unsigned long long)count, (unsigned long long)count);
    }
    wf_model_file **list = wf_arena_alloc(&m->arena, (size_t)count * sizeof(wf_model_file *));
    if (list == NULL) {
        return no_memory(first->name, err);
    }
    list[0] = first;
    f->list = list;
    f->count = (uint32_t)count;
    first->integrity.outside = false;
    if (f->pin == NULL || wf_gguf_find(g, WF_PARTS_KEY) != NULL) {
        return WF_OK;
    }
    uint32_t pins = wf_integrity_pins(f->pin);
    if (pins != f->count) {
        return wf_fail(err, WF_E_ARGUMENT, "integrity", -1,
                       "%s is part 1 of %u, which hold no hashes of each other (%s): integrity takes %u values for it, one for each "
                       "part in their order, and %u were given; `wasmformer inspect` prints them", first->name, f->count,
                       WF_PARTS_KEY, f->count, pins);
    }
    first->integrity.pin = wf_integrity_nth(f->pin, 0, first->integrity.own);
    return WF_OK;
}

/* The header of another part against the first one's. */
static wf_status check_part(const wf_files *f, const wf_model_file *file, wf_error *err) {
    const wf_model_file *first = f->list[0];
    const char *a = file->name, *b = first->name;
    uint64_t number, count, here, there;
    if (!wf_gguf_get_u64(file->gguf, "split.no", &number) || !wf_gguf_get_u64(file->gguf, "split.count", &count)) {
        return wf_fail(err, WF_E_FORMAT, "split.count", -1,
                       "%s is no part of a split model, and stands where part %u of %u of %s belongs: put the parts of one download "
                       "together again", a, f->current + 1, f->count, b);
    }
    if (count != f->count) {
        return wf_fail(err, WF_E_FORMAT, "split.count", -1,
                       "%s is one of %llu parts, and %s one of %u: they belong to different models; put the parts of one download "
                       "together again", a, (unsigned long long)count, b, f->count);
    }
    if (number != f->current) {
        return wf_fail(err, WF_E_FORMAT, "split.no", -1,
                       "%s is part %llu of %u, and stands where part %u belongs: give the parts in their order, under their own names",
                       a, (unsigned long long)number + 1, f->count, f->current + 1);
    }
    bool said = wf_gguf_get_u64(first->gguf, "split.tensors.count", &there);
    if (said && (!wf_gguf_get_u64(file->gguf, "split.tensors.count", &here) || here != there)) {
        return wf_fail(err, WF_E_FORMAT, "split.tensors.count", -1,
                       "%s and %s disagree on how many tensors their model has (split.tensors.count): they belong to different "
                       "models; put the parts of one download together again", a, b);
    }
    const char *mine = wf_gguf_get_string(file->gguf, "general.architecture"),
               *its = wf_gguf_get_string(first->gguf, "general.architecture");
    if (mine != NULL && its != NULL && strcmp(mine, its) != 0) {
        return wf_fail(err, WF_E_FORMAT, "general.architecture", -1,
                       "%s is of architecture \"%s\", and %s of \"%s\": they belong to different models; put the parts of one "
                       "download together again", a, mine, b, its);
    }
    return WF_OK;
}

/* wf.parts: the first header vouches for the others, which must then vouch for their data. */
static wf_status check_digest(const wf_files *f, const wf_model_file *file, wf_error *err) {
    const wf_model_file *first = f->list[0];
    const wf_gguf_kv *kv = wf_gguf_find(first->gguf, WF_PARTS_KEY);
    if (kv == NULL) {
        return WF_OK;
    }
    if (kv->type != WF_GGUF_ARRAY || kv->element != WF_GGUF_U8 || kv->count != (uint64_t)(f->count - 1) * WF_SHA256_BYTES) {
        return wf_fail(err, WF_E_FORMAT, WF_PARTS_KEY, -1,
                       WF_PARTS_KEY " of %s is not a list of %u SHA-256 digests, one for each further part; split the model again",
                       first->name, f->count - 1);
    }
    if (wf_gguf_find(file->gguf, WF_CHUNKS_KEY) == NULL) {
        return wf_fail(err, WF_E_FORMAT, WF_CHUNKS_KEY, -1,
                       "%s has no hashes of its data (" WF_CHUNKS_KEY "), though %s has those of its parts (" WF_PARTS_KEY
                       "); split the model again", file->name, first->name);
    }
    const uint8_t *digests = kv->value.items;
    if (f->current > 0 && memcmp(digests + (f->current - 1) * WF_SHA256_BYTES, file->digest, WF_SHA256_BYTES) != 0) {
        return wf_fail(err, WF_E_INTEGRITY, WF_PARTS_KEY, -1,
                       "the header of %s is not the one that %s vouches for: it is damaged or of another model; put the parts of one "
                       "download together again", file->name, first->name);
    }
    return WF_OK;
}

static wf_status file_data(void *user, uint32_t tensor, uint64_t at, const void *bytes, size_t n, wf_error *err) {
    wf_model_file *file = user;
    return wf_loader_data(file->model, file->first_tensor + tensor, at, bytes, n, err);
}

/* Where the file's bytes lie in the whole model, and its tensors in the table of all. */
static void place(wf_files *f, wf_model_file *file) {
    const wf_model_file *before = f->current > 0 ? f->list[f->current - 1] : NULL;
    file->base = before != NULL ? before->end : 0;
    uint64_t least = file->gguf->total_bytes, padded = file->integrity.data_end;
    bool alone = f->count == 1 && file->integrity.trust != WF_TRUST_CHUNKS;
    file->end = file->base + (alone ? least : f->count > 1 && file->bytes >= least ? file->bytes : padded);
    file->first_tensor = before != NULL ? before->first_tensor + (uint32_t)before->gguf->tensor_count : 0;
    wf_gguf_sink sink = {file, file_data};
    wf_gguf_reader_set_sink(file->reader, sink);
}

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const wf_gguf *g = context;
    return strcmp(g->tensors[a].name.text, g->tensors[b].name.text);
}

static const wf_model_file *owner(const wf_files *f, uint32_t tensor) {
    uint32_t i = f->count - 1;
    while (i > 0 && f->list[i]->first_tensor > tensor) {
        i--;
    }
    return f->list[i];
}

static wf_status check_tensors(const wf_files *f, wf_error *err) {
    const wf_gguf *g = &f->all;
    uint64_t promised;
    if (wf_gguf_get_u64(g, "split.tensors.count", &promised) && promised != g->tensor_count) {
        return wf_fail(err, WF_E_FORMAT, "split.tensors.count", -1,
                       "the %u parts of %s hold %llu tensors, and %llu are promised (split.tensors.count): a part belongs to another "
                       "model; put the parts of one download together again", f->count, f->list[0]->name,
                       (unsigned long long)g->tensor_count, (unsigned long long)promised);
    }
    for (uint64_t i = 1; i < g->tensor_count; i++) {
        uint32_t a = g->tensor_by_name[i - 1], b = g->tensor_by_name[i];
        if (by_name(g, a, b) == 0) {
            const wf_model_file *x = owner(f, a < b ? a : b), *y = owner(f, a < b ? b : a);
            return wf_fail(err, WF_E_FORMAT, g->tensors[a].name.text, -1,
                           "tensor \"%s\" is in %s and again in %s: they belong to different models; put the parts of one download "
                           "together again", g->tensors[a].name.text, x->name, y->name);
        }
    }
    return WF_OK;
}

/* All headers are there: one table. */
static wf_status merge(wf_model *m, wf_error *err) {
    wf_files *f = &m->files;
    wf_gguf *g = &f->all;
    const wf_model_file *last = f->list[f->count - 1];
    uint64_t count = (uint64_t)last->first_tensor + last->gguf->tensor_count;
    *g = *f->list[0]->gguf;
    memset(&g->arena, 0, sizeof g->arena);
    g->tensor_count = count;
    g->total_bytes = last->end;
    g->tensors = wf_arena_alloc(&m->arena, (size_t)count * sizeof *g->tensors);
    g->by_offset = wf_arena_alloc(&m->arena, (size_t)count * sizeof *g->by_offset);
    g->tensor_by_name = wf_arena_alloc(&m->arena, (size_t)count * sizeof *g->tensor_by_name);
    if (g->tensors == NULL || g->by_offset == NULL || g->tensor_by_name == NULL) {
        return no_memory(f->list[0]->name, err);
    }
    for (uint32_t i = 0; i < f->count; i++) {
        const wf_model_file *file = f->list[i];
        for (uint64_t j = 0; j < file->gguf->tensor_count; j++) {
            uint64_t at = file->first_tensor + j;
            g->tensors[at] = file->gguf->tensors[j];
            g->tensors[at].offset += file->base + file->gguf->data_start - g->data_start;
            g->by_offset[at] = file->first_tensor + file->gguf->by_offset[j];
            g->tensor_by_name[at] = (uint32_t)at;
        }
    }
    wf_sort_indices(g->tensor_by_name, (size_t)count, by_name, g);
    return check_tensors(f, err);
}

static wf_status header_done(wf_model *m, const wf_gguf **header, wf_error *err) {
    wf_files *f = &m->files;
    wf_model_file *file = current(f);
    wf_sha256_digest(&file->integrity.hash, file->digest);
    WF_TRY(wf_integrity_self(&file->integrity, file->gguf, err));
    if (f->current == 0) {
        WF_TRY(split_begins(m, file->gguf, err));
    } else {
        WF_TRY(check_part(f, file, err));
    }
    if (f->count > 1) {
        WF_TRY(check_digest(f, file, err));
    }
    WF_TRY(wf_integrity_header(&file->integrity, file->gguf, err));
    WF_TRY(wf_integrity_length(&file->integrity, file->bytes, err));
    place(f, file);
    f->full = f->count > 1;
    if (f->current + 1 < f->count) {
        return WF_OK;
    }
    *header = f->count > 1 ? &f->all : file->gguf;
    return f->count > 1 ? merge(m, err) : WF_OK;
}

static wf_status feed_header(wf_model *m, const uint8_t *bytes, size_t n, size_t *used, const wf_gguf **header, wf_error *err) {
    wf_model_file *file = current(&m->files);
    const wf_gguf *gguf = NULL;
    WF_TRY(wf_gguf_reader_feed(file->reader, bytes, n, used, &gguf, err));
    WF_TRY(wf_integrity_bytes(&file->integrity, bytes, *used, err));
    file->gguf = gguf;
    file->header_bytes = wf_gguf_reader_position(file->reader);
    return gguf != NULL ? header_done(m, header, err) : WF_OK;
}

/* ---- the second round ---- */

/* The header once more: the same bytes, or this is another file. */
static wf_status feed_again(wf_model_file *file, const uint8_t *bytes, size_t n, size_t *used, wf_error *err) {
    uint64_t left = file->header_bytes - file->again.length;
    *used = n < left ? n : (size_t)left;
    wf_sha256_add(&file->again, bytes, *used);
    if (file->again.length < file->header_bytes) {
        return WF_OK;
    }
    uint8_t digest[WF_SHA256_BYTES];
    wf_sha256_digest(&file->again, digest);
    return memcmp(digest, file->digest, sizeof digest) == 0
               ? WF_OK
               : wf_fail(err, WF_E_INTEGRITY, file->name, 0, "%s was changed while the model was loading: load it again", file->name);
}

static wf_status feed_data(wf_model_file *file, const uint8_t *bytes, size_t n, size_t *used, wf_error *err) {
    const wf_gguf *ignored;
    /* verified first: damaged bytes are not even packed when their chunk ends here */
    WF_TRY(wf_integrity_bytes(&file->integrity, bytes, n, err));
    return wf_gguf_reader_feed(file->reader, bytes, n, used, &ignored, err);
}

/* ---- both ---- */

wf_status wf_files_feed(wf_model *m, const uint8_t *bytes, size_t n, size_t *used, const wf_gguf **header, wf_error *err) {
    wf_files *f = &m->files;
    wf_model_file *file = current(f);
    wf_error why;
    wf_error_clear(&why);
    *header = NULL;
    *used = n;
    if (f->full) {
        return WF_OK;
    }
    wf_status status = file->gguf == NULL                                           ? feed_header(m, bytes, n, used, header, &why)
                       : f->second && file->again.length < file->header_bytes ? feed_again(file, bytes, n, used, &why)
                                                                                  : feed_data(file, bytes, n, used, &why);
    return status == WF_OK ? WF_OK : blame(file, &why, err);
}

/* The current file has ended. */
static wf_status end_file(wf_files *f, wf_error *err) {
    wf_model_file *file = current(f);
    wf_error why;
    wf_error_clear(&why);
    if (f->full) {
        return WF_OK;
    }
    wf_status status = wf_gguf_reader_finish(file->reader, &why);
    if (status == WF_OK) {
        status = wf_integrity_finish(&file->integrity, &why);
    }
    return status == WF_OK ? WF_OK : blame(file, &why, err);
}

static wf_status missing(const wf_files *f, uint32_t part, wf_error *err) {
    return wf_fail(err, WF_E_MISSING, f->list[0]->name, -1,
                   "%s is part 1 of %u of a split model, and part %u is missing: give all %u files in their order, or the path or "
                   "address of a file whose name ends in -00001-of-%05u.gguf, with the others beside it",
                   f->list[0]->name, f->count, part + 1, f->count, f->count);
}

wf_status wf_files_next(wf_model *m, uint32_t index, const char *name, uint64_t bytes, wf_error *err) {
    wf_files *f = &m->files;
    if (f->count == 1) {
        return current(f)->gguf == NULL ? end_file(f, err)
                                        : wf_fail(err, WF_E_ARGUMENT, name, -1,
                                                  "%s is a whole model, not a part of a split one, and %s was given too: give one of "
                                                  "them", f->list[0]->name, index == 0 ? "another file" : name);
    }
    WF_TRY(end_file(f, err));
    bool turns = f->current + 1 == f->count;
    uint32_t wanted = turns ? 0 : f->current + 1;
    if (index < wanted) {
        return missing(f, wanted, err);
    }
    if (index > wanted) {
        return wf_fail(err, WF_E_ARGUMENT, name, -1, "%s is one of %u parts, and %s was given besides: give the %u files of one model",
                       f->list[0]->name, f->count, name, f->count);
    }
    if (!f->second && !turns) {
        char pin[WF_SHA256_TEXT];
        bool pinned = f->pin != NULL && wf_gguf_find(f->list[0]->gguf, WF_PARTS_KEY) == NULL;
        f->current = wanted;
        f->full = false;
        return begin(m, name, bytes, pinned ? wf_integrity_nth(f->pin, wanted, pin) : NULL, err);
    }
    f->second = true;
    f->full = false;
    f->current = wanted;
    wf_sha256_init(&current(f)->again);
    return WF_OK;
}

wf_status wf_files_finish(wf_model *m, wf_error *err) {
    wf_files *f = &m->files;
    WF_TRY(end_file(f, err));
    if (f->count > 1 && !f->second) {
        return f->current + 1 < f->count
                   ? missing(f, f->current + 1, err)
                   : wf_fail(err, WF_E_STATE, f->list[0]->name, -1,
                             "only the headers of the %u parts of %s are read: feed the files once more, from the first", f->count,
                             f->list[0]->name);
    }
    return f->current + 1 == f->count ? WF_OK : missing(f, f->current + 1, err);
}

uint64_t wf_files_verified(const wf_files *f) {
    const wf_model_file *file = current(f);
    if (f->count == 1) {
        return file->integrity.verified;
    }
    return file->integrity.verified < file->end - file->base ? file->base + file->integrity.verified : file->end;
}

uint64_t wf_files_position(const wf_files *f) {
    const wf_model_file *file = current(f);
    uint64_t position = wf_gguf_reader_position(file->reader);
    if (f->count == 1) {
        return position;
    }
    if (!f->second) {
        return 0;
    }
    position = file->again.length < file->header_bytes ? file->again.length : position;
    return file->base + position < file->end ? file->base + position : file->end;
}

uint64_t wf_files_total(const wf_files *f) { return f->opened == f->count ? f->list[f->count - 1]->end : 0; }
