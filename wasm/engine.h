/* The engine's surface for JavaScript: the exports of every wasmformer-*.wasm engine module, in one list.

   One module instance holds one model. Everything is synchronous; what may take long is cut into steps by the caller.
   No struct crosses: numbers are u32 words or doubles (sizes and offsets that may pass 2^32), texts are NUL-terminated UTF-8.
   Pointers are offsets in the imported memory; JavaScript reads them as `>>> 0`. Functions that return a wf_status leave
   the sentence in the error words; 0 is success. README.md of this folder shows the order of calls. */
#ifndef WASM_ENGINE_H
#define WASM_ENGINE_H

#include <stdint.h>

#include "base/status.h"

#define WF_EXPORT(name) __attribute__((export_name(#name), used))

enum { WF_ENGINE_ABI = 2 };

/* ---- module ---- */
uint32_t engine_abi(void);                       /* wf_abi: WF_ENGINE_ABI */
void *engine_staging(uint32_t bytes);            /* wf_staging: a buffer of at least `bytes` for what is handed in; valid until
                                                    the next call of wf_staging; NULL when memory runs out */
uint32_t engine_error_code(void);                /* wf_error_code … of the last failed call */
double engine_error_offset(void);                /* wf_error_offset: −1 where there is none */
const char *engine_error_where(void);            /* wf_error_where */
const char *engine_error_text(void);             /* wf_error_text */
double engine_heap(uint32_t what);               /* wf_heap: 0 live bytes, 1 peak bytes, 2 allocations so far, 3 live blocks */
uint32_t engine_dot(void);                       /* wf_dot: 0 i16, 1 u8s8, 2 s8s8, 3 pairs (kernels/codec.h) */

/* ---- model ---- */
/* wf_integrity: "sha256-…" for the wf_open that follows: of the header of a file with hashes, of the whole of another file. */
uint32_t engine_integrity(const char *pin);
/* wf_digests_outside: in the wf_open that follows, a file with chunk hashes is hashed by the caller. */
void engine_digests_outside(void);
/* wf_open: backend as wf_backend; name in UTF-8 (for error texts); file_bytes 0 = unknown. plan_only: a throw-away instance
   that takes the header, plans, and ignores every byte behind it. */
uint32_t engine_open(uint32_t backend, uint32_t threads, uint32_t int8_rows, const char *name, double file_bytes,
                     uint32_t plan_only);
uint32_t engine_feed(const void *bytes, uint32_t n); /* wf_feed */
uint32_t engine_digest(const uint8_t *sha256);       /* wf_digest: of the next chunk, when its last byte has been fed */
double engine_chunks_at(void);                       /* wf_chunks_at: where the first chunk of 1 MiB begins; 0: no hashes */
uint32_t engine_finish(void);                        /* wf_finish */
/* A split model (wasmformer.h): how many files it has, whether the rest of the current one is to be left alone for now, and
   that file `index` begins. */
uint32_t engine_files(void);                         /* wf_files */
uint32_t engine_wants_next(void);                    /* wf_wants_next */
uint32_t engine_next(uint32_t index, const char *name, double file_bytes); /* wf_next */
uint32_t engine_has_header(void);                    /* wf_has_header */
double engine_position(void);                        /* wf_position: bytes of the file consumed */
double engine_total_bytes(void);                     /* wf_total_bytes: 0 before the header is there */
double engine_planned_bytes(void);                   /* wf_planned_bytes: weights + activations + loading buffer */
const char *engine_describe(void);                   /* wf_describe: JSON of wf_model_describe, valid until the next call */
/* wf_self_test: begins the run that the file records (its golden), of a complete model; 0: it has none, or, with an error code, it
   could not begin. Other sessions may run between its steps. */
uint32_t engine_self_test(void);
/* wf_self_test_step: as wf_step; when it is done it has compared. −status where the model is not what the file recorded (LOSS): it
   then gives no more results. */
int32_t engine_self_test_step(double budget);
double engine_self_test_figure(uint32_t what);       /* wf_self_test_figure: relative error, limit, error against the source, recorded loss */
void engine_close(void);                             /* wf_close: frees sessions' model; free the sessions before */

