/* safetensors writer for float outputs: 8-byte header length, JSON header padded with spaces to a
   multiple of 8, then the tensors' bytes in the order of the entries, without gaps. Data are native
   little-endian. */
#include "base/alloc.h"
#include "format/gguf.h"
#include "format/json.h"
#include "format/source.h"

static wf_status entry_bytes(const wf_safetensors_entry *e, uint64_t *out, wf_error *err) {
    uint64_t bytes = wf_dtype_get(e->type)->bytes;
    if (e->type != WF_F32 && e->type != WF_F64) {
        return wf_fail(err, WF_E_ARGUMENT, e->name, -1,
                       "\"%s\" is %s, and only F32 and F64 can be written: decode it first",
                       e->name, wf_dtype_get(e->type)->name);
    }
    if (e->n_dims > WF_SOURCE_MAX_DIMS) {
        return wf_fail(err, WF_E_SHAPE, e->name, -1,
                       "\"%s\" has %u dimensions, and at most %d can be written", e->name,
                       e->n_dims, WF_SOURCE_MAX_DIMS);
    }
    for (uint32_t d = 0; d < e->n_dims; d++) {
        if (e->dims[d] != 0 && bytes > (UINT64_C(1) << 52) / e->dims[d]) {
            return wf_fail(err, WF_E_SHAPE, e->name, -1,
                           "the shape of \"%s\" multiplies to more than any file can hold",
                           e->name);
        }
        bytes *= e->dims[d];
    }
    *out = bytes;
    return WF_OK;
}

static wf_status describe(wf_text *t, const wf_safetensors_entry *entries, uint64_t count,
                          wf_error *err) {
    uint64_t at = 0, bytes;
    wf_text_add(t, "{");
    for (uint64_t i = 0; i < count; i++) {
        const wf_safetensors_entry *e = &entries[i];
        WF_TRY(entry_bytes(e, &bytes, err));
        wf_text_add(t, i == 0 ? "" : ",");
        wf_text_json_string(t, e->name);
        wf_text_format(t, ":{\"dtype\":\"%s\",\"shape\":[", wf_dtype_get(e->type)->name);
        for (uint32_t d = 0; d < e->n_dims; d++) {
            wf_text_format(t, "%s%llu", d == 0 ? "" : ",", (unsigned long long)e->dims[d]);
        }
        wf_text_format(t, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                       (unsigned long long)(at + bytes));
        at += bytes;
    }
    wf_text_add(t, "}");
    while (t->length % 8 != 0 && !t->failed) {
        wf_text_add(t, " ");
    }
    return t->failed ? wf_fail(err, WF_E_MEMORY, "safetensors header", -1,
                               "no memory for the header; close other programs")
                     : WF_OK;
}

static wf_status send(const wf_byte_sink *sink, const wf_text *header,
                      const wf_safetensors_entry *entries, uint64_t count, wf_error *err) {
    uint8_t length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (uint8_t)((uint64_t)header->length >> 8 * i);
    }
    WF_TRY(sink->write(sink->user, length, 8, err));
    WF_TRY(sink->write(sink->user, header->data, header->length, err));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bytes;
        WF_TRY(entry_bytes(&entries[i], &bytes, err));
        if (bytes != 0) {
            WF_TRY(sink->write(sink->user, entries[i].data, (size_t)bytes, err));
        }
    }
    return WF_OK;
}

wf_status wf_safetensors_write(const struct wf_byte_sink *sink, const wf_safetensors_entry *entries,
                               uint64_t count, wf_error *err) {
    wf_text header = {NULL, 0, 0, false};
    wf_status s = describe(&header, entries, count, err);
    s = s == WF_OK ? send(sink, &header, entries, count, err) : s;
    wf_text_free(&header);
    return s;
}
