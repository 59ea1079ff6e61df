/* From arriving tensor bytes to packed weights. Rows are packed as soon as a group of WF_PANEL is complete: straight from the
   caller's chunk where it holds whole groups, else through a small staging buffer. Source bytes are never kept. */
#include <string.h>

#include "base/alloc.h"
#include "runtime/model.h"

typedef struct geometry {
    uint64_t row_bytes, rows, group_bytes;
} geometry;

static geometry geometry_of(const wf_weight_entry *e) {
    geometry g;
    g.row_bytes = wf_dtype_row_bytes(e->stored.type, e->stored_k);
    g.rows = e->view.n;
    g.group_bytes = g.row_bytes * (g.rows < WF_PANEL ? g.rows : WF_PANEL);
    return g;
}

wf_status wf_loader_prepare(wf_model *m, wf_error *err) {
    wf_loader *l = &m->loader;
    void *map;
    WF_TRY(wf_alloc_array(&map, m->gguf->tensor_count + 1, sizeof(uint32_t), "the tensor table", err));
    l->weight_of = map;
    memset(l->weight_of, 0xff, (m->gguf->tensor_count + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < m->weights.count; i++) {
        const wf_weight_entry *e = &m->weights.entries[i];
        uint64_t bytes = geometry_of(e).group_bytes;
        l->weight_of[e->stored.index] = i;
        l->staging_bytes = bytes > l->staging_bytes ? bytes : l->staging_bytes;
    }
    l->staging = wf_alloc(l->staging_bytes);
    if (l->staging == NULL) {
        return wf_fail(err, WF_E_MEMORY, "loading", -1, "no memory for %llu bytes of weight rows",
                       (unsigned long long)l->staging_bytes);
    }
    return WF_OK;
}

void wf_loader_free(wf_loader *l) {
    wf_free(l->weight_of);
    wf_free(l->staging);
    memset(l, 0, sizeof *l);
}

void wf_loader_admit(wf_model *m, uint64_t verified) {
    const wf_gguf *g = m->gguf;
    for (; m->loader.admitted < g->tensor_count; m->loader.admitted++) {
        uint32_t tensor = g->by_offset[m->loader.admitted], id = m->loader.weight_of[tensor];
        const wf_gguf_tensor *t = &g->tensors[tensor];
        if (g->data_start + t->offset + t->bytes > verified || (id != WF_NONE && !wf_weights_admit(&m->weights, id))) {
            return;
        }
    }
}

wf_status wf_loader_data(void *model, uint32_t tensor, uint64_t at, const void *bytes, size_t n, wf_error *err) {
    wf_model *m = model;
    wf_loader *l = &m->loader;
    uint32_t id = l->weight_of[tensor];
    if (id == WF_NONE) {
        return WF_OK; /* a tensor that this architecture does not read */
    }
    wf_weight_entry *e = &m->weights.entries[id];
    geometry g = geometry_of(e);
    const uint8_t *src = bytes;
    uint64_t total = g.row_bytes * g.rows;
    if (at == 0) {
        l->staged = 0;
    }
    while (n > 0) {
        uint64_t row = e->rows_done;
        uint64_t left = total - row * g.row_bytes; /* bytes of rows not yet packed */
        uint64_t want = left < g.group_bytes ? left : g.group_bytes;
        if (l->staged == 0 && n >= want) {
            uint64_t groups = n >= left ? left : n / g.group_bytes * g.group_bytes;
            WF_TRY(wf_weights_rows(&m->weights, id, row, src, groups / g.row_bytes, err));
            src += groups;
            n -= (size_t)groups;
            continue;
        }
        uint64_t take = want - l->staged < n ? want - l->staged : n;
        memcpy(l->staging + l->staged, src, (size_t)take);
        l->staged += take;
        src += take;
        n -= (size_t)take;
        if (l->staged == want) {
            WF_TRY(wf_weights_rows(&m->weights, id, row, l->staging, want / g.row_bytes, err));
            l->staged = 0;
        }
    }
    return WF_OK;
}
