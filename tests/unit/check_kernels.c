/* Every kernel against its twins: op × weight type × dot lowering × awkward shapes, on noise. simd
   is compared with scalar float, scalar float with double; each op prints one line with its worst
   relative L2 errors, a hash of all results and its rate on a usual shape. kernels/kernel_case.h is the hostile runner; on
   top, simd must give the same bits in two tile orders, and each segment of a batch the same bits
   alone. Needs no files and no arguments, so it runs natively, under WASI and in a page alike.

   Tolerances (relative L2 over a tensor; u = 2⁻²⁴ = 6e-8 is half an ulp):
     residual, add_table, copies      one or two roundings: 1e-7
     scalar against double            a float sum of k random terms errs by about u·√k/2 of its
                                      size, 1.2e-6 at k = 1620; twice that. With int8 rows too:
                                      both choose the same integers, in float
     simd against scalar              two such errors where the orders of summation differ: 2e-6.
                                      With int8 rows the fast sum is the exact one of the two
   The inputs of norms have mean 3 and deviation 0.6, so a mean that keeps too few digits shows. */
#include <time.h>

#include "base/simd.h"
#include "kernels/kernel_case.h"

static const uint32_t channels[] = {1, 3, 31, 32, 33, 48, 180};
static const uint32_t maps[][2] = {{1, 1}, {1, 7}, {5, 3}, {14, 14}, {17, 9}};
enum { CHANNELS = 7, MAPS = 5 };

typedef struct report {
    double simd, scalar; /* worst errors */
    uint32_t bits;       /* a hash of all scalar and simd outputs */
    int cases;
} report;

/* Natively and in the baseline wasm build every report has the same hash: results agree bit for bit. */
static void add_bits(report *r, const kernel_case *c, kc_form form) {
    const unsigned char *bytes = c->call[form].out.data;
    for (size_t i = 0, n = kc_out_bytes(c, form); i < n; i++) {
        r->bits = (r->bits ^ bytes[i]) * 16777619u; /* FNV-1a */
    }
}

/* The same noise whatever was checked before. */
static report begin_report(void) {
    wf_test_begin();
    wf_test_seed(1);
    return (report){.bits = 2166136261u};
}

static bool simd_only; /* scalar forms do not know dot lowerings: checked once */

static void check_case(const kc_spec *spec, report *r) {
    kernel_case c;
    if (!kc_init(&c, spec)) {
        return;
    }
    kc_run(&c, KC_SCALAR);
    kc_run(&c, KC_SIMD);
    add_bits(r, &c, KC_SCALAR);
    add_bits(r, &c, KC_SIMD);
    double error = kc_error(&c, KC_SIMD, KC_SCALAR);
    r->simd = error > r->simd ? error : r->simd;
    if (!simd_only) {
        kc_run(&c, KC_F64);
        error = kc_error(&c, KC_SCALAR, KC_F64);
        r->scalar = error > r->scalar ? error : r->scalar;
    }
    size_t bytes = kc_out_bytes(&c, KC_SIMD);
    void *before = kc_alloc(bytes);
    memcpy(before, c.call[KC_SIMD].out.data, bytes);
    kc_run(&c, KC_SIMD);
    CHECK(memcmp(before, c.call[KC_SIMD].out.data, bytes) == 0,
          "another order of the tiles gives other bits");
    free(before);
    if (spec->in[0].n > 1) {
        kc_check_segment(&c, spec->in[0].n - 1);
    }
    kc_free(&c);
    r->cases++;
}

static wf_shape rows_shape(uint32_t n, uint32_t h, uint32_t w, uint32_t c) {
    return (wf_shape){n, h, w, c, WF_LAYOUT_ROWS};
}

static kc_weight vector(uint32_t k) { return (kc_weight){1, k, WF_PACK_VECTOR}; }

/* The i-th of the awkward shapes, with batches of 1 to 3 and every combination of up to three
   optional parts in turn. */
typedef struct awkward {
    wf_shape in;
    uint32_t parts; /* bits: which optional parts are there */
    uint32_t turn;
} awkward;

static awkward awkward_shape(uint32_t i) {
    uint32_t c = channels[i % CHANNELS], m = i / CHANNELS % MAPS;
    return (awkward){rows_shape(1 + i % 3, maps[m][0], maps[m][1], c), i * 5 % 8, i};
}

enum { SHAPES = CHANNELS * MAPS };

