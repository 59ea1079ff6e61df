/* The kernels of the engine as jobs that tests/bench/kernels.mjs times: real op calls on noise, run as the
   executor runs them (tiles through the pool), beside what bounds them: a bare matrix product
   (prototype.c) and loops that read or copy memory. A job may have several copies of its weights,
   taken in turn: a model's weights are cold when their layer's turn comes. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/simd.h"
#include "graph/op_table.h"
#include "kernels/codec.h"
#include "kernels/simd128/quantize_row.h"
#include "kernels/simd128/softmax_row.h"
#include "prototype.h"

#define EXPORT(name) __attribute__((export_name(#name), used))

enum { JOBS = 64, COPIES = 64 };

typedef struct job {
    void (*tile)(void *job, uint32_t tile, uint32_t thread); /* NULL: an op call */
    uint32_t tiles;
    wf_op_call call;
    wf_op_params p;
    const wf_op_impl *impl;
    void *matrices[COPIES];
    uint32_t copies, turn, phase;
    char *scratch;
    size_t scratch_bytes;
    prototype product;
    const float *from; /* memory loops and functions: [count] */
    void *to;
    size_t count;
} job;

static job jobs[JOBS];
static uint32_t job_count;
static void *blocks[4096];
static uint32_t block_count;
static wf_pool *pool;
static uint32_t threads = 1;

static void *take(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (p == NULL || block_count == sizeof blocks / sizeof *blocks) {
        __builtin_trap();
    }
    blocks[block_count++] = p;
    return p;
}

static float *noise(size_t count) {
    static uint32_t state = 1;
    float *x = take(count * sizeof *x);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)state * (1.0f / 2147483648.0f);
    }
    return x;
}

/* Rows of c, padded with zeros. */
static float *noise_rows(const wf_shape *s) {
    uint32_t stride = s->layout == WF_LAYOUT_NCHW ? s->c : wf_shape_stride(s);
    float *x = noise((size_t)wf_shape_elements(s));
    for (size_t row = 0; row < wf_shape_rows(s); row++) {
        memset(x + row * stride + s->c, 0, (stride - s->c) * sizeof *x);
    }
    return x;
}

static job *add(void) {
    if (job_count == JOBS) {
        __builtin_trap();
    }
    job *j = &jobs[job_count++];
    memset(j, 0, sizeof *j);
    j->call.p = &j->p;
    return j;
}

EXPORT(bench_reset) void bench_reset(void) {
    while (block_count > 0) {
        free(blocks[--block_count]);
    }
    job_count = 0;
}

/* ---- threads: the pool of the engine; a worker calls bench_help on a stack of its own ---- */
EXPORT(bench_stack) void *bench_stack(void) { return (char *)aligned_alloc(64, 1 << 17) + (1 << 17); }
EXPORT(bench_tls) void *bench_tls(void) { return aligned_alloc(64, (__builtin_wasm_tls_size() + 127) / 64 * 64); }
EXPORT(bench_threads) int bench_threads(uint32_t n) {
    wf_error err;
    threads = n;
    return (int)wf_pool_create(n, &pool, &err);
}
EXPORT(bench_ready) uint32_t bench_ready(void) { return wf_pool_ready(pool); }
EXPORT(bench_help) void bench_help(uint32_t thread) { wf_pool_help(pool, thread); }

/* ---- ops ---- */
static uint32_t finish_call(job *j, wf_op op) {
    wf_error err;
    if (wf_op_get(op)->infer(&j->call, "bench", &j->call.out.shape, &err) != WF_OK) {
        __builtin_trap();
    }
    j->impl = wf_op_get(op)->simd;
    for (int i = 0; i < WF_OP_INPUTS; i++) {
        if (j->call.in[i].shape.c != 0) {
            j->call.in[i].data = noise_rows(&j->call.in[i].shape);
        }
    }
    j->call.out.data = noise((size_t)wf_shape_elements(&j->call.out.shape));
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        wf_weight *w = &j->call.w[i];
        if (w->n != 0 && w->data == NULL) {
            w->data = noise((size_t)w->n * wf_round_up(w->k, WF_LANES));
            memset((float *)w->data + w->k, 0, (wf_round_up(w->k, WF_LANES) - w->k) * sizeof(float));
        }
    }
    if (j->impl->workspace_bytes != NULL) {
        j->call.workspace = take(j->impl->workspace_bytes(&j->call));
    }
    if (j->impl->scratch_bytes != NULL) {
        j->scratch_bytes = (j->impl->scratch_bytes(&j->call) + 63) / 64 * 64;
        j->scratch = take(j->scratch_bytes * threads);
    }
    return (uint32_t)(j - jobs);
}

