/* GGUF reader as a state machine: each step of the header says how many bytes it needs; feed()
   collects exactly these (straight from the input where it holds them all, else in a small carry
   buffer) and takes the step once. So reading is linear whatever the pieces, and memory grows only
   with bytes that have really arrived. Tensor data go to the sink untouched and uncopied.
   Little-endian hosts. */
#include <string.h>

#include "base/alloc.h"
#include "format/gguf_reader.h"

wf_status wf_gguf_reader_create(uint64_t file_bytes, wf_gguf_reader **out, wf_error *err) {
    wf_gguf_reader *r = wf_alloc_zero(sizeof *r);
    *out = r;
    if (r == NULL) {
        return wf_fail(err, WF_E_MEMORY, "gguf", -1,
                       "no memory for the GGUF reader; close other programs");
    }
    wf_arena_init(&r->g.arena);
    wf_error_clear(&r->error);
    r->file_bytes = file_bytes;
    r->limit =
        file_bytes != 0 && file_bytes < WF_GGUF_HEADER_LIMIT ? file_bytes : WF_GGUF_HEADER_LIMIT;
    r->need = WF_GGUF_FIXED_BYTES;
    r->g.alignment = 32;
    return WF_OK;
}

void wf_gguf_reader_free(wf_gguf_reader *r) {
    if (r == NULL) {
        return;
    }
    wf_arena_free(&r->g.arena);
    wf_free(r->g.kvs);
    wf_free(r->g.tensors);
    wf_free(r->items);
    wf_free(r->carry);
    wf_free(r);
}

void wf_gguf_reader_set_sink(wf_gguf_reader *r, wf_gguf_sink sink) {
    r->sink = sink;
}

uint64_t wf_gguf_reader_position(const wf_gguf_reader *r) {
    return r->position + r->carry_bytes;
}

static wf_status carry_more(wf_gguf_reader *r, const uint8_t *p, size_t n) {
    if (r->carry_bytes + n > r->carry_capacity) {
        size_t wanted = r->carry_bytes + n + r->carry_bytes / 2 + 64;
        uint8_t *bigger = wf_realloc(r->carry, wanted);
        if (bigger == NULL) {
            return wf_gguf_reader_no_memory(r);
        }
        r->carry = bigger;
        r->carry_capacity = wanted;
    }
    memcpy(r->carry + r->carry_bytes, p, n);
    r->carry_bytes += n;
    return WF_OK;
}

/* Consumes header bytes until the header is complete or the input is used up. */
static wf_status feed_header(wf_gguf_reader *r, const uint8_t *p, size_t n, size_t *used) {
    while (r->step != STEP_DATA) {
        if (r->position + r->need > r->limit && r->limit != r->file_bytes) {
            return wf_gguf_reader_check_room(r, r->need, 1, "the size of the header");
        }
        size_t left = n - *used;
        if (r->carry_bytes == 0 && left >= r->need) {
            const uint8_t *field = p + *used;
            *used += (size_t)r->need;
            WF_TRY(wf_gguf_reader_step(r, field));
            continue;
        }
        uint64_t missing = r->need - r->carry_bytes;
        size_t take = left < missing ? left : (size_t)missing;
        if (take == 0) {
            return WF_OK;
        }
        WF_TRY(carry_more(r, p + *used, take));
        *used += take;
        if (r->carry_bytes == r->need) {
            WF_TRY(wf_gguf_reader_step(r, r->carry));
        }
    }
    return WF_OK;
}

/* Hands tensor bytes on; everything between and behind the tensors is skipped. */
static wf_status feed_data(wf_gguf_reader *r, const uint8_t *p, size_t n, size_t *used) {
    const wf_gguf *g = &r->g;
    while (*used < n) {
        size_t left = n - *used, piece = left;
        if (r->current == g->tensor_count) {
            r->position += left;
            *used = n;
            break;
        }
        uint32_t index = g->by_offset[r->current];
        const wf_gguf_tensor *t = &g->tensors[index];
        uint64_t start = g->data_start + t->offset, end = start + t->bytes;
        if (r->position < start) {
            piece = left < start - r->position ? left : (size_t)(start - r->position);
        } else {
            piece = left < end - r->position ? left : (size_t)(end - r->position);
            if (r->sink.data != NULL) {
                wf_status s = r->sink.data(r->sink.user, index, r->position - start, p + *used,
                                           piece, &r->error);
                if (s != WF_OK) {
                    return wf_fail(&r->error, s, t->name.text, (int64_t)r->position,
                                   "loading stopped inside tensor \"%s\"", t->name.text);
                }
            }
        }
        r->position += piece;
        *used += piece;
        if (r->position == end) {
            r->current++;
        }
    }
    return WF_OK;
}

/* Remembers a failure and hands it to the caller. */
static wf_status leave(wf_gguf_reader *r, wf_status status, wf_error *err) {
    r->status = status;
    if (status != WF_OK && err != NULL && err->code == WF_OK) {
        *err = r->error;
    }
    return status;
}

wf_status wf_gguf_reader_feed(wf_gguf_reader *r, const void *bytes, size_t n, size_t *used,
                              const wf_gguf **header, wf_error *err) {
    static const uint8_t nothing[1];
    const uint8_t *p = n != 0 ? bytes : nothing; /* so that no arithmetic is done on NULL */
    *used = 0;
    *header = NULL;
    wf_status s = r->status;
    if (s == WF_OK) {
        s = r->step == STEP_DATA ? feed_data(r, p, n, used) : feed_header(r, p, n, used);
    }
    if (s == WF_OK && r->step == STEP_DATA) {
        *header = &r->g;
    }
    return leave(r, s, err);
}

static wf_status check_end(wf_gguf_reader *r) {
    if (r->step == STEP_FIXED) {
        size_t n = r->carry_bytes;
        if (n == 0) {
            return wf_fail(&r->error, WF_E_TRUNCATED, "magic", 0,
                           "the file is empty: check the URL or path");
        }
        if (memcmp(r->carry, "GGUF", n < 4 ? n : 4) != 0) {
            return wf_gguf_reader_refuse(r, r->carry, n);
        }
    }
    if (r->step != STEP_DATA) {
        return wf_fail(
            &r->error, WF_E_TRUNCATED, "header", (int64_t)wf_gguf_reader_position(r),
            "the file ends after %llu bytes, inside its header: it was cut off; download it again",
            (unsigned long long)wf_gguf_reader_position(r));
    }
    if (r->position < r->g.total_bytes) {
        const char *name = r->g.tensors[r->g.by_offset[r->current]].name.text;
        return wf_fail(&r->error, WF_E_TRUNCATED, name, (int64_t)r->position,
                       "the file ends after %llu of %llu bytes, before tensor \"%s\" is complete: "
                       "it was cut off; download "
                       "it again",
                       (unsigned long long)r->position, (unsigned long long)r->g.total_bytes, name);
    }
    return WF_OK;
}

wf_status wf_gguf_reader_finish(wf_gguf_reader *r, wf_error *err) {
    return leave(r, r->status != WF_OK ? r->status : check_end(r), err);
}
