/* linear and conv2d with I8 matrices, and norms that write bytes: the fast kernels against their scalar twins at awkward shapes,
   with floats or bytes in and out, static and dynamic, with and without gains, in all lowerings of the integer dot (same
   bits), with weights that fit WF_DOT_PAIRS and others, tiles in two orders with spoilt scratch, a segment alone against the batch. Buffers end at the exact byte, for ASan. */
#include <stdlib.h>

#include "base/simd.h"
#include "check.h"
#include "graph/op_table.h"
#include "kernels/codec.h"
#include "kernels/simd128/i8_panel.h"

typedef struct int8_case {
    wf_op op;
    wf_op_params p;
    wf_op_call simd, scalar;
    void *owned[40];
    int count;
} int8_case;

static void *take(int8_case *c, size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (p == NULL || c->count == 40) {
        printf("not ok int8_product: out of memory\n");
        exit(1);
    }
    memset(p, 0xff, (bytes + 63) / 64 * 64 + 64);
    c->owned[c->count++] = p;
    return p;
}

static void release(int8_case *c) {
    while (c->count > 0) {
        free(c->owned[--c->count]);
    }
}

/* Rows of noise with zero lanes (a picture: dense). */
static float *floats(int8_case *c, const wf_shape *s, float width) {
    size_t elements = (size_t)wf_shape_elements(s), stride = s->layout == WF_LAYOUT_NCHW ? elements : wf_shape_stride(s);
    float *x = take(c, elements * sizeof *x);
    wf_test_fill(x, elements, -width, 0.8f * width);
    for (size_t i = 0; i < elements; i++) {
        x[i] = s->layout == WF_LAYOUT_NCHW || i % stride < s->c ? x[i] : 0;
    }
    return x;
}

static wf_weight vector(int8_case *c, uint32_t k, float low, float high) {
    uint32_t stride = wf_round_up(k, WF_LANES);
    float *v = take(c, stride * sizeof *v);
    wf_test_fill(v, k, low, high);
    memset(v + k, 0, (stride - k) * sizeof *v);
    return (wf_weight){v, WF_PACK_VECTOR, WF_F32, 1, k};
}

static wf_weight number(int8_case *c, float value) {
    wf_weight w = vector(c, 1, 0, 1);
    *(float *)w.data = value;
    return w;
}

static void set_grid(int8_case *c, int slot, uint32_t channels, float scale, float zero, bool gain) {
    c->simd.w[slot] = number(c, scale);
    c->simd.w[slot + 1] = number(c, zero);
    if (gain) {
        c->simd.w[slot + 2] = vector(c, channels, 0.5f, 2);
    }
}

/* The matrix in panels and, for the scalar twin, dense. Rows hold extremes, so that 16-bit sums would saturate; or, where neighbours are to
   fit WF_DOT_PAIRS, all that just fits. */
static void set_matrix(int8_case *c, uint32_t n, uint32_t k, bool fits) {
    const wf_codec *codec = wf_codec_get(WF_I8, true);
    int8_t *q = take(c, (size_t)n * k);
    float *dense = take(c, (size_t)n * k * sizeof *dense);
    char *packed = take(c, codec->packed_bytes(n, k));
    for (size_t i = 0; i < (size_t)n * k; i++) {
        q[i] = i / k % 5 == 0 ? (i % 3 == 0 ? -127 : 127) : (int8_t)(wf_test_u32() % 255 - 127);
        if (fits && i % k % 2 == 1 && (q[i] < 0) == (q[i - 1] < 0)) {
            int32_t most = 128 - abs(q[i - 1]); /* ±127 beside ±1 */
            q[i] = (int8_t)(i / k % 5 == 0 || abs(q[i]) > most ? (q[i] < 0 ? -most : most) : q[i]);
        }
        dense[i] = q[i];
    }
    for (uint32_t panel = 0; panel * WF_PANEL < n; panel++) {
        uint32_t first = panel * WF_PANEL;
        codec->pack(packed, n, k, panel, q + (size_t)first * k, n - first < WF_PANEL ? n - first : WF_PANEL, k);
    }
    c->simd.w[0] = (wf_weight){packed, WF_PACK_PANELS, WF_I8, n, k};
    for (uint32_t panel = 0; panel * WF_PANEL < n; panel++) {
        CHECK(!fits || wf_i8_large(&c->simd.w[0])[panel] == 0, "panel %d has pairs that are too large", (int)panel);
    }
    c->scalar.w[0] = (wf_weight){dense, WF_PACK_DENSE, WF_F32, n, k};
}

