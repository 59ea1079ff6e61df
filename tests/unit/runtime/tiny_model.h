/* A small PoolFormer as a GGUF file in memory, with random weights: stages 16 and 24 wide, one block each, 10 classes. */
#ifndef WF_TESTS_TINY_MODEL_H
#define WF_TESTS_TINY_MODEL_H

#include <stdlib.h>

#include "check.h"
#include "format/gguf.h"
#include "kernels/op.h"
#include "wasmformer.h"

typedef struct tiny_file {
    unsigned char *bytes;
    size_t size, capacity;
} tiny_file;

static inline wf_status tiny_write(void *user, const void *bytes, size_t n, wf_error *err) {
    tiny_file *f = user;
    (void)err;
    if (f->size + n > f->capacity) {
        f->capacity = (f->size + n) * 2;
        f->bytes = realloc(f->bytes, f->capacity);
    }
    memcpy(f->bytes + f->size, bytes, n);
    f->size += n;
    return WF_OK;
}

typedef struct tiny_tensor {
    char name[48];
    uint32_t rows, k; /* rows = 0: a vector */
} tiny_tensor;

static inline uint32_t tiny_list(tiny_tensor *t) {
    static const uint32_t width[2] = {16, 24}, hidden[2] = {40, 33};
    uint32_t n = 0;
#define TINY(rows_, k_, ...) (snprintf(t[n].name, sizeof t[n].name, __VA_ARGS__), t[n].rows = (rows_), t[n].k = (k_), n++)
    TINY(16, 147, "stem.weight");
    TINY(0, 16, "stem.bias");
    for (uint32_t s = 0; s < 2; s++) {
        uint32_t c = width[s], h = hidden[s];
        if (s > 0) {
            TINY(c, 9 * width[s - 1], "stage.%u.down.weight", s);
            TINY(0, c, "stage.%u.down.bias", s);
        }
        TINY(0, c, "stage.%u.blk.0.norm1.weight", s);
        TINY(0, c, "stage.%u.blk.0.norm1.bias", s);
        TINY(0, c, "stage.%u.blk.0.scale1", s);
        TINY(0, c, "stage.%u.blk.0.norm2.weight", s);
        TINY(0, c, "stage.%u.blk.0.norm2.bias", s);
        TINY(h, c, "stage.%u.blk.0.ffn_up.weight", s);
        TINY(0, h, "stage.%u.blk.0.ffn_up.bias", s);
        TINY(c, h, "stage.%u.blk.0.ffn_down.weight", s);
        TINY(0, c, "stage.%u.blk.0.ffn_down.bias", s);
        TINY(0, c, "stage.%u.blk.0.scale2", s);
    }
    TINY(0, 24, "norm.weight");
    TINY(0, 24, "norm.bias");
    TINY(10, 24, "head.weight");
    TINY(0, 10, "head.bias");
#undef TINY
    return n;
}

static inline void tiny_metadata(wf_gguf_writer *w, wf_error *err) {
    static const uint32_t blocks[2] = {1, 1}, width[2] = {16, 24}, hidden[2] = {40, 33}, down[2] = {0, 1}, none[2] = {0, 0};
    static const char *const mixers[2] = {"pool", "pool"};
    static const char *const taps[] = {"network.0.0.token_mixer|stage.0.blk.0.mixer|nchw", "network.0|stage.0|nchw", "norm|norm|nchw"};
    wf_gguf_add_string(w, "general.architecture", "poolformer", err);
    wf_gguf_add_array(w, "poolformer.block_count", WF_GGUF_U32, blocks, 2, err);
    wf_gguf_add_array(w, "poolformer.embedding_length", WF_GGUF_U32, width, 2, err);
    wf_gguf_add_array(w, "poolformer.feed_forward_length", WF_GGUF_U32, hidden, 2, err);
    wf_gguf_add_array(w, "poolformer.downsample", WF_GGUF_U32, down, 2, err);
    wf_gguf_add_array(w, "poolformer.position.height", WF_GGUF_U32, none, 2, err);
    wf_gguf_add_array(w, "poolformer.position.width", WF_GGUF_U32, none, 2, err);
    wf_gguf_add_array(w, "poolformer.mixer", WF_GGUF_STRING, mixers, 2, err);
    wf_gguf_add_u32(w, "poolformer.pool_size", 3, err);
    wf_gguf_add_u32(w, "poolformer.stem.kernel", 7, err);
    wf_gguf_add_u32(w, "poolformer.stem.stride", 4, err);
    wf_gguf_add_u32(w, "poolformer.stem.padding", 2, err);
    wf_gguf_add_u32(w, "poolformer.downsample.kernel", 3, err);
    wf_gguf_add_u32(w, "poolformer.downsample.stride", 2, err);
    wf_gguf_add_u32(w, "poolformer.downsample.padding", 1, err);
    wf_gguf_add_string(w, "poolformer.norm", "group_norm", err);
    wf_gguf_add_f32(w, "poolformer.norm_epsilon", 1e-5f, err);
    wf_gguf_add_bool(w, "poolformer.layer_scale", true, err);
    wf_gguf_add_string(w, "poolformer.head", "norm_pool", err);
    wf_gguf_add_string(w, "poolformer.head.norm", "group_norm", err);
    wf_gguf_add_f32(w, "poolformer.head.norm_epsilon", 1e-5f, err);
    wf_gguf_add_u32(w, "poolformer.class_count", 10, err);
    wf_gguf_add_u32(w, "poolformer.input.channels", 3, err);
    wf_gguf_add_u32(w, "poolformer.input.height", 32, err);
    wf_gguf_add_u32(w, "poolformer.input.width", 32, err);
    wf_gguf_add_array(w, "wf.taps", WF_GGUF_STRING, taps, 3, err);
}

