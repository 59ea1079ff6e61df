/* A GGUF file as the source of a conversion: another type, or norms rewritten. The header is read by the reader that loads models
   (gguf_read.c), fed in pieces; tensors are then read where they lie. */
#include <string.h>

#include "base/alloc.h"
#include "format/gguf.h"
#include "format/source.h"
#include "format/source_finish.h"

enum { PIECE_BYTES = 64 * 1024 };

static wf_status read_header(wf_source *s, wf_gguf_reader *reader, wf_error *err) {
    const wf_file *f = &s->file;
    uint8_t *piece = wf_alloc(PIECE_BYTES);
    wf_status status = WF_OK;
    if (piece == NULL) {
        return wf_fail(err, WF_E_MEMORY, "GGUF header", -1, "no memory to read the header; close other programs");
    }
    for (uint64_t at = 0; at < f->size && s->gguf == NULL && status == WF_OK;) {
        size_t n = f->size - at < PIECE_BYTES ? (size_t)(f->size - at) : PIECE_BYTES, used;
        status = f->read(f->user, at, piece, n, err);
        if (status == WF_OK) {
            status = wf_gguf_reader_feed(reader, piece, n, &used, &s->gguf, err);
        }
        at += n;
    }
    wf_free(piece);
    if (status == WF_OK && s->gguf == NULL) {
        status = wf_gguf_reader_finish(reader, err); /* says what is missing */
    }
    return status != WF_OK || s->gguf != NULL
               ? status
               : wf_fail(err, WF_E_TRUNCATED, "GGUF header", (int64_t)f->size, "the file ends inside its header: download it again");
}

static wf_status list_tensors(wf_source *s, wf_error *err) {
    const wf_gguf *g = s->gguf;
    s->tensors = wf_arena_alloc(&s->arena, ((size_t)g->tensor_count + 1) * sizeof *s->tensors);
    if (s->tensors == NULL) {
        return wf_fail(err, WF_E_MEMORY, "GGUF header", -1, "no memory for %llu tensors; close other programs",
                       (unsigned long long)g->tensor_count);
    }
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *from = &g->tensors[i];
        wf_source_tensor *t = &s->tensors[s->tensor_count++];
        t->name = from->name.text;
        t->type = from->type;
        t->n_dims = from->n_dims;
        if (wf_dtype_get(from->type)->block != 1) { /* listed as its bytes; whoever wants its numbers looks at the header's type */
            t->type = WF_I8;
            t->n_dims = 1;
            t->dims[0] = from->bytes;
            t->strides[0] = 1;
        }
        int64_t stride = 1;
        for (uint32_t d = 0; d < from->n_dims && t->type == from->type; d++) { /* GGUF lists the fastest axis first */
            t->dims[from->n_dims - 1 - d] = from->dims[d];
            t->strides[from->n_dims - 1 - d] = stride;
            stride *= (int64_t)from->dims[d];
        }
        t->storage_at = g->data_start + from->offset;
        t->storage_bytes = from->bytes;
        WF_TRY(wf_source_count(t, err));
    }
    return WF_OK;
}

wf_status wf_gguf_source_open(wf_file file, wf_source *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    wf_arena_init(&out->arena);
    out->container = "GGUF";
    out->file = file;
    wf_status status = wf_gguf_reader_create(file.size, &out->gguf_reader, err);
    status = status == WF_OK ? read_header(out, out->gguf_reader, err) : status;
    status = status == WF_OK ? list_tensors(out, err) : status;
    status = status == WF_OK ? wf_source_finish(out, err) : status;
    if (status != WF_OK) {
        wf_source_close(out);
    }
    return status;
}