static size_t out_bytes(const int8_case *c) {
    return (size_t)wf_shape_elements(&c->simd.out.shape) * (c->p.out_u8 ? 1 : sizeof(float));
}

static void run(const wf_op_impl *impl, wf_op_call *call, bool backwards) {
    size_t scratch = impl->scratch_bytes != NULL ? impl->scratch_bytes(call) : 0;
    size_t workspace = impl->workspace_bytes != NULL ? impl->workspace_bytes(call) : 0;
    char *mine = aligned_alloc(64, (scratch + 63) / 64 * 64 + 64);
    call->workspace = aligned_alloc(64, (workspace + 63) / 64 * 64 + 64);
    for (uint32_t phase = 0; phase < impl->phases; phase++) {
        for (uint32_t i = 0, tiles = impl->tiles(call, phase); i < tiles; i++) {
            memset(mine, 0xff, scratch);
            impl->run(call, phase, backwards ? tiles - 1 - i : i, mine);
        }
    }
    free(mine);
    free(call->workspace);
}

static void choose(wf_dot dot) {
#if !defined(__wasm__)
    wf_simd_dot_emulate(dot == WF_DOT_S8S8 ? WF_SIMD_DOT_SDOT : dot == WF_DOT_PAIRS ? WF_SIMD_DOT_PMADDUBSW : WF_SIMD_DOT_VNNI);
#endif
    wf_dot_force(dot);
}

static bool exists(wf_dot dot) {
#if defined(__wasm__)
    return dot == WF_DOT_I16 || wf_dot_probe() == dot;
#else
    return (void)dot, true;
#endif
}

/* Bytes may differ by one where a number falls between two: the fast epilogue rounds its factors another way. */
static void compare(const int8_case *c, const char *what) {
    const wf_shape *s = &c->simd.out.shape;
    size_t elements = (size_t)wf_shape_elements(s), stride = wf_shape_stride(s), off = 0, logical = 0;
    double difference = 0, size = 0;
    int zero = c->p.out_u8 ? (int)*(const float *)c->simd.w[WF_W_OUT_GRID + 1].data : 0;
    for (size_t i = 0; i < elements; i++) {
        bool lane = i % stride >= s->c;
        if (c->p.out_u8) {
            int got = ((const uint8_t *)c->simd.out.data)[i], want = ((const uint8_t *)c->scalar.out.data)[i];
            CHECK(lane ? got == zero : abs(got - want) <= 1, "%s: byte %d is %d, not %d", what, (int)i, got, lane ? zero : want);
            off += got != want;
            logical += !lane;
        } else {
            double got = ((const float *)c->simd.out.data)[i], want = ((const float *)c->scalar.out.data)[i];
            CHECK(!lane || got == 0, "%s: lane %d is %g", what, (int)i, got);
            difference += (got - want) * (got - want);
            size += want * want;
        }
    }
    CHECK(difference <= 4e-12 * size, "%s: off by %.2e", what, sqrt(difference / (size > 0 ? size : 1)));
    CHECK(off <= 2 + logical / 25, "%s: %d of %d bytes differ", what, (int)off, (int)logical);
}

/* A batch's last segment alone. */
static void check_segment(int8_case *c, const void *whole, size_t in_size) {
    wf_op_call one = c->simd;
    uint32_t n = one.in[0].shape.n;
    size_t in_bytes = (size_t)wf_shape_elements(&one.in[0].shape) / n * in_size, bytes = out_bytes(c) / n;
    one.in[0].shape.n = one.out.shape.n = 1;
    one.in[0].data = (char *)c->simd.in[0].data + (n - 1) * in_bytes;
    if (one.in[1].data != NULL) {
        one.in[1].shape.n = 1;
        one.in[1].data = (char *)c->simd.in[1].data + (n - 1) * (size_t)wf_shape_elements(&one.out.shape) * sizeof(float);
    }
    one.out.data = take(c, bytes);
    run(wf_op_get(c->op)->simd, &one, false);
    CHECK(memcmp(one.out.data, (const char *)whole + (n - 1) * bytes, bytes) == 0, "a segment differs when it is alone");
}