/* ---- session ---- */
void *engine_session(const char *taps);              /* wf_session: taps one a line, "" for none; NULL on failure */
void engine_session_free(void *session);             /* wf_session_free */
uint32_t engine_prepare(void *session, uint32_t n, uint32_t h, uint32_t w); /* wf_prepare */
float *engine_input(void *session);                  /* wf_input: [n, c, h, w], to be written before every run */
double engine_input_elements(void *session);         /* wf_input_elements */
uint32_t engine_start(void *session);                /* wf_start: begins a run, or drops the one that is going on */
int32_t engine_step(void *session, double budget);   /* wf_step: wf_progress (0 done, 1 needs bytes, 2 go on), or −status */
double engine_fraction(void *session);               /* wf_fraction: 0 … 1 */
double engine_session_bytes(void *session);          /* wf_session_bytes */
uint32_t engine_outputs(void *session);              /* wf_outputs: how many */
/* wf_output: eight words {name, is tap, dimensions, dim 0 … dim 3, 0}; NULL on failure. Valid until the next call. */
const uint32_t *engine_output(void *session, uint32_t index);
/* wf_output_read: the output as dense floats in the source's order; NULL on failure. Valid until the next call. */
const float *engine_output_read(void *session, uint32_t index);

/* ---- profile (wasmformer.h): nodes, how many of them this run has computed, and the machine's limits (kernels/limits.h) ---- */
const char *engine_nodes(void *session);             /* wf_nodes: JSON, valid until the next call; NULL without memory */
uint32_t engine_nodes_done(void *session);           /* wf_nodes_done; a step with a budget of 1 runs one */
double engine_limit_arithmetic(uint32_t int8, uint32_t rounds, void *memory); /* wf_limit_arithmetic; memory: wf_staging(8192) */
double engine_limit_copy(void *memory, uint32_t bytes, uint32_t rounds);      /* wf_limit_copy */

/* ---- pictures and classes ---- */
/* wf_image_begin: a picture of w × h pixels will become picture `index` of the session's batch. */
uint32_t engine_image_begin(void *session, uint32_t index, uint32_t w, uint32_t h);
uint32_t engine_image_rows(const uint8_t *pixels, uint32_t channels, uint32_t stride, uint32_t rows); /* wf_image_rows */
uint32_t engine_image_end(void *session, uint32_t index);                                             /* wf_image_end */
/* wf_top: the k best of n logits as pairs {u32 class, f32 score}; *how many* comes first as a word. Scores are what the model's file
   says, softmax or sigmoid; raw: logits. NULL without memory. */
const uint32_t *engine_top(const float *logits, uint32_t n, uint32_t k, uint32_t raw);

/* ---- other tasks (wasmformer.h); NULL on failure, results are valid until the next call ---- */
uint32_t engine_jigsaw_cut(void *session, uint32_t seed); /* wf_jigsaw_cut: shuffles the tiles of the picture in the input; a status */
/* wf_jigsaw_place: after the run, words {rows, columns, right places, right guesses, order[tiles], places[tiles], guesses[tiles]}. */
const uint32_t *engine_jigsaw_place(void *session);
/* wf_reconstruct: after the run, words {width, height}, then the pixels, four bytes each. */
const uint8_t *engine_reconstruct(void *session);

/* ---- threads (wasmformer-*-mt.wasm; elsewhere they return 0) ---- */
/* Helper `index` (1 … threads − 1) is a worker with an instance of the same module on the same memory. Prepared by the
   engine's own thread before that worker starts: a stack and a TLS block. The worker sets __stack_pointer to the stack top,
   calls __wasm_init_tls, then wf_thread_main, which returns when the model is closed. */
uint32_t engine_thread_prepare(uint32_t index); /* wf_thread_prepare: stack top, 0 without memory */
uint32_t engine_thread_tls(uint32_t index);     /* wf_thread_tls */
void engine_thread_main(uint32_t index);        /* wf_thread_main */
uint32_t engine_threads_ready(void);            /* wf_threads_ready: helpers that have reported for work */
void engine_threads_leave(void);                /* wf_threads_leave: helpers return from wf_thread_main, soon; before ending their workers */
uint32_t engine_thread_stack_bytes(void);       /* wf_thread_stack_bytes */

/* Not an export: the error that the next failure fills, cleared; for tools.c. */
wf_error *engine_fresh_error(void);

#endif