static void epilogue(kc_spec *s, wf_shape out, uint32_t parts) {
    s->p.act = parts & 1 ? WF_ACT_GELU_ERF : WF_ACT_NONE;
    s->w[1] = parts & 2 ? vector(out.c) : (kc_weight){0};
    s->w[2] = parts & 4 ? vector(out.c) : (kc_weight){0};
    s->in[1] = parts & 4 || parts == 1 ? out : (wf_shape){0};
}

/* out channels · k per row are kept below a budget, so that the double twin ends in time under
   sanitizers too. */
static uint32_t output_channels(uint32_t turn, uint64_t products) {
    uint32_t co = channels[(turn * 3 + 4) % CHANNELS];
    return products * co > 4000000 ? 33 : co;
}

static kc_spec linear_spec(const awkward *a, wf_dtype type, bool int8_rows) {
    kc_spec s = {.op = WF_OP_LINEAR, .type = type, .p = {.int8_rows = int8_rows}, .in = {a->in}};
    uint32_t co = output_channels(a->turn, (uint64_t)wf_shape_rows(&a->in) * a->in.c);
    s.w[0] = (kc_weight){co, a->in.c, WF_PACK_DENSE};
    epilogue(&s, rows_shape(a->in.n, a->in.h, a->in.w, co), a->parts);
    return s;
}

/* Kernel, stride, padding: PoolFormer's stem and down-sampling, patch embeddings, an oblong one, 1
   × 1. */
static const uint32_t convolutions[][6] = {
    {7, 7, 4, 4, 2, 2}, {3, 3, 2, 2, 1, 1}, {3, 3, 1, 1, 1, 1},
    {4, 4, 4, 4, 0, 0}, {1, 3, 1, 2, 0, 1}, {1, 1, 1, 1, 0, 0},
};

/* 0 outputs: the kernel does not fit this map. */
static kc_spec conv2d_spec(const awkward *a, wf_dtype type, bool int8_rows) {
    const uint32_t *k = convolutions[a->turn % 6];
    kc_spec s = {.op = WF_OP_CONV2D,
                 .type = type,
                 .in = {a->in},
                 .p = {.int8_rows = int8_rows,
                       .kernel_h = k[0],
                       .kernel_w = k[1],
                       .stride_h = k[2],
                       .stride_w = k[3],
                       .pad_h = k[4],
                       .pad_w = k[5]}};
    if (a->in.h + 2 * k[4] < k[0] || a->in.w + 2 * k[5] < k[1]) {
        return s;
    }
    wf_shape out = {a->in.n, (a->in.h + 2 * k[4] - k[0]) / k[2] + 1, (a->in.w + 2 * k[5] - k[1]) / k[3] + 1,
                    0, WF_LAYOUT_ROWS};
    uint32_t width = k[0] * k[1] * a->in.c;
    out.c = output_channels(a->turn, (uint64_t)wf_shape_rows(&out) * width);
    s.w[0] = (kc_weight){out.c, width, WF_PACK_DENSE};
    s.in[0].layout = a->in.c <= 3 ? WF_LAYOUT_NCHW : WF_LAYOUT_ROWS; /* the stem reads a picture */
    epilogue(&s, out, a->parts);
    return s;
}

