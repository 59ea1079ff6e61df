/* wasmformer: the public C API, the only header that an application includes.

   A model is fed with the bytes of a GGUF file in order, from whatever source; it can be planned as soon as its header has
   arrived. A session runs it: choose a shape, fill the input, step until done, read the outputs. Everything happens on the
   calling thread and the pool's; nothing blocks, prints or exits; every failure is a status plus a sentence (wf_error).

       wf_model *m; wf_session *s; wf_error err; wf_error_clear(&err);
       wf_options opt = wf_options_default();
       wf_model_open(&opt, &m, &err);
       while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) wf_model_feed(m, chunk, n, &err);
       wf_model_finish(m, &err);
       wf_session_create(m, NULL, 0, &s, &err);
       wf_session_prepare(s, 1, 224, 224, &err);
       fill(wf_session_input(s));                              // [1, 3, 224, 224] float
       do wf_session_step(s, 0, &progress, &err); while (progress == WF_YIELD);
       wf_session_read_f32(s, 0, logits);                                                                          */
#ifndef WASMFORMER_H
#define WASMFORMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "graph/run_types.h"
#include "media/image.h"

#define WF_VERSION "0.1.0"

typedef struct wf_model wf_model;
typedef struct wf_session wf_session;

typedef struct wf_options {
    wf_backend backend;
    uint32_t threads;       /* 1 … 16, the caller included */
    bool int8_rows;         /* Q8_0 and int8 layers: quantize activations to 8 bits and use integer dots (the fast way) */
    bool one_run;           /* the file is fed during the one run of the one session: each weight's memory comes with its rows and
                               goes with the last node that reads it, so that the model need not fit in memory */
    const char *file_name;  /* for error texts; copied */
    uint64_t file_bytes;    /* length of the file if known, else 0 */
    const char *integrity;  /* "sha256-BASE64" that pins the file, or NULL; copied. What `wasmformer inspect` prints: of the header
                               where that holds the hashes of the data (wf.chunks), else of the whole file. For a split model whose
                               first part vouches for the others (wf.parts) one value, else one for each part in their order */
    bool digests_outside;   /* the caller hashes the chunks of such a file itself, and hands in wf_model_digest for each */
} wf_options;
wf_options wf_options_default(void);

/* ---- model ---- */
wf_status wf_model_open(const wf_options *options, wf_model **out, wf_error *err);
void wf_model_free(wf_model *m); /* its sessions must be freed before */
/* The next bytes of the file. */
wf_status wf_model_feed(wf_model *m, const void *bytes, size_t n, wf_error *err);
/* The file has ended: fails unless everything is there. */
wf_status wf_model_finish(wf_model *m, wf_error *err);
/* A split model (NAME-00001-of-0000N.gguf …) is fed in two rounds, since the graph needs the tables of all parts before the first
   weight can be packed: from the first part on, each until wf_model_wants_next; then all once more, each from its first byte to
   its last. wf_model_next says that a file begins (index 0 … N − 1; not for the very first); so a caller that has the files does

       for (round = 0; round < (wf_model_files(m) > 1 ? 2 : 1); round++)
           for (i = 0; i < wf_model_files(m); i++) {
               if (round + i > 0) wf_model_next(m, i, name[i], bytes[i], &err);
               while (!wf_model_wants_next(m) && (n = read(…)) > 0) wf_model_feed(m, chunk, n, &err);
           }
       wf_model_finish(m, &err);                                                                                     */
uint32_t wf_model_files(const wf_model *m); /* 1 until the first header says otherwise */
bool wf_model_wants_next(const wf_model *m); /* bytes of this file that are fed now are ignored */
wf_status wf_model_next(wf_model *m, uint32_t index, const char *file_name, uint64_t file_bytes, wf_error *err);

/* True once metadata are checked, the architecture is known and memory is planned; no tensor data are needed for that. */
bool wf_model_has_header(const wf_model *m);
bool wf_model_is_complete(const wf_model *m);
/* Bytes of the file consumed so far, and its total (0 before the header is there). */
uint64_t wf_model_position(const wf_model *m);
uint64_t wf_model_total_bytes(const wf_model *m);

/* What the bytes are checked against before a run uses them: "chunks" (the file's own hashes), "file" (a pin of the whole file: no
   run before its end) or "none". */