static void check_both(int8_case *c, bool lowerings, const char *what) {
    const wf_op_entry *op = wf_op_get(c->op);
    size_t bytes = out_bytes(c), in_size = c->p.in_u8 ? 1 : sizeof(float);
    char *first = NULL;
    for (int i = 0; i < WF_OP_WEIGHTS; i++) {
        if (c->scalar.w[i].data == NULL) {
            c->scalar.w[i] = c->simd.w[i];
        }
    }
    c->scalar.in[0] = c->simd.in[0];
    c->scalar.in[1] = c->simd.in[1];
    c->simd.out.data = take(c, bytes);
    c->scalar.out = (wf_view){take(c, bytes), c->simd.out.shape};
    run(op->scalar, &c->scalar, false);
    for (wf_dot dot = WF_DOT_I16; dot <= (lowerings ? WF_DOT_PAIRS : WF_DOT_I16); dot++) {
        if (!exists(dot)) {
            continue;
        }
        choose(dot);
        memset(c->simd.out.data, 0xff, bytes);
        run(op->simd, &c->simd, first != NULL);
        compare(c, what);
        if (first == NULL) {
            first = take(c, bytes);
            memcpy(first, c->simd.out.data, bytes);
            run(op->simd, &c->simd, true);
        }
        CHECK(memcmp(first, c->simd.out.data, bytes) == 0, "%s: lowering %d or another order gives other bits", what, (int)dot);
    }
    if (c->simd.in[0].shape.n > 1) {
        check_segment(c, first, in_size);
    }
}

/* parts: bits of what there is. */
enum { STATIC = 1, BYTES_IN = 2, GAIN = 4, BYTES_OUT = 8, GELU = 16, BIAS = 32, SCALE = 64, RESIDUAL = 128, FITS = 256 };

static void finish_product(int8_case *c, uint32_t n, uint32_t k, uint32_t parts) {
    const wf_shape *in = &c->simd.in[0].shape, *out = &c->simd.out.shape;
    c->simd.p = c->scalar.p = &c->p;
    c->p.int8_rows = 1;
    c->p.act = parts & GELU ? WF_ACT_GELU_ERF : WF_ACT_NONE;
    c->p.in_u8 = (parts & STATIC) && (parts & BYTES_IN) && in->layout == WF_LAYOUT_ROWS;
    c->p.out_u8 = (parts & BYTES_OUT) != 0;
    set_matrix(c, n, k, parts & FITS);
    c->simd.w[WF_W_STEPS] = vector(c, n, 0.001f, 0.02f);
    if (parts & STATIC) {
        set_grid(c, WF_W_IN_GRID, in->c, 0.011f, 140, parts & GAIN);
    }
    if (parts & BYTES_OUT) {
        set_grid(c, WF_W_OUT_GRID, n, parts & GELU ? 0.05f : 0.09f, parts & GELU ? 7 : 121, parts & GAIN);
    }
    if (parts & BIAS) {
        c->simd.w[1] = vector(c, n, -1, 1);
    }
    if (parts & SCALE) {
        c->simd.w[2] = vector(c, n, 0.2f, 1);
    }
    if (parts & RESIDUAL) {
        c->simd.in[1] = (wf_view){floats(c, out, 1), *out};
    }
    if (c->p.in_u8) {
        size_t elements = (size_t)wf_shape_elements(in), stride = wf_shape_stride(in);
        uint8_t *u = take(c, elements);
        for (size_t i = 0; i < elements; i++) {
            u[i] = i % stride < in->c ? (uint8_t)wf_test_u32() : 140;
        }
        c->simd.in[0].data = u;
    } else {
        c->simd.in[0].data = floats(c, in, 1.5f);
    }
}

static const uint32_t widths[] = {1, 3, 8, 31, 32, 33, 48, 64, 65, 96, 147, 200, 320};
static const uint32_t row_counts[] = {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25, 49, 97, 130};
enum { WIDTHS = 13, ROW_COUNTS = 14 };

