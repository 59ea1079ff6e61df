/* Opens a checkpoint by its first bytes and reads tensors out of it. A tensor is a view of a
   storage in the file (offset and strides in elements, as in PyTorch); reading walks its elements
   in row-major order, in runs that lie together. Scattered elements that lie close are read in one
   piece and picked from memory, others run by run. */
#include "format/source.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/half.h"
#include "format/gguf.h"
#include "format/sniff.h"

enum { PIECE_BYTES = 256 * 1024 };

wf_status wf_source_open(wf_file file, wf_source *out, wf_error *err) {
    uint8_t head[32] = {0};
    size_t n = file.size < sizeof head ? (size_t)file.size : sizeof head;
    const char *sentence;
    memset(out, 0, sizeof *out);
    if (n == 0) {
        return wf_fail(err, WF_E_TRUNCATED, "checkpoint", 0, "the file is empty: check the path");
    }
    WF_TRY(file.read(file.user, 0, head, n, err));
    switch (wf_sniff(head, n, &sentence)) {
    case WF_SNIFFED_SAFETENSORS: return wf_safetensors_open(file, out, err);
    case WF_SNIFFED_ZIP: return wf_torch_zip_open(file, out, err);
    case WF_SNIFFED_TORCH_LEGACY: return wf_torch_legacy_open(file, out, err);
    default: break;
    }
    if (sentence != NULL) {
        return wf_fail(err, WF_E_UNSUPPORTED, "checkpoint", 0, "this is %s", sentence);
    }
    char hex[12];
    wf_sniff_hex(head, n, hex);
    return wf_fail(err, WF_E_UNSUPPORTED, "checkpoint", 0,
                   "this is no checkpoint that is known: it begins with the bytes %s; safetensors "
                   "files and PyTorch's .pth "
                   "files (torch.save) are read",
                   hex);
}

wf_status wf_source_or_model_open(wf_file file, wf_source *out, wf_error *err) {
    uint8_t head[4] = {0};
    const char *sentence;
    if (file.size >= sizeof head) {
        WF_TRY(file.read(file.user, 0, head, sizeof head, err));
    }
    return wf_sniff(head, sizeof head, &sentence) == WF_SNIFFED_GGUF ? wf_gguf_source_open(file, out, err) : wf_source_open(file, out, err);
}

void wf_source_close(wf_source *s) {
    wf_gguf_reader_free(s->gguf_reader);
    wf_arena_free(&s->arena);
    memset(s, 0, sizeof *s);
}