const char *wf_model_verified(const wf_model *m);
/* The `integrity` value of a file with hashes, and how many chunks of 1 MiB they are; NULL and 0 for others. */
const char *wf_model_integrity(const wf_model *m);
uint64_t wf_model_chunks(const wf_model *m);
/* Where the first chunk begins, 0 in a file without and in a split model, whose chunks are always hashed here; each has 1 MiB, the last ends with wf_model_total_bytes. */
uint64_t wf_model_chunks_at(const wf_model *m);
/* With digests_outside: the SHA-256 of the next chunk, after its last byte was fed. No result leaves that used bytes of a chunk
   whose digest is missing; a wrong one fails the model as wrong bytes do. All must be there before wf_model_finish. */
wf_status wf_model_digest(wf_model *m, const uint8_t digest[32], wf_error *err);

typedef struct wf_model_info {
    const char *architecture, *name, *license, *source, *file_type;
    uint64_t parameters;        /* stored elements */
    uint64_t weight_bytes;      /* in memory */
    uint64_t activation_bytes;  /* of one picture of the recommended size, scratch included */
    uint64_t cost;              /* multiply–adds of that picture */
    uint32_t channels, height, width; /* recommended input; of a language model 1, tokens, 1 */
    uint32_t vocabulary, context;     /* of a language model: ids are below the one, sequences no longer than the other; else 0 */
    uint32_t classes;           /* labels in the file */
    uint32_t tap_count, nodes, norm_nodes;
} wf_model_info;
wf_status wf_model_get_info(const wf_model *m, wf_model_info *out);
/* Label of a class, or NULL. */
const char *wf_model_label(const wf_model *m, uint32_t index);
/* Source names of the taps that the file offers ("network.0.0.mlp"). */
const char *wf_model_tap(const wf_model *m, uint32_t index);
/* How pictures become the input; NULL when the file does not say. */
const wf_image_params *wf_model_image(const wf_model *m);
/* The metadata and tensor table of the file (format/gguf.h); NULL before the header has arrived. */
struct wf_gguf;
const struct wf_gguf *wf_model_metadata(const wf_model *m);
wf_backend wf_model_backend(const wf_model *m);
/* Whether some of its layers quantize activations to int8 rows. */
bool wf_model_int8_rows(const wf_model *m);
/* Everything above and all metadata as one JSON object (wf_free the text). NULL when memory runs out. */
char *wf_model_describe(const wf_model *m);

/* ---- session ---- */
/* taps: source names whose activations are to be read too, or one name "all". An unknown one is an error listing the known. */
wf_status wf_session_create(wf_model *m, const char *const *taps, uint32_t tap_count, wf_session **out, wf_error *err);
void wf_session_free(wf_session *s);
/* Chooses the shape class (n pictures of h × w; n sequences of h tokens, w = 1). Plans are kept for the last four classes. */
wf_status wf_session_prepare(wf_session *s, uint32_t n, uint32_t h, uint32_t w, wf_error *err);
/* Where the caller writes [n, c, h, w], or the token ids [n, h] as numbers: float, or double with WF_BACKEND_F64. Valid until the next prepare; the planner may reuse
   the memory during a run, so it has to be written before every run. */
void *wf_session_input(wf_session *s);
uint64_t wf_session_input_elements(const wf_session *s);
/* Begins a run with the input as it is (steps then continue it), or drops a run that was begun: that is abort. */
wf_status wf_session_start(wf_session *s, wf_error *err);
/* budget: multiply–adds after which to yield; 0 = run to the end. WF_NEED_BYTES: feed the model, then step again. The first step
   after prepare starts by itself; once done, a session stays done until start or prepare. */
wf_status wf_session_step(wf_session *s, uint64_t budget, wf_progress *progress, wf_error *err);
/* Share of the run that is done, 0 … 1. */
double wf_session_fraction(const wf_session *s);
uint64_t wf_session_bytes(const wf_session *s); /* memory held for activations */