WF_TEST(linear_i8) {
    for (uint32_t i = 0; i < 120; i++) {
        int8_case c = {.op = WF_OP_LINEAR};
        uint32_t k = widths[i % WIDTHS], n = widths[5 * i % WIDTHS], rows = row_counts[i % ROW_COUNTS], batch = 1 + i % 2;
        char what[96];
        c.simd.in[0].shape = (wf_shape){batch, rows, 1, k, WF_LAYOUT_ROWS};
        c.simd.out.shape = (wf_shape){batch, rows, 1, n, WF_LAYOUT_ROWS};
        finish_product(&c, n, k, ((i * 37 + i / 8) & 255) | (i % 3 != 0 ? FITS : 0));
        snprintf(what, sizeof what, "%u rows, %u -> %u, parts %u", rows, k, n, (i * 37 + i / 8) & 255);
        check_both(&c, true, what);
        release(&c);
    }
}

/* One row and a few, over several blocks of columns, whose last is a short one. */
WF_TEST(linear_i8_wide) {
    static const uint32_t shapes[][3] = {{1, 320, 320}, {1, 600, 700}, {1, 40, 333}, {1, 700, 45}, {1, 30, 900}, {2, 600, 333}, {7, 300, 700}, {6, 520, 200}};
    for (uint32_t i = 0; i < 24; i++) {
        const uint32_t *s = shapes[i % 8];
        int8_case c = {.op = WF_OP_LINEAR};
        char what[96];
        c.simd.in[0].shape = (wf_shape){1, s[0], 1, s[1], WF_LAYOUT_ROWS};
        c.simd.out.shape = (wf_shape){1, s[0], 1, s[2], WF_LAYOUT_ROWS};
        finish_product(&c, s[2], s[1], ((i * 37 + i / 8) & 255) | (i % 3 != 0 ? FITS : 0));
        snprintf(what, sizeof what, "%u rows, %u -> %u, parts %u", s[0], s[1], s[2], (i * 37 + i / 8) & 255);
        check_both(&c, true, what);
        release(&c);
    }
}

WF_TEST(conv2d_i8) {
    static const uint32_t kinds[][3] = {{7, 4, 2}, {3, 2, 1}, {3, 1, 1}, {4, 4, 0}, {1, 1, 0}, {2, 2, 1}};
    static const uint32_t maps[][2] = {{7, 7}, {5, 9}, {14, 14}, {17, 8}};
    for (uint32_t i = 0; i < 96; i++) {
        int8_case c = {.op = WF_OP_CONV2D};
        const uint32_t *kind = kinds[i % 6], *map = maps[i % 4];
        uint32_t ci = widths[3 * i % 9], n = widths[5 * i % 11], batch = 1 + i % 2, parts = i * 53 + i / 4;
        char what[96];
        wf_shape in = {batch, map[0], map[1], ci, ci <= 3 ? WF_LAYOUT_NCHW : WF_LAYOUT_ROWS};
        c.simd.in[0].shape = in;
        c.simd.out.shape = (wf_shape){batch, (in.h + 2 * kind[2] - kind[0]) / kind[1] + 1,
                                      (in.w + 2 * kind[2] - kind[0]) / kind[1] + 1, n, WF_LAYOUT_ROWS};
        c.p.kernel_h = c.p.kernel_w = kind[0];
        c.p.stride_h = c.p.stride_w = kind[1];
        c.p.pad_h = c.p.pad_w = kind[2];
        finish_product(&c, n, kind[0] * kind[0] * ci, (parts & 255) | (i % 3 != 0 ? FITS : 0));
        snprintf(what, sizeof what, "%ux%u of %u -> %u, kernel %u, parts %u", in.h, in.w, ci, n, kind[0], parts & 255);
        check_both(&c, true, what);
        release(&c);
    }
}

