/* What a kernel sees: views of activations, packed weights, and the parameters of its node.

   Activations are rows: [n segments × h × w, c], channels last, without a batch axis. A row's stride is c rounded up to
   WF_LANES elements and the lanes c … stride−1 are zero: every op may rely on it and must keep it (head sizes of 24 or 30
   and widths such as 180 then need no special case). The one exception is the raw input at the edge: WF_LAYOUT_NCHW is
   dense [n, c, h, w], a picture that conv2d reads, or token ids [n, 1, t, 1] that embed reads (whole numbers, exact below 2^24). Rows that one int8 op hands to the next are bytes (p->in_u8, p->out_u8) with the same
   stride in elements; their lanes behind c hold the grid's zero, the byte that stands for 0.

   An op is a set of pure functions. `run` computes one tile of one phase; tiles of a phase are independent and may run on any
   thread in any order, phases are separated by barriers. Results never depend on the number of threads or on how many rows
   are computed together (a sum over K or over a map has one fixed order). Kernels never allocate. */
#ifndef WF_KERNELS_OP_H
#define WF_KERNELS_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/dtype.h"

enum { WF_LANES = 32, WF_OP_INPUTS = 3, WF_OP_WEIGHTS = 10 };

/* Slots of a call's weights that mean the same in every op that works on int8: the steps of the rows of an I8 matrix [n], the
   grid of in0's bytes (scale [1], zero [1], gain [c]) and the grid of the bytes that the op writes (quantize.h). */
enum { WF_W_STEPS = 3, WF_W_IN_GRID = 4, WF_W_OUT_GRID = 7 };

typedef enum wf_layout { WF_LAYOUT_ROWS, WF_LAYOUT_NCHW } wf_layout;

/* Segments (images or sequences) of equal size; a sequence of t tokens has h = t, w = 1. */
typedef struct wf_shape {
    uint32_t n, h, w, c;
    wf_layout layout;
} wf_shape;

static inline uint32_t wf_round_up(uint32_t v, uint32_t to) { return (v + to - 1) / to * to; }
static inline uint32_t wf_shape_rows(const wf_shape *s) { return s->n * s->h * s->w; }
/* Elements from one row to the next. */
static inline uint32_t wf_shape_stride(const wf_shape *s) { return wf_round_up(s->c, WF_LANES); }
/* Elements that a tensor of this shape occupies, padding included. */
static inline uint64_t wf_shape_elements(const wf_shape *s) {
    uint64_t rows = (uint64_t)s->n * s->h * s->w;
    return s->layout == WF_LAYOUT_NCHW ? rows * s->c : rows * wf_round_up(s->c, WF_LANES);
}

/* `data` holds float, or double in the f64 twins; 64-byte aligned. NULL = absent. */
typedef struct wf_view {
    void *data;
    wf_shape shape;
} wf_view;

/* How a weight is laid out in memory. */
typedef enum wf_pack {
    WF_PACK_VECTOR, /* real[k rounded up to WF_LANES], zero lanes: biases, norm scales, layer scales */
    WF_PACK_TABLE,  /* real[n][k rounded up to WF_LANES]: position tables, in the order of the activation rows */
    WF_PACK_DENSE,  /* real[n][k], row-major: matrices of the scalar twins */
    WF_PACK_PANELS, /* the codec's panels of 8 rows: matrices of the fast kernels (codec.h) */
    WF_PACK_STORED  /* rows as the file has them, k rounded up to the type's block: decoded one by one when they are looked up */
} wf_pack;

/* A matrix [n outputs, k inputs]; vectors have n = 1. Convolutions: k = kh·kw·ci in (kh, kw, ci) order. */
typedef struct wf_weight {
    const void *data; /* NULL = absent */
    wf_pack pack;
    wf_dtype type; /* of the panels' codec; float or double otherwise */
    uint32_t n, k;
} wf_weight;

/* How a position table follows another picture size (resample_axis.h). */
typedef enum wf_position_resample { WF_POSITION_BICUBIC, WF_POSITION_BICUBIC_ANTIALIAS, WF_POSITION_BILINEAR } wf_position_resample;

typedef enum wf_act { WF_ACT_NONE, WF_ACT_GELU_ERF, WF_ACT_SILU } wf_act;
/* Which elements of a head rope turns together: j and j + rotated/2 (transformers), or 2j and 2j + 1 (llama.cpp's llama files). */
typedef enum wf_rope_pairs { WF_ROPE_HALVES, WF_ROPE_NEIGHBOURS } wf_rope_pairs;
/* What layer_norm divides by: the deviation from the mean (which it subtracts), the root mean square, or the root mean square that
   the row had before its last element was left out because all add up to zero (Pre-CRMSNorm); the last one is the same over all
   elements but the last, in which a mean is carried past the norm: it enters nothing, and what comes out there is 0. */
