/* Jigsaw: the tiles of a picture are shuffled, the model scores for each tile every place of the grid, and the arrangement with the
   greatest sum of scores is the answer (MP3, arXiv 2207.07611, read as a solver). The model has no positions, so it cannot see how
   the tiles were shuffled but by what is on them. */
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "runtime/model.h"

uint32_t wf_jigsaw_tiles(const wf_model *m, uint32_t grid[2]) {
    bool solver = m->grid[0] != 0 && wf_model_find_output(m, "position") != WF_NO_OUTPUT;
    grid[0] = solver ? m->grid[0] : 0;
    grid[1] = solver ? m->grid[1] : 0;
    return grid[0] * grid[1];
}

static wf_status expect_solver(const wf_model *m, uint32_t grid[2], wf_error *err) {
    return wf_jigsaw_tiles(m, grid) != 0 ? WF_OK
                                         : wf_fail(err, WF_E_UNSUPPORTED, "jigsaw", -1, "%s does not tell the places of tiles: use a model with an "
                                                   "output \"position\"", m->file_name);
}

/* Each of the n! orders is as likely as the others (Fisher and Yates). */
static void shuffle(uint32_t n, uint32_t seed, uint32_t *order) {
    wf_rng rng;
    wf_rng_seed(&rng, seed);
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(((uint64_t)wf_rng_u32(&rng) * (i + 1)) >> 32), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

wf_status wf_jigsaw_cut(const wf_model *m, wf_session *s, uint32_t seed, uint32_t *order, wf_error *err) {
    uint32_t grid[2];
    WF_TRY(expect_solver(m, grid, err));
    const uint32_t channels = m->input.channels, height = m->input.height, width = m->input.width;
    const uint64_t cells = (uint64_t)channels * height * width;
    if (wf_session_input_elements(s) != cells) {
        return wf_fail(err, WF_E_SHAPE, "jigsaw", -1, "one picture of the model's own size, %u × %u, is wanted", width, height);
    }
    const uint32_t h = height / grid[0], w = width / grid[1], size = wf_model_backend(m) == WF_BACKEND_F64 ? sizeof(double) : sizeof(float);
    uint8_t *input = wf_session_input(s);
    void *memory;
    WF_TRY(wf_alloc_array(&memory, cells, size, "the tiles", err));
    const uint8_t *whole = memcpy(memory, input, (size_t)cells * size);
    shuffle(grid[0] * grid[1], seed, order);
    for (uint32_t tile = 0; tile < grid[0] * grid[1]; tile++) {
        uint32_t to_x = tile % grid[1] * w, to_y = tile / grid[1] * h, x = order[tile] % grid[1] * w, y = order[tile] / grid[1] * h;
        for (uint32_t line = 0; line < channels * h; line++) {
            size_t row = (size_t)(line / h) * height + line % h;
            memcpy(input + ((row + to_y) * width + to_x) * size, whole + ((row + y) * width + x) * size, (size_t)w * size);
        }
    }
    wf_free(memory);
    return WF_OK;
}

wf_status wf_jigsaw_place(const wf_model *m, const wf_session *s, uint32_t *places, uint32_t *guesses, wf_error *err) {
    uint32_t grid[2], output = wf_model_find_output(m, "position");
    wf_output_info info;
    void *memory;
    WF_TRY(expect_solver(m, grid, err));
    const uint32_t n = grid[0] * grid[1];
    WF_TRY(wf_session_output(s, output, &info, err));
    if (info.n_dims != 3 || info.dims[0] != 1 || info.dims[1] != n || info.dims[2] != n) {
        return wf_fail(err, WF_E_SHAPE, "jigsaw", -1, "the model does not give %u scores for each of %u tiles", n, n);
    }
    WF_TRY(wf_alloc_array(&memory, (uint64_t)n * n, sizeof(float), "the scores", err));
    float *scores = memory;
    wf_status status = wf_session_read_f32(s, output, scores, err);
    status = status == WF_OK ? wf_assign(scores, n, places, err) : status;
    for (uint32_t tile = 0; tile < n && status == WF_OK; tile++) {
        guesses[tile] = 0;
        for (uint32_t place = 1; place < n; place++) {
            guesses[tile] = scores[tile * n + place] > scores[tile * n + guesses[tile]] ? place : guesses[tile];
        }
    }
    wf_free(memory);
    return status;
}