static void check_norm(wf_op op) {
    for (uint32_t i = 0; i < 40; i++) {
        int8_case c = {.op = op};
        uint32_t channels = widths[i % WIDTHS], rows = row_counts[3 * i % ROW_COUNTS];
        char what[64];
        channels += channels == 1;
        c.simd.in[0].shape = c.simd.out.shape = (wf_shape){1 + i % 3, rows, 1, channels, WF_LAYOUT_ROWS};
        c.simd.in[0].data = floats(&c, &c.simd.in[0].shape, 3);
        c.simd.p = c.scalar.p = &c.p;
        c.p.eps = 1e-5f;
        c.p.out_u8 = 1;
        if (i & 1) {
            c.simd.w[0] = vector(&c, channels, 0.5f, 1.5f);
            c.simd.w[1] = vector(&c, channels, -0.5f, 0.5f);
        }
        set_grid(&c, WF_W_OUT_GRID, channels, 0.02f, 120, i & 2);
        snprintf(what, sizeof what, "%u rows of %u", rows, channels);
        check_both(&c, false, what);
        release(&c);
    }
}

WF_TEST(group_norm_bytes) { check_norm(WF_OP_GROUP_NORM); }
WF_TEST(layer_norm_bytes) { check_norm(WF_OP_LAYER_NORM); }

/* By hand: 2 rows of 2, a static grid of 0.5 with zero 10, and a row quantized by itself. */
WF_TEST(linear_i8_by_hand) {
    const int8_t q[8] = {2, -3, 127, 1};
    for (int bytes = 0; bytes < 2; bytes++) {
        int8_case c = {.op = WF_OP_LINEAR};
        const wf_codec *codec = wf_codec_get(WF_I8, true);
        void *packed = take(&c, codec->packed_bytes(2, 2));
        codec->pack(packed, 2, 2, 0, q, 2, 2);
        wf_shape s = {1, 1, 1, 2, WF_LAYOUT_ROWS};
        float x[32] = {1.3f, -2.0f}, steps[32] = {0.1f, 0.01f}, y[32];
        uint8_t u[32] = {13, 6};
        float scale = 0.5f, zero = 10;
        c.p.int8_rows = 1;
        c.p.in_u8 = (uint32_t)bytes;
        c.simd = (wf_op_call){.p = &c.p, .in = {{bytes ? (void *)u : (void *)x, s}}, .out = {y, s}};
        c.simd.w[0] = (wf_weight){packed, WF_PACK_PANELS, WF_I8, 2, 2};
        c.simd.w[WF_W_STEPS] = (wf_weight){steps, WF_PACK_VECTOR, WF_F32, 1, 2};
        c.simd.w[WF_W_IN_GRID] = (wf_weight){&scale, WF_PACK_VECTOR, WF_F32, 1, 1};
        c.simd.w[WF_W_IN_GRID + 1] = (wf_weight){&zero, WF_PACK_VECTOR, WF_F32, 1, 1};
        choose(WF_DOT_I16);
        run(wf_op_get(WF_OP_LINEAR)->simd, &c.simd, false);
        CHECK_NEAR(y[0], 0.5 * 0.1 * (3 * 2 + -4 * -3), 1e-7); /* 1.3 is 3 steps, −2 is −4 */
        CHECK_NEAR(y[1], 0.5 * 0.01 * (3 * 127 + -4 * 1), 1e-6);
        release(&c);
    }
}

/* The byte of a number: rounding to even, clipping at both ends, far outside, and a useless scale. */
WF_TEST(quantize_u8) {
    CHECK(wf_quantize_u8(0, 2, 77) == 77, "zero");
    CHECK(wf_quantize_u8(0.25f, 2, 10) == 10 && wf_quantize_u8(0.75f, 2, 10) == 12, "halves go to the even byte");
    CHECK(wf_quantize_u8(1e9f, 2, 10) == 255 && wf_quantize_u8(-1e9f, 2, 10) == 0, "far outside");
    CHECK(wf_quantize_u8(3e38f, 2, 10) == 255 && wf_quantize_u8(-3e38f, 2, 10) == 0, "as far as floats go");
    float scale = 0, zero = -5;
    wf_weight w[3] = {{.data = &scale}, {.data = &zero}, {0}};
    wf_grid g = wf_grid_of(w);
    CHECK(g.inverse == 0 && g.zero == 0, "inverse %g, zero %d", (double)g.inverse, (int)g.zero);
}

int main(void) {
    RUN(quantize_u8);
    RUN(linear_i8_by_hand);
    RUN(linear_i8);
    RUN(linear_i8_wide);
    RUN(conv2d_i8);
    RUN(group_norm_bytes);
    RUN(layer_norm_bytes);
    return wf_test_done();
}