static void *pack_matrix(const wf_weight *w, const wf_codec *codec) {
    const wf_dtype_info *type = wf_dtype_get(w->type);
    uint32_t stored_k = wf_round_up(w->k, type->block);
    size_t row = (size_t)wf_dtype_row_bytes(w->type, stored_k);
    char *packed = take(codec->packed_bytes(w->n, w->k)), *stored = malloc(8 * row);
    float *x = noise(8 * (size_t)stored_k);
    for (uint32_t r = 0; r < 8; r++) { /* the same eight rows in each panel: encoding is slow */
        if (w->type != WF_I8) {
            type->encode(x + (size_t)r * stored_k, stored + r * row, stored_k);
        }
        for (uint32_t i = 0; w->type == WF_I8 && i < stored_k; i++) {
            stored[r * row + i] = (char)(64 * x[(size_t)r * stored_k + i]); /* pairs fit (WF_PAIRS_MOST) */
        }
    }
    for (uint32_t panel = 0; panel * WF_PANEL < w->n; panel++) {
        uint32_t rows = w->n - panel * WF_PANEL < WF_PANEL ? w->n - panel * WF_PANEL : WF_PANEL;
        codec->pack(packed, w->n, w->k, panel, stored, rows, stored_k);
    }
    free(stored);
    return packed;
}

/* A grid for bytes: scale, zero, no gains. */
static void set_grid(wf_weight *w, float scale, float zero) {
    for (int i = 0; i < 2; i++) {
        w[i] = (wf_weight){take(WF_LANES * sizeof(float)), WF_PACK_VECTOR, WF_F32, 1, 1};
        *(float *)w[i].data = i == 0 ? scale : zero;
    }
}

/* rows × k → n. parts: 1 bias, 2 GELU, 4 layer scale and residual; I8 alone: 8 bytes in, 16 bytes out. */
EXPORT(bench_linear) int32_t bench_linear(wf_dtype type, uint32_t int8_rows, uint32_t m, uint32_t k, uint32_t n,
                                          uint32_t parts, uint32_t copies) {
    const wf_codec *codec = wf_codec_get(type, int8_rows != 0);
    if (codec == NULL || copies > COPIES) {
        return -1;
    }
    job *j = add();
    j->p.int8_rows = int8_rows;
    j->p.act = parts & 2 ? WF_ACT_GELU_ERF : WF_ACT_NONE;
    j->call.in[0].shape = (wf_shape){1, m, 1, k, WF_LAYOUT_ROWS};
    if (parts & 4) {
        j->call.in[1].shape = (wf_shape){1, m, 1, n, WF_LAYOUT_ROWS};
        j->call.w[2] = (wf_weight){NULL, WF_PACK_VECTOR, WF_F32, 1, n};
    }
    if (parts & 1) {
        j->call.w[1] = (wf_weight){NULL, WF_PACK_VECTOR, WF_F32, 1, n};
    }
    if (type == WF_I8) { /* without parts & 8: rows of floats, quantized with a step each */
        j->call.w[WF_W_STEPS] = (wf_weight){NULL, WF_PACK_VECTOR, WF_F32, 1, n};
        if (parts & 8) {
            j->p.in_u8 = 1;
            set_grid(&j->call.w[WF_W_IN_GRID], 0.01f, 128);
        }
        if (parts & 16) {
            j->p.out_u8 = 1;
            set_grid(&j->call.w[WF_W_OUT_GRID], 0.01f, 17);
        }
    }
    wf_weight *w = &j->call.w[0];
    *w = (wf_weight){NULL, WF_PACK_PANELS, type, n, k};
    j->copies = copies;
    j->matrices[0] = pack_matrix(w, codec);
    for (uint32_t i = 1; i < copies; i++) {
        j->matrices[i] = take(codec->packed_bytes(n, k));
        memcpy(j->matrices[i], j->matrices[0], codec->packed_bytes(n, k));
    }
    w->data = j->matrices[0];
    return (int32_t)finish_call(j, WF_OP_LINEAR);
}

/* wf_dot. */
EXPORT(bench_dot) uint32_t bench_dot(void) { return (uint32_t)wf_dot_current(); }

EXPORT(bench_packed_bytes) double bench_packed_bytes(wf_dtype type, uint32_t int8_rows, uint32_t k, uint32_t n) {
    const wf_codec *codec = wf_codec_get(type, int8_rows != 0);
    return codec != NULL ? (double)codec->packed_bytes(n, k) : 0;
}

