/* The dtype table, and the element-wise float formats. Block formats have files of their own. */
#include "tensor/dtype.h"

#include <string.h>

#include "base/bytes.h"
#include "base/half.h"
#include "tensor/q4_0.h"
#include "tensor/q8_0.h"

static void f32_decode(const void *src, float *dst, size_t k) { memcpy(dst, src, k * sizeof *dst); }

static void f32_encode(const float *src, void *dst, size_t k) { memcpy(dst, src, k * sizeof *src); }

static void f16_decode(const void *src, float *dst, size_t k) {
    const uint8_t *s = src;
    for (size_t i = 0; i < k; i++) {
        dst[i] = wf_f16_to_f32(wf_load_u16(s + 2 * i));
    }
}

static void f16_encode(const float *src, void *dst, size_t k) {
    uint8_t *d = dst;
    for (size_t i = 0; i < k; i++) {
        uint16_t h = wf_f32_to_f16(src[i]);
        d[2 * i] = (uint8_t)h;
        d[2 * i + 1] = (uint8_t)(h >> 8);
    }
}

static void bf16_decode(const void *src, float *dst, size_t k) {
    const uint8_t *s = src;
    for (size_t i = 0; i < k; i++) {
        dst[i] = wf_bf16_to_f32(wf_load_u16(s + 2 * i));
    }
}

static void bf16_encode(const float *src, void *dst, size_t k) {
    uint8_t *d = dst;
    for (size_t i = 0; i < k; i++) {
        uint16_t h = wf_f32_to_bf16(src[i]);
        d[2 * i] = (uint8_t)h;
        d[2 * i + 1] = (uint8_t)(h >> 8);
    }
}

static void f64_decode(const void *src, float *dst, size_t k) {
    const uint8_t *s = src;
    for (size_t i = 0; i < k; i++) {
        uint64_t bits = wf_load_u64(s + 8 * i);
        double d;
        memcpy(&d, &bits, sizeof d);
        dst[i] = (float)d;
    }
}

/* The integers themselves: steps of rows are tensors of their own (X.weight.scale), applied by who reads them. */
static void i8_decode(const void *src, float *dst, size_t k) {
    const uint8_t *s = src;
    for (size_t i = 0; i < k; i++) {
        dst[i] = (float)(int8_t)s[i];
    }
}

/* decode, encode of each type that holds weights. */
#define NO_CODEC NULL, NULL
#define F32_CODEC f32_decode, f32_encode
#define F16_CODEC f16_decode, f16_encode
#define BF16_CODEC bf16_decode, bf16_encode
#define F64_CODEC f64_decode, NULL
#define Q4_0_CODEC wf_q4_0_decode, wf_q4_0_encode
#define Q8_0_CODEC wf_q8_0_decode, wf_q8_0_encode
#define I8_CODEC i8_decode, NULL
#define I16_CODEC NO_CODEC
#define I32_CODEC NO_CODEC
#define I64_CODEC NO_CODEC

static const wf_dtype_info table[WF_DTYPE_COUNT] = {
#define WF_DTYPE(name, gguf_id, block, bytes) {#name, gguf_id, block, bytes, name##_CODEC},
#include "tensor/dtypes.def"
#undef WF_DTYPE
};

const wf_dtype_info *wf_dtype_get(wf_dtype type) { return &table[type]; }

bool wf_dtype_from_gguf(uint32_t id, wf_dtype *out) {
    for (int i = 0; i < WF_DTYPE_COUNT; i++) {
        if (table[i].gguf_id == id) {
            *out = (wf_dtype)i;
            return true;
        }
    }
    return false;
}

const char *wf_gguf_type_name(uint32_t id) {
    static const char *const names[] = {
        "F32",     "F16",     "Q4_0",  "Q4_1",   NULL,    NULL,    "Q5_0",   "Q5_1",  "Q8_0",
        "Q8_1",    "Q2_K",    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",   "IQ2_XXS", "IQ2_XS",
        "IQ3_XXS", "IQ1_S",   "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",
        "I64",     "F64",     "IQ1_M", "BF16",   NULL,    NULL,    NULL,     "TQ1_0", "TQ2_0",
        NULL,      NULL,      NULL,    "MXFP4",  "NVFP4", "Q1_0",  "Q2_0"};
    return id < sizeof names / sizeof names[0] ? names[id] : NULL;
}

uint64_t wf_dtype_row_bytes(wf_dtype type, uint64_t k) { return k / table[type].block * table[type].bytes; }
