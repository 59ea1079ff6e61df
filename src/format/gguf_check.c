/* The checks of a GGUF header that need the whole of it: no key and no tensor name twice, a legal
   alignment, every tensor aligned, apart from the others and inside the file. O(n log n) in keys
   and tensors (heap sort, so that no order of the file makes it worse); nothing is allocated but
   three index lists. */
#include <string.h>

#include "base/alloc.h"
#include "format/gguf_reader.h"
#include "format/sort.h"

enum { LARGEST_ALIGNMENT = 1 << 20 };

static int by_key(const void *context, uint32_t a, uint32_t b) {
    const wf_gguf *g = context;
    return strcmp(g->kvs[a].key.text, g->kvs[b].key.text);
}

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const wf_gguf *g = context;
    return strcmp(g->tensors[a].name.text, g->tensors[b].name.text);
}

static int by_offset(const void *context, uint32_t a, uint32_t b) {
    const wf_gguf *g = context;
    uint64_t x = g->tensors[a].offset, y = g->tensors[b].offset;
    return x != y ? (x < y ? -1 : 1) : a < b ? -1 : a > b;
}

static uint32_t *sorted(wf_gguf *g, uint64_t count, wf_index_compare compare) {
    uint32_t *list = wf_arena_alloc(&g->arena, (size_t)count * sizeof *list);
    if (list != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            list[i] = i;
        }
        wf_sort_indices(list, (size_t)count, compare, g);
    }
    return list;
}

static wf_status check_names(wf_gguf_reader *r) {
    wf_gguf *g = &r->g;
    for (uint64_t i = 1; i < g->kv_count; i++) {
        const char *key = g->kvs[g->kv_by_name[i]].key.text;
        if (by_key(g, g->kv_by_name[i - 1], g->kv_by_name[i]) == 0) {
            return wf_fail(&r->error, WF_E_FORMAT, key, -1,
                           "the metadata key \"%s\" appears twice: the file is damaged or badly "
                           "made; convert it again",
                           key);
        }
    }
    for (uint64_t i = 1; i < g->tensor_count; i++) {
        const char *name = g->tensors[g->tensor_by_name[i]].name.text;
        if (by_name(g, g->tensor_by_name[i - 1], g->tensor_by_name[i]) == 0) {
            return wf_fail(
                &r->error, WF_E_FORMAT, name, -1,
                "two tensors are named \"%s\": the file is damaged or badly made; convert it again",
                name);
        }
    }
    return WF_OK;
}

static wf_status check_places(wf_gguf_reader *r) {
    wf_gguf *g = &r->g;
    uint64_t end = 0;
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        const wf_gguf_tensor *t = &g->tensors[g->by_offset[i]];
        if (t->offset % g->alignment != 0) {
            return wf_fail(&r->error, WF_E_FORMAT, t->name.text, -1,
                           "tensor \"%s\" begins at offset %llu, which is no multiple of the "
                           "file's alignment %u: the "
                           "file is damaged or badly made; convert it again",
                           t->name.text, (unsigned long long)t->offset, g->alignment);
        }
        if (i > 0 && t->offset < end) {
            return wf_fail(&r->error, WF_E_FORMAT, t->name.text, -1,
                           "tensors \"%s\" and \"%s\" overlap: the file is damaged or badly made; "
                           "convert it again",
                           g->tensors[g->by_offset[i - 1]].name.text, t->name.text);
        }
        if (t->offset > INT64_MAX / 2 || t->bytes > INT64_MAX / 2 - t->offset) {
            return wf_fail(&r->error, WF_E_FORMAT, t->name.text, -1,
                           "tensor \"%s\" would begin at offset %llu and hold %llu bytes, more "
                           "than any file: the file is "
                           "damaged; download it again",
                           t->name.text, (unsigned long long)t->offset,
                           (unsigned long long)t->bytes);
        }
        end = t->offset + t->bytes;
        if (r->file_bytes != 0 && g->data_start + end > r->file_bytes) {
            return wf_fail(&r->error, WF_E_TRUNCATED, t->name.text, (int64_t)r->file_bytes,
                           "tensor \"%s\" would end at byte %llu, but the file ends at byte %llu: "
                           "it was cut off; "
                           "download it again",
                           t->name.text, (unsigned long long)(g->data_start + end),
                           (unsigned long long)r->file_bytes);
        }
    }
    g->total_bytes = g->tensor_count != 0 ? g->data_start + end : r->position;
    return WF_OK;
}

wf_status wf_gguf_reader_end_header(wf_gguf_reader *r) {
    wf_gguf *g = &r->g;
    g->kv_by_name = sorted(g, g->kv_count, by_key);
    g->tensor_by_name = sorted(g, g->tensor_count, by_name);
    g->by_offset = sorted(g, g->tensor_count, by_offset);
    if (g->kv_by_name == NULL || g->tensor_by_name == NULL || g->by_offset == NULL) {
        return wf_gguf_reader_no_memory(r);
    }
    WF_TRY(check_names(r));
    uint64_t alignment = 32;
    if (wf_gguf_find(g, "general.alignment") != NULL &&
        (!wf_gguf_get_u64(g, "general.alignment", &alignment) || alignment == 0 ||
         alignment % 8 != 0 || alignment > LARGEST_ALIGNMENT)) {
        return wf_fail(&r->error, WF_E_FORMAT, "general.alignment", -1,
                       "general.alignment must be a multiple of 8 and at most %d: the file is "
                       "damaged or badly made; "
                       "convert it again",
                       LARGEST_ALIGNMENT);
    }
    g->alignment = (uint32_t)alignment;
    g->data_start = (r->position + alignment - 1) / alignment * alignment;
    WF_TRY(check_places(r));
    r->step = STEP_PADDING;
    r->need = g->tensor_count != 0 ? g->data_start - r->position : 0;
    return WF_OK;
}