const wf_source_tensor *wf_source_find(const wf_source *s, const char *name) {
    uint64_t low = 0, high = s->tensor_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const wf_source_tensor *t = &s->tensors[s->by_name[middle]];
        int order = strcmp(t->name, name);
        if (order == 0) {
            return t;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* ---- decoding: stored little-endian elements to float or double ---- */

static double load_f64(const uint8_t *p) {
    uint64_t bits = wf_load_u64(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

#define DECODE(real)                                                                              \
    static void decode_##real(const wf_source_tensor *t, const uint8_t *p, real *dst, size_t n) { \
        for (size_t i = 0; i < n; i++) {                                                          \
            switch (t->type) {                                                                    \
            case WF_F32: dst[i] = (real)wf_bits_float(wf_load_u32(p + 4 * i)); break;             \
            case WF_F16: dst[i] = (real)wf_f16_to_f32(wf_load_u16(p + 2 * i)); break;             \
            case WF_BF16: dst[i] = (real)wf_bf16_to_f32(wf_load_u16(p + 2 * i)); break;           \
            case WF_F64: dst[i] = (real)load_f64(p + 8 * i); break;                               \
            case WF_I64: dst[i] = (real)(int64_t)wf_load_u64(p + 8 * i); break;                   \
            case WF_I32: dst[i] = (real)(int32_t)wf_load_u32(p + 4 * i); break;                   \
            case WF_I16: dst[i] = (real)(int16_t)wf_load_u16(p + 2 * i); break;                   \
            default:                                                                              \
                dst[i] = t->is_bool ? (real)(p[i] != 0)                                           \
                         : t->is_u8 ? (real)p[i]                                                  \
                                    : (real)(int8_t)p[i];                                         \
            }                                                                                     \
        }                                                                                         \
    }
DECODE(float)
DECODE(double)

/* ---- reading ---- */

typedef struct reading {
    const wf_source *s;
    const wf_source_tensor *t;
    uint64_t size; /* bytes an element */
    uint64_t run;  /* elements that lie together at the end of the row-major order */
    bool wide;     /* dst holds doubles */
    void *dst;
    uint64_t done;
    uint8_t *buffer;
} reading;

static uint64_t run_of(const wf_source_tensor *t) {
    uint64_t run = 1;
    for (uint32_t d = t->n_dims; d-- > 0;) {
        if (t->dims[d] != 1 && (uint64_t)t->strides[d] != run) {
            break;
        }
        run *= t->dims[d];
    }
    return run;
}

/* Storage element of the row-major element i. */
static uint64_t place_of(const wf_source_tensor *t, uint64_t i) {
    uint64_t at = t->first;
    for (uint32_t d = t->n_dims; d-- > 0;) {
        at += i % t->dims[d] * (uint64_t)t->strides[d];
        i /= t->dims[d];
    }
    return at;
}

static void decode(reading *r, const uint8_t *p, uint64_t n) {
    if (r->wide) {
        decode_double(r->t, p, (double *)r->dst + r->done, (size_t)n);
    } else {
        decode_float(r->t, p, (float *)r->dst + r->done, (size_t)n);
    }
    r->done += n;
}

/* n elements that lie together from storage element `at` on. */
static wf_status read_run(reading *r, uint64_t at, uint64_t n, wf_error *err) {
    const wf_file *f = &r->s->file;
    while (n != 0) {
        uint64_t piece = PIECE_BYTES / r->size < n ? PIECE_BYTES / r->size : n;
        WF_TRY(f->read(f->user, r->t->storage_at + at * r->size, r->buffer,
                       (size_t)(piece * r->size), err));
        decode(r, r->buffer, piece);
        at += piece;
        n -= piece;
    }
    return WF_OK;
}

static wf_status no_memory(const wf_source_tensor *t, uint64_t bytes, wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, t->name, -1,
                   "no memory to read tensor \"%s\" (%llu bytes); close other programs", t->name,
                   (unsigned long long)bytes);
}

/* Runs of the requested elements, one after the other; with `whole` they are picked from one read
 * of [low, high]. */
static wf_status read_runs(reading *r, uint64_t first, uint64_t count, const uint8_t *whole,
                           uint64_t low, wf_error *err) {
    for (uint64_t i = first; i < first + count;) {
        uint64_t n = r->run - i % r->run;
        n = n < first + count - i ? n : first + count - i;
        uint64_t at = place_of(r->t, i);
        if (whole != NULL) {
            decode(r, whole + (at - low) * r->size, n);
        } else {
            WF_TRY(read_run(r, at, n, err));
        }
        i += n;
    }
    return WF_OK;
}

static wf_status read_strided(reading *r, uint64_t first, uint64_t count, wf_error *err) {
    const wf_file *f = &r->s->file;
    uint64_t low = UINT64_MAX, high = 0;
    for (uint64_t i = first; i < first + count;) {
        uint64_t n = r->run - i % r->run;
        n = n < first + count - i ? n : first + count - i;
        uint64_t at = place_of(r->t, i);
        low = at < low ? at : low;
        high = at + n - 1 > high ? at + n - 1 : high;
        i += n;
    }
    uint64_t span = (high - low + 1) * r->size;
    if (span > 4 * count * r->size + PIECE_BYTES || span > SIZE_MAX / 2) {
        return read_runs(r, first, count, NULL, 0, err);
    }
    uint8_t *whole = wf_alloc((size_t)span);
    if (whole == NULL) {
        return no_memory(r->t, span, err);
    }
    wf_status s = f->read(f->user, r->t->storage_at + low * r->size, whole, (size_t)span, err);
    if (s == WF_OK) {
        s = read_runs(r, first, count, whole, low, err);
    }
    wf_free(whole);
    return s;
}

static wf_status read_elements(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                               uint64_t count, bool wide, void *dst, wf_error *err) {
    if (first > t->elements || count > t->elements - first) {
        return wf_fail(
            err, WF_E_ARGUMENT, t->name, -1,
            "elements %llu … %llu of tensor \"%s\" were asked for, and it has %llu; ask for fewer",
            (unsigned long long)first, (unsigned long long)(first + count), t->name,
            (unsigned long long)t->elements);
    }
    if (count == 0) {
        return WF_OK;
    }
    reading r = {s, t, wf_dtype_get(t->type)->bytes, run_of(t), wide, dst, 0, NULL};
    r.buffer = wf_alloc(PIECE_BYTES);
    if (r.buffer == NULL) {
        return no_memory(t, PIECE_BYTES, err);
    }
    wf_status status = r.run == t->elements ? read_run(&r, t->first + first, count, err)
                                            : read_strided(&r, first, count, err);
    wf_free(r.buffer);
    return status;
}

enum { MASK_PIECE = 512 };

/* A pruned weight times its mask. */
static wf_status apply_mask(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                            uint64_t count, bool wide, void *dst, wf_error *err) {
    float mask[MASK_PIECE];
    for (uint64_t at = 0; at < count; at += MASK_PIECE) {
        uint64_t n = count - at < MASK_PIECE ? count - at : MASK_PIECE;
        WF_TRY(read_elements(s, t->mask, first + at, n, false, mask, err));
        for (uint64_t i = 0; i < n; i++) {
            if (wide) {
                ((double *)dst)[at + i] *= (double)mask[i];
            } else {
                ((float *)dst)[at + i] *= mask[i];
            }
        }
    }
    return WF_OK;
}

static wf_status read_masked(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                             uint64_t count, bool wide, void *dst, wf_error *err) {
    WF_TRY(read_elements(s, t, first, count, wide, dst, err));
    return t->mask != NULL ? apply_mask(s, t, first, count, wide, dst, err) : WF_OK;
}

wf_status wf_source_read_f32(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                             uint64_t count, float *dst, wf_error *err) {
    return read_masked(s, t, first, count, false, dst, err);
}

wf_status wf_source_read_f64(const wf_source *s, const wf_source_tensor *t, uint64_t first,
                             uint64_t count, double *dst, wf_error *err) {
    return read_masked(s, t, first, count, true, dst, err);
}