typedef enum wf_norm_by { WF_BY_DEVIATION, WF_BY_RMS, WF_BY_CRMS, WF_BY_CARRIED } wf_norm_by;

/* One struct for the parameters of all ops: small, copied into the plan as u32 words for other executors. */
typedef struct wf_op_params {
    uint32_t act;                  /* wf_act: linear, conv2d, depthwise (GELU); gate (SiLU) */
    float eps;                     /* norms, sla */
    uint32_t norm_by;              /* wf_norm_by: layer_norm */
    uint32_t kernel_h, kernel_w;   /* conv2d, pool2d, depthwise; sla: of the window; pixel_shuffle: kernel_h cells each way */
    uint32_t depth;                /* layer_norm: what it gives is divided by √depth (LayerNorm scaling), 0 = it is not */
    uint32_t stride_h, stride_w;   /* conv2d */
    uint32_t pad_h, pad_w;         /* conv2d: zeros; pool2d: cells outside are not counted */
    uint32_t minus_input;          /* pool2d: 1 = pool(x) − x, the PoolFormer mixer */
    uint32_t heads, head_dim;      /* attention, sla, head_norm, rope */
    uint32_t kv_heads;             /* attention: of k and v, each read by heads / kv_heads heads of q; 0 = heads */
    uint32_t causal;               /* attention: 1 = row i of a segment sees rows 0 … i */
    float scale;                   /* attention: on the scores; relu: the slope below zero */
    uint32_t window_h, window_w;   /* attention, sla: 0 = every row sees its whole segment */
    uint32_t shift_h, shift_w;     /* attention, sla: by which the map is rolled before it is cut into windows (window.h) */
    uint32_t roll_first;           /* attention: 1 = rolled, then padded to whole windows; 0 = padded, then rolled */
    uint32_t stripe;               /* attention, sla, depthwise: 0, or the side of stripes, columns for the first half of the heads
                                      (channels), rows for the second; there are no windows then */
    uint32_t first, count;         /* segment_mean: rows first … first + count − 1 of a segment, count 0 = to its end;
                                      head_norm: first head; position: rows in front of the grid; depthwise: first channel; take_rows: first;
                                      layer_norm by CRMS and CARRIED: count = elements of the row before one was left out,
                                      0 = one more than there are;
                                      rope_angles: count = elements of a head that are turned */
    float theta;                   /* rope_angles: base of the frequencies */
    uint32_t pairs;                /* rope: wf_rope_pairs */
    uint32_t grid_h, grid_w;       /* position: of the table */
    uint32_t map_h, map_w;         /* position: of the picture's map; take_rows: of the result */
    uint32_t resample;             /* position: wf_position_resample */
    uint32_t int8_rows;            /* linear, conv2d: 1 = quantize each input row to int8 and use integer dots (Q8_0, I8) */
    uint32_t in_u8;                /* linear, conv2d with I8: in0 holds bytes on the grid w[WF_W_IN_GRID …] */
    uint32_t out_u8;               /* I8 products, norms: write bytes on the grid w[WF_W_OUT_GRID …] */
} wf_op_params;

/* Heads of k and of v: as many as of q, or fewer, which groups of heads of q share. */
static inline uint32_t wf_kv_heads(const wf_op_params *p) { return p->kv_heads != 0 ? p->kv_heads : p->heads; }

typedef struct wf_op_call {
    const wf_op_params *p;
    wf_view in[WF_OP_INPUTS];
    wf_weight w[WF_OP_WEIGHTS];
    wf_view out;
    void *workspace; /* shared by the tiles: workspace_bytes(call), 64-byte aligned, not initialised */
} wf_op_call;

/* One executable form of an op (scalar f32, scalar f64, simd128). */
typedef struct wf_op_impl {
    uint32_t phases;
    uint32_t (*tiles)(const wf_op_call *call, uint32_t phase);
    void (*run)(const wf_op_call *call, uint32_t phase, uint32_t tile, void *scratch);
    /* NULL = 0. Bytes of private memory a thread needs, and bytes shared by the whole node. */
    size_t (*scratch_bytes)(const wf_op_call *call);
    size_t (*workspace_bytes)(const wf_op_call *call);
} wf_op_impl;

/* Shape rules, one per op, in kernels/scalar/OP.c beside the readable truth: checks call->in[].shape and call->w[].{n,k}
   (data are not looked at, absent inputs have shape.c = 0, absent weights n = 0), sets *out; the error names `node`. */
typedef wf_status (*wf_op_infer)(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err);
/* Multiply–adds (or elements touched, for ops without products), for step budgets and profiles. */
typedef uint64_t (*wf_op_cost)(const wf_op_call *call);

#endif