typedef struct wf_output_info {
    const char *name; /* "output", "output0", …; of a tap its source name */
    bool is_tap;
    uint32_t n_dims;
    uint32_t dims[4]; /* the source framework's shape and order */
} wf_output_info;
uint32_t wf_session_output_count(const wf_session *s);
wf_status wf_session_output(const wf_session *s, uint32_t index, wf_output_info *out, wf_error *err);
/* Copies an output out in the source's order, dense. Only after WF_DONE. */
wf_status wf_session_read_f32(const wf_session *s, uint32_t index, float *dst, wf_error *err);
wf_status wf_session_read_f64(const wf_session *s, uint32_t index, double *dst, wf_error *err);

/* ---- profile: what a run consists of; a step with a budget of 1 runs one node ---- */
typedef struct wf_node_info {
    const char *name, *op;
    const char *type;       /* of the matrix that it multiplies by: "f32", "q8_0", …; NULL where there is none */
    bool int8;              /* the products are of integers */
    uint64_t multiply_adds; /* of products; 0 for ops that move and add */
    uint64_t bytes;         /* inputs, weights and output, each once: what it has to read and write */
    uint32_t threads;       /* that work on it; see wf_plan_threads */
} wf_node_info;
uint32_t wf_session_node_count(const wf_session *s); /* in the order of the run; 0 before prepare */
wf_status wf_session_node(const wf_session *s, uint32_t index, wf_node_info *out, wf_error *err);
/* How many of them this run has computed. */
uint32_t wf_session_nodes_done(const wf_session *s);
/* The nodes as a JSON array of objects with the fields above (wf_free the text). NULL when memory runs out. */
char *wf_session_describe_nodes(const wf_session *s);

/* What output `index` is for: "project", "rotate", "reconstruct" or "position"; NULL where the file does not say: classes, or maps. */
const char *wf_model_output_kind(const wf_model *m, uint32_t index);
enum { WF_NO_OUTPUT = 0xffffffffu };
/* The output of a kind, or WF_NO_OUTPUT. */
uint32_t wf_model_find_output(const wf_model *m, const char *kind);

/* ---- task: classify ---- */
typedef struct wf_class_score {
    uint32_t index;
    float score;
} wf_class_score;
/* One class of all (softmax), or each by itself, any number of them (sigmoid); or the logits. */
typedef enum wf_scores { WF_SCORES_SOFTMAX, WF_SCORES_SIGMOID, WF_SCORES_RAW } wf_scores;
wf_scores wf_model_scores(const wf_model *m); /* as its file says */
float wf_model_threshold(const wf_model *m);  /* from which on a class of a sigmoid model counts; else 0 */
/* A sentence when a logit is no finite number: there is no best class then. */
wf_status wf_classify_check(const float *logits, uint32_t n, wf_error *err);
/* The k best of n logits, by descending score, ties to the lower index. Returns how many (≤ n). */
uint32_t wf_classify_top(const float *logits, uint32_t n, uint32_t k, wf_scores scores, wf_class_score *out);

/* ---- task: jigsaw (models with an output "position") ---- */
enum { WF_JIGSAW_MAX = 1024 }; /* tiles; the assignment takes n³ steps */
/* Rows and columns of tiles, and how many tiles that is; 0 for other models. */
uint32_t wf_jigsaw_tiles(const wf_model *m, uint32_t grid[2]);
/* Shuffles the tiles of the one picture in the session's input, by the seed: tile i of the result is tile order[i] of the picture. */
wf_status wf_jigsaw_cut(const wf_model *m, wf_session *s, uint32_t seed, uint32_t *order, wf_error *err);
/* After the run: the place of each tile in the arrangement whose scores add up to most, and where each would go by itself. A tile is
   right where places[i] == order[i]. */
wf_status wf_jigsaw_place(const wf_model *m, const wf_session *s, uint32_t *places, uint32_t *guesses, wf_error *err);
/* scores [n, n] → columns[row], each once, with the greatest sum (O(n³)); refuses numbers that are not finite. */
wf_status wf_assign(const float *scores, uint32_t n, uint32_t *columns, wf_error *err);

/* ---- task: reconstruct (models with an output "reconstruct") ---- */
/* After the run of one picture: its size, and its pixels [height, width, 4] with an alpha of 255. */
wf_status wf_reconstruct_size(const wf_model *m, const wf_session *s, uint32_t *width, uint32_t *height, wf_error *err);
wf_status wf_reconstruct_read(const wf_model *m, const wf_session *s, uint8_t *rgba, wf_error *err);

#endif