/* A convolution of PoolFormer: kernel × kernel, on h × w × c (3 channels: the picture). */
EXPORT(bench_conv) int32_t bench_conv(uint32_t h, uint32_t w, uint32_t c, uint32_t n, uint32_t kernel, uint32_t stride,
                                      uint32_t pad) {
    job *j = add();
    j->p.kernel_h = j->p.kernel_w = kernel;
    j->p.stride_h = j->p.stride_w = stride;
    j->p.pad_h = j->p.pad_w = pad;
    j->call.in[0].shape = (wf_shape){1, h, w, c, c == 3 ? WF_LAYOUT_NCHW : WF_LAYOUT_ROWS};
    j->call.w[0] = (wf_weight){NULL, WF_PACK_PANELS, WF_F32, n, kernel * kernel * c};
    j->call.w[1] = (wf_weight){NULL, WF_PACK_VECTOR, WF_F32, 1, n};
    j->call.w[0].data = pack_matrix(&j->call.w[0], wf_codec_get(WF_F32, false));
    return (int32_t)finish_call(j, WF_OP_CONV2D);
}

/* Any other op on one map, with its weights w0 and w1 where it takes them. */
EXPORT(bench_op) int32_t bench_op(const char *name, uint32_t norm_by, uint32_t h, uint32_t w, uint32_t c, uint32_t weights) {
    for (wf_op op = (wf_op)(WF_OP_INPUT + 1); op < WF_OP_COUNT; op++) {
        if (strcmp(wf_op_get(op)->name, name) != 0) {
            continue;
        }
        job *j = add();
        j->p.eps = 1e-5f;
        j->p.norm_by = norm_by;
        j->p.kernel_h = j->p.kernel_w = 3;
        j->p.pad_h = j->p.pad_w = 1;
        j->p.minus_input = 1;
        j->call.in[0].shape = (wf_shape){1, h, w, c, WF_LAYOUT_ROWS};
        if (op == WF_OP_RESIDUAL) {
            j->call.in[1].shape = j->call.in[0].shape;
        }
        if (op == WF_OP_ATTENTION) {
            j->p.heads = c / 32;
            j->p.head_dim = 32;
            j->p.scale = 0.2f;
            j->call.in[0].shape.c = 3 * c;
        }
        for (uint32_t i = 0; i < weights; i++) {
            j->call.w[i] = (wf_weight){NULL, WF_PACK_VECTOR, WF_F32, 1, c};
        }
        return (int32_t)finish_call(j, op);
    }
    return -1;
}
EXPORT(bench_text) char *bench_text(void) {
    static char text[64];
    return text;
}

/* ---- what bounds them ---- */
static void prototype_tile(void *arg, uint32_t tile, uint32_t thread) {
    (void)thread;
    job *j = arg;
    (j->product.int8 ? prototype_i8_run : prototype_run)(&j->product, tile, j->tiles);
}

/* A bare product of `rows` × 4·`vectors` register tiles, of floats or of integers; -1 when there is no such tile. */
EXPORT(bench_prototype) int32_t bench_prototype(uint32_t rows, uint32_t vectors, uint32_t m, uint32_t k, uint32_t n, uint32_t int8) {
    prototype p = {.rows = rows, .vectors = vectors, .k = k, .int8 = int8 != 0};
    if (!(int8 ? prototype_i8_exists : prototype_exists)(&p)) {
        return -1;
    }
    p.m = (m + rows * threads - 1) / (rows * threads) * (rows * threads);
    p.n = (n + 4 * vectors - 1) / (4 * vectors) * (4 * vectors);
    job *j = add();
    p.a = noise((size_t)p.m * k);
    p.b = noise((size_t)p.n * k);
    p.c = noise((size_t)p.m * p.n);
    j->product = p;
    j->tile = prototype_tile;
    j->tiles = threads;
    return (int32_t)(j - jobs);
}
/* The multiply–adds that it really does, rounded up to whole tiles. */
EXPORT(bench_prototype_work) double bench_prototype_work(uint32_t job) {
    const prototype *p = &jobs[job].product;
    return (double)p->m * p->n * p->k;
}

/* A part of `count` floats (a multiple of 64) for one thread. */
static size_t part_begin(const job *j, uint32_t part) { return (size_t)((uint64_t)j->count * part / j->tiles) / 64 * 64; }

