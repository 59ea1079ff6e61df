/* Products with an I8 matrix: rows in place for linear; for conv2d the patches of a row block are gathered into scratch memory,
   as bytes where the map holds bytes. A tile is a block of rows times a block of columns in units of 32 lanes; both depend on
   shapes alone. Where rows must be gathered or quantized first, narrow column blocks would repeat that. */
#include "kernels/simd128/int8_product.h"

#include "kernels/codec.h"
#include "kernels/simd128/patches.h"

enum { ROWS = 96, FEW_ROWS = 24, TILES = 16, UNIT = WF_LANES };

typedef struct cut {
    uint32_t rows, units, row_blocks, column_blocks;
} cut;

static uint32_t up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }
static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

static bool gathers(const wf_op_call *call) {
    const wf_op_params *p = call->p;
    bool one_cell = p->kernel_h <= 1 && p->kernel_w <= 1 && p->stride_h <= 1 && p->stride_w <= 1 && p->pad_h == 0 && p->pad_w == 0;
    return !one_cell || call->in[0].shape.layout != WF_LAYOUT_ROWS;
}

static cut cut_of(const wf_op_call *call) {
    const bool in_place = call->p->in_u8 && !gathers(call);
    cut c = {wf_shape_rows(&call->out.shape), up(call->w[0].n, UNIT), 0, 1};
    c.row_blocks = up(c.rows, ROWS);
    if (c.row_blocks < TILES) {
        uint32_t possible = c.units / (in_place ? 2 : 8);
        c.column_blocks = most(1, least(up(TILES, c.row_blocks), possible));
        c.row_blocks = most(c.row_blocks, least(up(TILES, c.column_blocks), up(c.rows, FEW_ROWS)));
    }
    return c;
}

static uint32_t tile_rows(const cut *c) { return up(c->rows, c->row_blocks); }

uint32_t wf_int8_product_tiles(const wf_op_call *call) {
    cut c = cut_of(call);
    return c.row_blocks * c.column_blocks;
}

static size_t aligned(size_t n) { return (n + 63) / 64 * 64; }

/* Patches (bytes, or floats and the gains of their elements), then the codec's part. */
static size_t patches_bytes(const wf_op_call *call, uint32_t rows) {
    const uint32_t k = call->w[0].k, k32 = wf_round_up(k, WF_LANES);
    if (!gathers(call)) {
        return 0;
    }
    return call->p->in_u8 ? aligned((size_t)rows * k32 + 16) : aligned(wf_patches_floats(rows, k) * sizeof(float));
}

static size_t gains_bytes(const wf_op_call *call) {
    bool repeated = gathers(call) && !call->p->in_u8 && call->w[WF_W_IN_GRID + 2].n != 0;
    return repeated ? wf_round_up(call->w[0].k, WF_LANES) * sizeof(float) : 0;
}

size_t wf_int8_product_scratch(const wf_op_call *call) {
    cut c = cut_of(call);
    return patches_bytes(call, tile_rows(&c)) + gains_bytes(call) +
           wf_codec_get(WF_I8, true)->scratch_bytes(tile_rows(&c), call->w[0].k);
}

static void repeat_gains(const wf_op_call *call, const float *gain, float *out) {
    const uint32_t k = call->w[0].k, channels = call->in[0].shape.c;
    for (uint32_t i = 0; i < wf_round_up(k, WF_LANES); i++) {
        out[i] = i < k ? gain[i % channels] : 0;
    }
}

void wf_int8_product_run(const wf_op_call *call, uint32_t tile, void *scratch) {
    const cut c = cut_of(call);
    const uint32_t r = tile / c.column_blocks, b = tile % c.column_blocks, n = call->w[0].n;
    const uint32_t row = (uint32_t)((uint64_t)r * c.rows / c.row_blocks),
                   end = (uint32_t)((uint64_t)(r + 1) * c.rows / c.row_blocks);
    const uint32_t ldc = wf_shape_stride(&call->out.shape), k32 = wf_round_up(call->w[0].k, WF_LANES);
    const size_t at = (size_t)row * ldc;
    char *gains = (char *)scratch + patches_bytes(call, tile_rows(&c));
    wf_gemm_i8 x = {.steps = call->w[WF_W_STEPS].data, .is_static = call->w[WF_W_IN_GRID].n != 0};
    wf_gemm g = {.m = end - row, .w = &call->w[0], .bias = call->w[1].data, .scale = call->w[2].data, .ldr = ldc,
                 .act = call->p->act, .ldc = ldc, .i8 = &x, .scratch = gains + gains_bytes(call)};
    g.n0 = (uint32_t)((uint64_t)b * c.units / c.column_blocks) * UNIT;
    g.n1 = least(n, (uint32_t)((uint64_t)(b + 1) * c.units / c.column_blocks) * UNIT);
    g.residual = call->in[1].data != NULL ? (const float *)call->in[1].data + at : NULL;
    if (x.is_static) {
        x.in = wf_grid_of(&call->w[WF_W_IN_GRID]);
    }
    if (call->p->out_u8) {
        x.out = wf_grid_of(&call->w[WF_W_OUT_GRID]);
        x.c = (uint8_t *)call->out.data + at;
    } else {
        g.c = (float *)call->out.data + at;
    }
    g.lda = gathers(call) ? k32 : wf_shape_stride(&call->in[0].shape);
    if (!gathers(call)) {
        x.a = call->p->in_u8 ? (const uint8_t *)call->in[0].data + (size_t)row * g.lda : NULL;
        g.a = call->p->in_u8 ? NULL : (const float *)call->in[0].data + (size_t)row * g.lda;
    } else if (call->p->in_u8) {
        wf_byte_patches_gather(call, row, g.m, (uint8_t)x.in.zero, scratch);
        x.a = scratch;
    } else {
        wf_patches_gather(call, row, g.m, scratch);
        g.a = scratch;
        if (x.in.gain != NULL) {
            repeat_gains(call, x.in.gain, (float *)gains);
            x.in.gain = (const float *)gains;
        }
    }
    wf_codec_get(WF_I8, true)->gemm(&g);
}