static kc_spec simple_spec(const awkward *a, wf_op op) {
    kc_spec s = {.op = op, .in = {a->in}};
    uint32_t c = a->in.c;
    switch (op) {
    case WF_OP_GROUP_NORM:
    case WF_OP_LAYER_NORM:
        s.p.eps = 1e-5f;
        s.offset = 3;
        s.w[0] = a->parts & 1 ? vector(op == WF_OP_LAYER_NORM && a->turn % 4 == 3 ? 1 : c) : (kc_weight){0};
        s.w[1] = a->parts & 2 ? vector(c) : (kc_weight){0};
        if (op == WF_OP_LAYER_NORM) { /* every second of them a usual one */
            s.p.norm_by = a->turn % 2 == 0 ? WF_BY_DEVIATION : a->turn % 4 == 3 ? WF_BY_RMS : a->turn % 8 == 1 ? WF_BY_CRMS : WF_BY_CARRIED;
            s.p.depth = a->parts & 4 ? 3 : 0;
        }
        break;
    case WF_OP_REPBN:
        s.p.eps = 1.5f; /* variances are uniform in −1 … 1 here */
        for (uint32_t i = 0; i < 5; i++) { /* what UN, BN and a BN without scale and shift lack is absent in turn */
            bool there = i == 3 || (i < 2 ? a->turn % 5 != 0 : i == 2 ? !(a->parts & 1) : !(a->parts & 2));
            s.w[i] = there ? vector(i < 4 ? c : 1) : (kc_weight){0};
        }
        break;
    case WF_OP_POOL2D:
        s.p.kernel_h = a->parts & 2 ? 5 : 3;
        s.p.kernel_w = a->parts & 4 ? 5 : 3;
        s.p.pad_h = s.p.kernel_h / 2;
        s.p.pad_w = s.p.kernel_w / 2;
        s.p.minus_input = a->parts & 1;
        break;
    case WF_OP_DEPTHWISE:
        s.p.kernel_h = a->parts & 2 ? 5 : 3;
        s.p.kernel_w = a->turn % 5 == 0 ? 1 : 3;
        s.p.act = a->parts & 1 ? WF_ACT_GELU_ERF : WF_ACT_NONE;
        s.w[0] = (kc_weight){s.p.kernel_h * s.p.kernel_w, c, WF_PACK_TABLE};
        s.w[1] = a->parts & 4 ? vector(c) : (kc_weight){0};
        break;
    case WF_OP_RESIDUAL:
        s.in[1] = a->in;
        s.w[0] = a->parts & 1 ? vector(c) : (kc_weight){0};
        break;
    case WF_OP_ADD_TABLE:
        s.w[0] = (kc_weight){a->in.h * a->in.w, c, WF_PACK_TABLE};
        break;
    case WF_OP_AVERAGE:
        s.in[1] = a->in;
        break;
    case WF_OP_RELU:
        s.p.scale = a->parts & 1 ? 0.25f : 0;
        break;
    case WF_OP_CONCAT:
        s.in[1] = rows_shape(a->in.n, a->in.h, a->in.w, channels[(a->turn + 3) % CHANNELS]);
        break;
    case WF_OP_TAKE_ROWS:
        s.p.first = a->in.h * a->in.w > 2 ? 2 : 0;
        s.p.map_h = 1;
        s.p.map_w = a->in.h * a->in.w - s.p.first;
        break;
    case WF_OP_PIXEL_SHUFFLE:
        s.p.kernel_h = a->parts & 1 ? 3 : 2;
        s.in[0].c = c * s.p.kernel_h * s.p.kernel_h;
        break;
    case WF_OP_PREFIX:
        s.w[0] = (kc_weight){2, c, WF_PACK_TABLE};
        break;
    case WF_OP_POSITION:
        s.p.grid_h = 4;
        s.p.grid_w = 3;
        s.p.map_h = a->in.h;
        s.p.map_w = a->in.w;
        s.w[0] = (kc_weight){12, c, WF_PACK_TABLE};
        break;
    case WF_OP_HEAD_NORM:
        s.p.eps = 1e-5f;
        s.p.heads = 1;
        s.p.head_dim = c;
        s.offset = 3;
        s.w[0] = a->parts & 1 ? vector(c) : (kc_weight){0};
        s.w[1] = a->parts & 2 ? vector(c) : (kc_weight){0};
        break;
    case WF_OP_SLA:
        s.p.eps = 1e-6f;
        s.p.kernel_h = a->parts & 1 ? 5 : 3;
        s.p.kernel_w = a->parts & 2 ? 5 : 1;
        s.p.heads = c == 48 ? 2 : c == 180 ? 6 : c == 33 ? 3 : 1;
        s.p.head_dim = c / s.p.heads;
        s.in[0].c = 3 * c;
        s.w[0] = (kc_weight){a->in.h * a->in.w, c, WF_PACK_TABLE};
        s.w[1] = (kc_weight){s.p.kernel_h * s.p.kernel_w, s.p.head_dim, WF_PACK_TABLE};
        s.w[2] = a->parts & 4 ? vector(s.p.head_dim) : (kc_weight){0};
        break;
    case WF_OP_EMBED:
        s.in[0] = (wf_shape){a->in.n, a->in.h * a->in.w, 1, 1, WF_LAYOUT_NCHW};
        s.w[0] = (kc_weight){50, c, WF_PACK_STORED};
        s.type = a->turn % 4 == 0 ? WF_F32 : a->turn % 4 == 1 ? WF_F16 : a->turn % 4 == 2 ? WF_Q8_0 : WF_Q4_0;
        break;
    case WF_OP_ROPE_ANGLES:
        s.in[0].n = 1; /* one table for all segments */
        s.p.count = 2 * c;
        s.p.theta = a->parts & 1 ? 1e6f : 1e4f;
        break;
    case WF_OP_ROPE: /* one head, 2, 6 or 3 as in attention, the last with elements that are not turned */
        s.p.heads = c == 48 ? 2 : c == 180 ? 6 : c == 33 ? 3 : 1;
        s.p.head_dim = 2 * c / s.p.heads;
        s.p.pairs = a->turn & 1 ? WF_ROPE_NEIGHBOURS : WF_ROPE_HALVES;
        s.in[0].c = 2 * c;
        s.in[1] = rows_shape(1, a->in.h, a->in.w, c == 33 ? 14 : s.p.head_dim);
        break;
    case WF_OP_GATE:
        s.in[1] = a->in;
        s.p.act = WF_ACT_SILU;
        break;
    case WF_OP_ATTENTION:
        /* 48 = 2 × 24, 180 = 6 × 30, 33 = 3 × 11, the others one head */
        s.p.heads = c == 48 ? 2 : c == 180 ? 6 : c == 33 ? 3 : 1;
        s.p.head_dim = c / s.p.heads;
        s.p.scale = 1.0f / (float)(1 + c % 5);
        s.in[0].c = 3 * c;
        if (a->parts & 4) { /* windows, which divide only some of the maps */
            s.p.window_h = 3;
            s.p.window_w = 4;
            s.p.shift_h = a->parts & 1 ? 2 : 0;
            s.p.shift_w = 1;
            s.p.roll_first = a->turn & 1;
            s.w[0] = a->parts & 1 ? (kc_weight){35, s.p.heads, WF_PACK_TABLE} : (kc_weight){0};
            s.w[1] = a->parts & 2 ? vector(3 * c) : (kc_weight){0};
        }
        break;
    default:
        break;
    }
    return s;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the fastest of the runs that fit in 20 ms (three at least), one thread, no checks. */
static double seconds_of(kernel_case *c) {
    wf_op_call *call = &c->call[KC_SIMD];
    const wf_op_impl *impl = kc_impl(c, KC_SIMD);
    kc_run(c, KC_SIMD);
    call->workspace = kc_alloc(impl->workspace_bytes != NULL ? impl->workspace_bytes(call) : 0);
    void *scratch = kc_alloc(impl->scratch_bytes != NULL ? impl->scratch_bytes(call) : 0);
    double best = 1e9, end = now() + 0.02;
    for (int run = 0; run < 3 || now() < end; run++) {
        double begin = now();
        for (uint32_t phase = 0; phase < impl->phases; phase++) {
            for (uint32_t tile = 0, tiles = impl->tiles(call, phase); tile < tiles; tile++) {
                impl->run(call, phase, tile, scratch);
            }
        }
        double took = now() - begin;
        best = took < best ? took : best;
    }
    free(call->workspace);
    free(scratch);
    return best;
}

/* A usual shape: 28 × 28 × 128 maps, 196 tokens in 4 heads of 32, a 128 → 512 layer on 196 rows. */
static kc_spec usual_spec(wf_op op, wf_dtype type, bool int8_rows) {
    awkward a = {rows_shape(1, 28, 28, 128), 3, 4};
    if (op == WF_OP_LINEAR) {
        kc_spec s = {.op = op,
                     .type = type,
                     .p = {.int8_rows = int8_rows},
                     .in = {rows_shape(1, 14, 14, 128)},
                     .w = {{512, 128, WF_PACK_DENSE}, {1, 512, WF_PACK_VECTOR}}};
        return s;
    }
    if (op == WF_OP_CONV2D) {
        kc_spec s = {.op = op,
                     .type = type,
                     .in = {rows_shape(1, 28, 28, 64)},
                     .p = {.int8_rows = int8_rows,
                           .kernel_h = 3,
                           .kernel_w = 3,
                           .stride_h = 2,
                           .stride_w = 2,
                           .pad_h = 1,
                           .pad_w = 1},
                     .w = {{128, 576, WF_PACK_DENSE}, {1, 128, WF_PACK_VECTOR}}};
        return s;
    }
    kc_spec s;
    if (op == WF_OP_ATTENTION) {
        a.in = rows_shape(1, 14, 14, 128);
        s = simple_spec(&a, op);
        s.p.heads = 4;
        s.p.head_dim = 32;
        return s;
    }
    a.parts = op == WF_OP_POOL2D ? 1 : 3;
    return simple_spec(&a, op);
}

/* "31.2 GMAC/s" for products, "9.8 GB/s" (bytes of inputs and output once) for the rest. */
static void rate_of(const kc_spec *spec, char text[32]) {
    kernel_case c;
    text[0] = 0;
    if (!kc_init(&c, spec)) {
        return;
    }
    double seconds = seconds_of(&c);
    if (spec->op == WF_OP_LINEAR || spec->op == WF_OP_CONV2D || spec->op == WF_OP_ATTENTION || spec->op == WF_OP_SLA) {
        double products = (double)wf_op_get(spec->op)->cost(&c.call[KC_SIMD]);
        snprintf(text, 32, "%.1f GMAC/s", products / seconds * 1e-9);
    } else {
        double elements = (double)(wf_shape_elements(&spec->in[0]) + wf_shape_elements(&c.out) +
                                   (spec->in[1].c != 0 ? wf_shape_elements(&spec->in[1]) : 0));
        snprintf(text, 32, "%.1f GB/s", 4 * elements / seconds * 1e-9);
    }
    kc_free(&c);
}

static void end_report(const report *r, const char *name, double simd_limit, double scalar_limit,
                       const kc_spec *usual) {
    char rate[32];
    rate_of(usual, rate);
    CHECK(r->cases > 0, "no case ran");
    CHECK(r->simd <= simd_limit, "simd is off by %.2e of scalar, allowed %.1e", r->simd, simd_limit);
    CHECK(r->scalar <= scalar_limit, "scalar is off by %.2e of double, allowed %.1e", r->scalar,
          scalar_limit);
    char scalar[32] = "";
    if (!simd_only) {
        snprintf(scalar, sizeof scalar, ", scalar %.1e", r->scalar);
    }
    wf_test_end("%-22s %3d shapes, simd %.1e%s, bits %08x, %s", name, r->cases, r->simd, scalar,
                (unsigned)r->bits, rate);
}

/* norm: of layer_norm, else 0. */
static void check_simple(wf_op op, wf_norm_by norm) {
    static const char *const norms[] = {"", " rms", " crms"};
    bool exact = op == WF_OP_RESIDUAL || op == WF_OP_ADD_TABLE || op == WF_OP_TRANSPOSE || op == WF_OP_CONCAT ||
                 op == WF_OP_TAKE_ROWS || op == WF_OP_PIXEL_SHUFFLE;
    report r = begin_report();
    for (uint32_t i = 0; i < SHAPES; i++) {
        awkward a = awkward_shape(i);
        kc_spec s = simple_spec(&a, op);
        s.p.norm_by = norm;
        check_case(&s, &r);
    }
    kc_spec usual = usual_spec(op, WF_F32, false);
    usual.p.norm_by = norm;
    char name[64];
    snprintf(name, sizeof name, "%s%s", wf_op_get(op)->name, norms[norm]);
    end_report(&r, name, exact ? 1e-7 : 2e-6, exact ? 1e-7 : 2.5e-6, &usual);
}

/* Causal, q, k and v apart, with 3 heads of q for each of k and v or as many: from one token to a second block of queries. */
static void check_causal(void) {
    static const uint32_t tokens[] = {1, 2, 5, 6, 7, 12, 33, 96, 97, 131}, dims[] = {1, 8, 11, 16, 30, 64};
    report r = begin_report();
    kc_spec s = {.op = WF_OP_ATTENTION};
    for (uint32_t i = 0; i < 10 * 6; i++) {
        uint32_t t = tokens[i % 10], d = dims[i / 10], kv = 1 + i % 2;
        s.p = (wf_op_params){.heads = 3 * kv, .kv_heads = i % 3 == 0 ? 0 : kv, .head_dim = d, .scale = 0.4f, .causal = 1};
        s.in[0] = rows_shape(1 + i % 3, t, 1, s.p.heads * d);
        s.in[1] = s.in[2] = rows_shape(1 + i % 3, t, 1, (s.p.kv_heads != 0 ? kv : s.p.heads) * d);
        if (i % 4 == 3) { /* side by side */
            s.in[0].c += s.in[1].c + s.in[2].c;
            s.in[1] = s.in[2] = (wf_shape){0};
        }
        check_case(&s, &r);
    }
    s.p = (wf_op_params){.heads = 8, .kv_heads = 2, .head_dim = 64, .scale = 0.125f, .causal = 1};
    s.in[0] = rows_shape(1, 128, 1, 512);
    s.in[1] = s.in[2] = rows_shape(1, 128, 1, 128);
    end_report(&r, "attention causal", 2e-6, 2.5e-6, &s);
}

/* So many output cells that each tile gathers its own patches: 575 of a picture, 550 of a map. */
static kc_spec many_cells_spec(wf_dtype type, bool int8_rows, bool picture) {
    awkward a = {rows_shape(1, picture ? 93 : 50, picture ? 100 : 43, picture ? 3 : 7), 7, picture ? 6 : 7};
    kc_spec s = conv2d_spec(&a, type, int8_rows);
    CHECK(wf_shape_rows(&s.in[1]) > 512, "%u cells", wf_shape_rows(&s.in[1]));
    return s;
}

/* Returns the hash of its results; `same_as`: the hash that they must have, or 0. */
static uint32_t check_product(wf_op op, wf_dtype type, bool int8_rows, const char *lowering,
                              uint32_t same_as) {
    char name[64];
    snprintf(name, sizeof name, "%s %s%s%s", wf_op_get(op)->name, wf_dtype_get(type)->name,
             int8_rows ? " int8 " : "", lowering);
    report r = begin_report();
    for (uint32_t i = 0; i < SHAPES; i++) {
        awkward a = awkward_shape(i);
        kc_spec s = op == WF_OP_LINEAR ? linear_spec(&a, type, int8_rows) : conv2d_spec(&a, type, int8_rows);
        if (s.w[0].n != 0) {
            check_case(&s, &r);
        }
    }
    for (int picture = 0; op == WF_OP_CONV2D && picture < 2; picture++) {
        kc_spec s = many_cells_spec(type, int8_rows, picture != 0);
        check_case(&s, &r);
    }
    CHECK(same_as == 0 || r.bits == same_as, "the sums of integers differ from those of the i16 lowering");
    kc_spec usual = usual_spec(op, type, int8_rows);
    end_report(&r, name, 2e-6, 2.5e-6, &usual);
    return r.bits;
}

/* One integer lowering, on a CPU (emulated natively) whose relaxed dot makes it exact: the same bits as the first. */
static void check_lowering(wf_dot dot, const char *name) {
    static uint32_t linear, conv2d;
    wf_dot_force(dot);
    linear = check_product(WF_OP_LINEAR, WF_Q8_0, true, name, linear);
    conv2d = check_product(WF_OP_CONV2D, WF_Q8_0, true, name, conv2d);
    simd_only = true;
}

static void check_lowerings(void) {
    check_lowering(WF_DOT_I16, "i16");
#if !defined(__wasm__)
    static const struct {
        wf_simd_dot cpu;
        wf_dot expected;
        const char *name;
    } cpus[] = {{WF_SIMD_DOT_VNNI, WF_DOT_U8S8, "u8s8"}, {WF_SIMD_DOT_SDOT, WF_DOT_S8S8, "s8s8"},
            {WF_SIMD_DOT_PMADDUBSW, WF_DOT_PAIRS, "pairs"}};
    for (size_t i = 0; i < sizeof cpus / sizeof cpus[0]; i++) {
        wf_simd_dot_emulate(cpus[i].cpu);
        check_lowering(cpus[i].expected, cpus[i].name);
    }
#else
    if (wf_dot_probe() != WF_DOT_I16) { /* the only one that is exact on this CPU */
        static const char *const names[] = {"i16", "u8s8", "s8s8", "pairs"};
        check_lowering(wf_dot_probe(), names[wf_dot_probe()]);
    }
#endif
    simd_only = false;
}

int main(void) {
    for (wf_op op = (wf_op)(WF_OP_INPUT + 1); op < WF_OP_COUNT; op++) {
        if (op != WF_OP_LINEAR && op != WF_OP_CONV2D) {
            check_simple(op, WF_BY_DEVIATION);
        }
    }
    check_simple(WF_OP_LAYER_NORM, WF_BY_RMS);
    check_simple(WF_OP_LAYER_NORM, WF_BY_CRMS);
    check_causal();
    static const wf_dtype types[] = {WF_F32, WF_F16, WF_Q4_0, WF_Q8_0};
    for (int i = 0; i < 4; i++) {
        check_product(WF_OP_LINEAR, types[i], false, "", 0);
        check_product(WF_OP_CONV2D, types[i], false, "", 0);
    }
    check_lowerings();
    return wf_test_done();
}
