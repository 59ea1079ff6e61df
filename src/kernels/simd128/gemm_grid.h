/* How a matrix product is cut into tiles for the pool: row blocks × column blocks. Rows are cut
   first, into at most MC of them, so that a block of A fits the L2 cache; if that gives too few
   tiles to balance a few threads, columns are cut too. The grid depends on shapes alone, never on
   the number of threads. */
#ifndef WF_KERNELS_SIMD128_GEMM_GRID_H
#define WF_KERNELS_SIMD128_GEMM_GRID_H

#include "kernels/codec.h"

enum { WF_GRID_ROWS = 128, WF_GRID_FEW_ROWS = 24, WF_GRID_TILES = 16, WF_GRID_COLUMNS = 32 };

typedef struct wf_gemm_grid {
    uint32_t rows, groups;              /* of the whole product; groups of WF_GRID_COLUMNS */
    uint32_t row_blocks, column_blocks; /* tiles = their product */
} wf_gemm_grid;

static inline uint32_t wf_gemm_grid_groups(uint32_t n) { return (n + WF_GRID_COLUMNS - 1) / WF_GRID_COLUMNS; }

/* The least number from `wanted` to `possible`, but not twice `wanted`, that cuts the groups evenly; else `wanted`. */
static inline uint32_t wf_gemm_grid_even(uint32_t groups, uint32_t wanted, uint32_t possible) {
    for (uint32_t blocks = wanted; blocks <= possible && blocks < 2 * wanted; blocks++) {
        if (groups % blocks == 0) {
            return blocks;
        }
    }
    return wanted < possible ? wanted : possible;
}

/* min_columns (32 or more): below this a column block is not worth repeating the preparation of its
   rows (int8 rows). Columns are cut between groups of four panels, which pass together. A few row
   blocks become a multiple of four: 25 would leave one of two threads idle for a 25th of the time. */
static inline wf_gemm_grid wf_gemm_grid_make(uint32_t rows, uint32_t n, uint32_t min_columns) {
    wf_gemm_grid g = {rows, wf_gemm_grid_groups(n), (rows + WF_GRID_ROWS - 1) / WF_GRID_ROWS, 1};
    if (g.row_blocks > 4) {
        g.row_blocks = wf_round_up(g.row_blocks, 4);
    }
    if (g.row_blocks < WF_GRID_TILES) {
        uint32_t wanted = (WF_GRID_TILES + g.row_blocks - 1) / g.row_blocks;
        uint32_t possible = g.groups * WF_GRID_COLUMNS / min_columns;
        g.column_blocks = wf_gemm_grid_even(g.groups, wanted, possible > 0 ? possible : 1);
        wanted = (WF_GRID_TILES + g.column_blocks - 1) / g.column_blocks;
        possible = (rows + WF_GRID_FEW_ROWS - 1) / WF_GRID_FEW_ROWS;
        wanted = wanted < possible ? wanted : possible;
        g.row_blocks = wanted > g.row_blocks ? wanted : g.row_blocks;
    }
    return g;
}

/* Rows alone are cut, into blocks of at least FEW_ROWS where that still gives TILES of them. */
static inline wf_gemm_grid wf_gemm_grid_rows(uint32_t rows, uint32_t n) {
    uint32_t most = rows / WF_GRID_TILES;
    most = most < WF_GRID_FEW_ROWS ? WF_GRID_FEW_ROWS : most > WF_GRID_ROWS ? WF_GRID_ROWS : most;
    return (wf_gemm_grid){rows, wf_gemm_grid_groups(n), wf_round_up((rows + most - 1) / most, 4), 1};
}

static inline uint32_t wf_gemm_grid_tiles(const wf_gemm_grid *g) { return g->row_blocks * g->column_blocks; }
/* The most rows that a tile has. */
static inline uint32_t wf_gemm_grid_tile_rows(const wf_gemm_grid *g) {
    return (g->rows + g->row_blocks - 1) / g->row_blocks;
}

/* Rows *row … *row + *rows − 1 and columns *n0 … *n1 − 1 of a tile. Tiles of one row block follow
   each other. */
static inline void wf_gemm_grid_tile(const wf_gemm_grid *g, uint32_t tile, uint32_t n,
                                     uint32_t *row, uint32_t *rows, uint32_t *n0, uint32_t *n1) {
    uint64_t r = tile / g->column_blocks, c = tile % g->column_blocks;
    *row = (uint32_t)(r * g->rows / g->row_blocks);
    *rows = (uint32_t)((r + 1) * g->rows / g->row_blocks) - *row;
    *n0 = (uint32_t)(c * g->groups / g->column_blocks) * WF_GRID_COLUMNS;
    *n1 = (uint32_t)((c + 1) * g->groups / g->column_blocks) * WF_GRID_COLUMNS;
    *n1 = *n1 < n ? *n1 : n;
}

/* The epilogue and output of an op call (linear, conv2d), for rows that start at `row`. */
static inline wf_gemm wf_gemm_of_call(const wf_op_call *call, uint32_t row) {
    uint32_t ldc = wf_shape_stride(&call->out.shape);
    return (wf_gemm){
        .w = &call->w[0],
        .bias = call->w[1].data,
        .scale = call->w[2].data,
        .residual = call->in[1].data != NULL ? (const float *)call->in[1].data + (size_t)row * ldc : NULL,
        .ldr = ldc,
        .act = call->p->act,
        .c = (float *)call->out.data + (size_t)row * ldc,
        .ldc = ldc,
    };
}

/* The executor has checked at load that the codec exists. */
static inline const wf_codec *wf_gemm_codec(const wf_op_call *call) {
    return wf_codec_get(call->w[0].type, call->p->int8_rows != 0);
}

#endif