static inline tiny_file tiny_make(wf_dtype matrix_type) {
    tiny_file f = {NULL, 0, 0};
    tiny_tensor tensors[64];
    wf_gguf_writer *w = NULL;
    wf_error err;
    wf_error_clear(&err);
    wf_byte_sink sink = {&f, tiny_write};
    uint32_t count = tiny_list(tensors), block = wf_dtype_get(matrix_type)->block;
    wf_gguf_writer_create(&w, &err);
    tiny_metadata(w, &err);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t dims[2] = {tensors[i].k, tensors[i].rows};
        if (tensors[i].rows != 0) {
            dims[0] = wf_round_up(tensors[i].k, block);
        }
        wf_gguf_add_tensor(w, tensors[i].name, tensors[i].rows != 0 ? matrix_type : WF_F32, tensors[i].rows != 0 ? 2 : 1, dims, &err);
    }
    wf_gguf_write_header(w, sink, &err);
    wf_test_seed(7);
    for (uint32_t i = 0; i < count; i++) {
        bool matrix = tensors[i].rows != 0;
        wf_dtype type = matrix ? matrix_type : WF_F32;
        uint32_t k = matrix ? wf_round_up(tensors[i].k, block) : tensors[i].k;
        float row[512];
        unsigned char encoded[2048];
        for (uint32_t r = 0; r < (matrix ? tensors[i].rows : 1); r++) {
            float scale = matrix ? 1.7f / sqrtf((float)tensors[i].k) : 1.0f;
            memset(row, 0, sizeof row);
            wf_test_fill(row, tensors[i].k, -scale, scale);
            wf_dtype_get(type)->encode(row, encoded, k);
            wf_gguf_write_data(w, encoded, (size_t)wf_dtype_row_bytes(type, k), &err);
        }
    }
    wf_gguf_write_end(w, &err);
    wf_gguf_writer_free(w);
    CHECK(err.code == WF_OK, "%s", err.text);
    return f;
}

static inline wf_model *tiny_load(const tiny_file *f, wf_backend backend, uint32_t threads, bool int8_rows, wf_error *err) {
    wf_options o = wf_options_default();
    wf_model *m = NULL;
    o.backend = backend;
    o.threads = threads;
    o.int8_rows = int8_rows;
    o.file_name = "tiny.gguf";
    CHECK_OK(wf_model_open(&o, &m, err), *err);
    CHECK_OK(wf_model_feed(m, f->bytes, f->size, err), *err);
    CHECK_OK(wf_model_finish(m, err), *err);
    return m;
}

/* Runs n pictures of h × w made of seeded noise; logits: [n, 10]. */
static inline void tiny_run(wf_session *s, uint32_t n, uint32_t h, uint32_t w, uint32_t seed, float *logits, wf_error *err) {
    wf_progress p = WF_YIELD;
    CHECK_OK(wf_session_prepare(s, n, h, w, err), *err);
    wf_test_seed(seed);
    wf_test_fill(wf_session_input(s), wf_session_input_elements(s), -2, 2);
    CHECK_OK(wf_session_start(s, err), *err);
    while (p == WF_YIELD && err->code == WF_OK) {
        CHECK_OK(wf_session_step(s, 100000, &p, err), *err);
    }
    CHECK(p == WF_DONE, "progress %d", (int)p);
    CHECK_OK(wf_session_read_f32(s, 0, logits, err), *err);
}

#endif
