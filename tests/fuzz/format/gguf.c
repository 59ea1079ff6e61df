/* Fuzz target of the GGUF reader: any bytes, as one piece and byte by byte, with and without a
   known length. Besides not crashing, both ways of feeding must come to the same end: same status,
   same sentence, same bytes delivered. */
#include <stdlib.h>
#include <string.h>

#include "format/gguf.h"

typedef struct outcome {
    wf_error err;
    uint64_t delivered, hash, position;
} outcome;

static wf_status count(void *user, uint32_t tensor, uint64_t at, const void *bytes, size_t n,
                       wf_error *err) {
    outcome *o = user;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        o->hash = (o->hash ^ ((const uint8_t *)bytes)[i] ^ (at + i) ^ (uint64_t)tensor << 40) *
                  UINT64_C(1099511628211);
    }
    o->delivered += n;
    return WF_OK;
}

/* Every accessor on every entry: what the reader let through must be safe to look at. */
static uint64_t touch(const wf_gguf *g) {
    uint64_t sum = 0, u;
    double d;
    bool b;
    for (uint64_t i = 0; i < g->kv_count; i++) {
        const wf_gguf_kv *kv = &g->kvs[i];
        if (wf_gguf_find(g, kv->key.text) != kv) {
            abort();
        }
        sum += wf_gguf_get_u64(g, kv->key.text, &u) ? u : 0;
        sum += wf_gguf_get_f64(g, kv->key.text, &d);
        sum += wf_gguf_get_bool(g, kv->key.text, &b);
        const char *s = wf_gguf_get_string(g, kv->key.text);
        sum += s != NULL ? strlen(s) : 0;
        for (uint64_t k = 0; kv->type == WF_GGUF_ARRAY && k <= kv->count; k++) {
            sum += wf_gguf_item_u64(kv, k, &u) ? u : 0;
            sum += wf_gguf_item_f64(kv, k, &d);
            s = wf_gguf_item_string(kv, k);
            sum += s != NULL ? strlen(s) : 0;
        }
    }
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        if (wf_gguf_find_tensor(g, g->tensors[i].name.text) != &g->tensors[i]) {
            abort();
        }
    }
    return sum;
}

static outcome run(const uint8_t *data, size_t size, size_t piece, uint64_t known) {
    outcome o;
    memset(&o, 0, sizeof o);
    wf_error_clear(&o.err);
    wf_gguf_reader *r;
    const wf_gguf *g = NULL, *seen = NULL;
    if (wf_gguf_reader_create(known, &r, &o.err) != WF_OK) {
        return o;
    }
    wf_status s = WF_OK;
    for (size_t at = 0; at < size && s == WF_OK;) {
        size_t n = piece < size - at ? piece : size - at, used;
        s = wf_gguf_reader_feed(r, data + at, n, &used, &g, &o.err);
        at += used;
        if (g != NULL && seen == NULL) {
            wf_gguf_sink sink = {&o, count};
            seen = g;
            wf_gguf_reader_set_sink(r, sink);
            (void)touch(g);
        }
    }
    if (s == WF_OK) {
        (void)wf_gguf_reader_finish(r, &o.err);
    }
    o.position = wf_gguf_reader_position(r);
    wf_gguf_reader_free(r);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size + 1); /* its own block, so that a read past the end is seen */
    memcpy(exact, data, size);
    for (int known = 0; known < 2; known++) {
        outcome whole = run(exact, size, size, known ? size : 0);
        outcome bytes = run(exact, size, size <= 65536 ? 1 : 1000, known ? size : 0);
        if (whole.err.code != bytes.err.code || strcmp(whole.err.text, bytes.err.text) != 0 ||
            whole.delivered != bytes.delivered || whole.hash != bytes.hash ||
            (whole.err.code == WF_OK && whole.position != bytes.position)) {
            abort();
        }
    }
    free(exact);
    return 0;
}