static void read_tile(void *arg, uint32_t tile, uint32_t thread) {
    (void)thread;
    const job *j = arg;
    v128_t sum[8];
    WF_UNROLL for (int v = 0; v < 8; v++) {
        sum[v] = wasm_i32x4_splat(0);
    }
    for (size_t i = part_begin(j, tile), end = part_begin(j, tile + 1); i < end; i += 32) {
        WF_UNROLL for (int v = 0; v < 8; v++) {
            sum[v] = wasm_v128_xor(sum[v], wasm_v128_load(j->from + i + 4 * v));
        }
    }
    WF_UNROLL for (int v = 1; v < 8; v++) {
        sum[0] = wasm_v128_xor(sum[0], sum[v]);
    }
    wasm_v128_store((char *)j->to + 64 * tile, sum[0]);
}

#define EACH(name, step, body)                                                                \
    static void name(void *arg, uint32_t tile, uint32_t thread) {                             \
        (void)thread;                                                                         \
        const job *j = arg;                                                                   \
        const float *x = j->from;                                                             \
        float *y = j->to;                                                                     \
        for (size_t i = part_begin(j, tile), end = part_begin(j, tile + 1); i < end; i += step) { \
            WF_UNROLL for (int v = 0; v < step; v += 4) { body }                              \
        }                                                                                     \
    }
EACH(copy_tile, 32, { wasm_v128_store(y + i + v, wasm_v128_load(x + i + v)); })
#define FUNCTION(name, many)                                                  \
    EACH(name, 16, {                                                          \
        if (v == 0) {                                                         \
            v128_t e[4];                                                      \
            WF_EACH(n, 4) e[n] = wasm_v128_load(x + i + 4 * n);                \
            many(e, 4);                                                       \
            WF_EACH(n, 4) wasm_v128_store(y + i + 4 * n, e[n]);                \
        }                                                                     \
    })
FUNCTION(exp_tile, wf_exp_many)
FUNCTION(gelu_tile, wf_gelu_many)

static void quantize_tile(void *arg, uint32_t tile, uint32_t thread) {
    (void)thread;
    const job *j = arg;
    size_t begin = part_begin(j, tile);
    wf_quantize_row(wf_dot_current(), j->from + begin, (uint32_t)(part_begin(j, tile + 1) - begin), (int16_t *)j->to + begin);
}

static const float softmax_scale = 1;
/* Rows of 128 scores, copied to where the softmax is made, and divided. */
static void softmax_tile(void *arg, uint32_t tile, uint32_t thread) {
    (void)thread;
    const job *j = arg;
    const float scale = *(const volatile float *)&softmax_scale; /* unknown to the compiler, as in a model */
    for (size_t i = part_begin(j, tile); i + 128 <= part_begin(j, tile + 1); i += 128) {
        float *y = (float *)j->to + i;
        for (int v = 0; v < 128; v += 16) {
            WF_EACH(n, 4) wasm_v128_store(y + v + 4 * n, wasm_v128_load(j->from + i + v + 4 * n));
        }
        v128_t inverse = wasm_f32x4_splat(wf_softmax_row(y, 128, 128, scale));
        for (int v = 0; v < 128; v += 16) {
            WF_EACH(n, 4) wasm_v128_store(y + v + 4 * n, wasm_f32x4_mul(wasm_v128_load(y + v + 4 * n), inverse));
        }
    }
}

/* kind: 0 read, 1 copy, 2 exp, 3 gelu, 4 quantize a row, 5 softmax; `count` floats, a multiple of 64. */
EXPORT(bench_loop) int32_t bench_loop(uint32_t kind, uint32_t count) {
    static void (*const tiles[])(void *, uint32_t, uint32_t) = {read_tile, copy_tile, exp_tile, gelu_tile, quantize_tile,
                                                              softmax_tile};
    job *j = add();
    j->count = count;
    j->from = noise(count);
    j->to = take((size_t)count * sizeof(float));
    memset(j->to, 0, (size_t)count * sizeof(float));
    j->tile = tiles[kind];
    j->tiles = threads;
    return (int32_t)(j - jobs);
}

/* ---- running ---- */
static void call_tile(void *arg, uint32_t tile, uint32_t thread) {
    const job *j = arg;
    j->impl->run(&j->call, j->phase, tile, j->scratch + thread * j->scratch_bytes);
}

EXPORT(bench_run) void bench_run(uint32_t index, uint32_t times) {
    job *j = &jobs[index];
    while (times-- > 0) {
        if (j->tile != NULL) {
            wf_pool_run(pool, j->tiles, j->tile, j);
            continue;
        }
        if (j->copies > 1) {
            j->turn = (j->turn + 1) % j->copies;
            j->call.w[0].data = j->matrices[j->turn];
        }
        for (j->phase = 0; j->phase < j->impl->phases; j->phase++) {
            wf_pool_run(pool, j->impl->tiles(&j->call, j->phase), call_tile, j);
        }
    }
}
