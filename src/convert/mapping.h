/* What a map knows about a checkpoint: which source tensor becomes which stored tensor, in the order in which the graph reads
   them, the metadata of the architecture, and the names under which the source's activations can be read. Maps are data plus
   recognition (convert/maps/); convert.c does the rest for all of them. */
#ifndef WF_CONVERT_MAPPING_H
#define WF_CONVERT_MAPPING_H

#include "base/arena.h"
#include "convert/convert.h"
#include "format/json.h"
#include "media/image.h"
#include "runtime/self_test.h"

typedef enum wf_map_kind {
    WF_MAP_VECTOR,   /* [k], or [k, 1, 1]: stays F32 */
    WF_MAP_LINEAR,   /* [out, in] or [out, in, 1, 1] */
    WF_MAP_CONV,     /* [out, in, kh, kw] → [out, (kh, kw, in)] */
    WF_MAP_TABLE_CHW, /* [1, c, h, w] → [h·w, c]: stays F32 */
    WF_MAP_TABLE_ROWS, /* [1, rows, c] or [rows, c]: stays F32 */
    WF_MAP_DEPTHWISE, /* [c, 1, kh, kw] → [kh·kw, c]: stays F32 */
    WF_MAP_INPUT_FIRST, /* [in, heads, d] or [heads, d, out], square: JAX's order → [out, in] */
    WF_MAP_FLAT,      /* [heads, d]: a vector in two dimensions */
    WF_MAP_DECONV,    /* a transposed convolution whose steps are as wide as its kernel: [in, c, p, p] → [(p, p, c), in] */
    WF_MAP_TILED,     /* its bias: [c], repeated for each of the p·p cells */
    WF_MAP_LOOKUP     /* [rows, c]: a table of tokens, encoded as matrices are (as Q8_0 where those are I8) */
} wf_map_kind;

enum { WF_MAP_STACK = 4 };

/* A stored tensor. Several sources of the same row length are stacked (q, k and v of libraries that keep them apart). */
typedef struct wf_map_row {
    const wf_source_tensor *source, *more[WF_MAP_STACK - 1]; /* more: NULL where there are fewer */
    const char *name;
    wf_map_kind kind;
    const struct wf_rewrite *rewrite; /* what happens to it on the way (rewrite.h), or NULL */
    uint32_t repeat; /* WF_MAP_TILED: p·p */
    uint32_t paired; /* not 0: rows (of a vector: elements) of each group of so many, a head, are stored in pairs, j beside j + paired/2:
                        rotary positions of transformers' order in llama.cpp's */
} wf_map_row;
static inline bool wf_map_is_matrix(const wf_map_row *r) {
    return r->kind == WF_MAP_LINEAR || r->kind == WF_MAP_CONV || r->kind == WF_MAP_INPUT_FIRST || r->kind == WF_MAP_DECONV;
}
static inline bool wf_map_is_vector(const wf_map_row *r) {
    return r->kind == WF_MAP_VECTOR || r->kind == WF_MAP_FLAT || r->kind == WF_MAP_TILED;
}

/* The stored geometry of a row of the map: `rows` of k elements, padded to stored_k. */
typedef struct wf_map_stored {
    wf_dtype type;
    uint64_t rows, k, stored_k;
} wf_map_stored;

/* How the input of an I8 matrix becomes bytes (kernels/quantize.h). */
typedef struct wf_int8_input {
    bool is_static; /* false: a step for each row, found at run time */
    float scale, zero;
    float *gain; /* [channels] in the arena, or NULL */
    uint32_t channels; /* 0: the matrix is none of I8, or was never met */
    double loss;       /* ‖Ŷ − Y‖ / ‖Y‖ of its product, on the pictures */
} wf_int8_input;

typedef struct wf_map_list {
    const char **items;
    uint32_t count, capacity;
} wf_map_list;

/* The config in whatever form it came. */
typedef struct wf_map_config {
    enum { WF_CONFIG_NONE, WF_CONFIG_CONSTRUCTOR, WF_CONFIG_HF } kind;
    const char *file;         /* its name, for errors */
    const char *class_name;   /* of a golden's JSON, or NULL */
    const wf_json *args;      /* constructor arguments, or the HF object */
    const wf_json *outer;     /* what stands around them and is looked at next (timm's hub), or NULL */
    const wf_json *pretrained; /* timm's pretrained_cfg, or NULL */
    const wf_json *own;       /* our additions: the object "wf", or NULL */
    const wf_json *preprocessor;
} wf_map_config;

/* What a rewrite of norms changes in the architecture's metadata. */
typedef struct wf_map_change {
    const char *norm;         /* "rms_norm", "crms_norm" or "carried_norm" in place of layer norms; NULL: as they are */
    bool scales_folded;       /* no layer scales are left */
    bool biases_made;         /* products that had no bias have one */
    wf_map_list replaced;     /* the nodes of the norms that `norm` replaces */
    wf_map_list bare_norms;   /* nodes of norms without scale and shift: wf.norm.bare */
} wf_map_change;

typedef struct wf_mapping {
    wf_arena *arena;
    const wf_source *source;
    wf_map_config config;
    bool *used;               /* [source tensors] */
    wf_map_row *rows;
    uint32_t row_count, row_capacity;
    wf_map_list taps;         /* "source|node|order" */
    wf_map_list assumptions, left_out, labels;
    wf_map_change change;
    bool norms_by_stage;      /* set by a map whose metadata can say which norms were replaced */
    wf_map_list notes;        /* what a rewrite left as it was, and why */
    wf_map_list ignored;      /* what the config says and nobody read, as sentences */
    const char *architecture, *family; /* general.architecture; "sail-sg/poolformer", "timm", "transformers" */
    const char *name, *license; /* NULL: the config's, or none */
    uint32_t classes;         /* 0: no classifier */
    const char *const *outputs; /* what the outputs are, where they are not classes or maps: wf.outputs */
    uint32_t output_count;
    uint32_t grid[2];         /* of an output "position": wf.grid; else 0 */
    bool sigmoid;             /* each class has a probability of its own: wf.scores, wf.threshold */
    float threshold;
    wf_image_params image;
    bool grid_bound;          /* runs at its own picture size only */
    const char *keep;         /* patterns of matrices that stay F16 when the type is a quantized one, or NULL */
    wf_int8_input *int8;      /* [rows] of I8 matrices, once pictures have been looked at; else NULL */
    bool pairs;               /* I8 weights are chosen for CPUs that add two products in 16 bits (wf_int8_encode) */
    uint32_t channels;        /* of the input */
    uint32_t vocabulary, context; /* of a model that reads token ids (no pictures then); else 0 */
    bool unpadded;            /* the architecture is llama.cpp's: rows that blocks do not divide become F16, not padded */
    bool golden_octaves;      /* the self-test's input is as uneven as a picture, instead of white */
    uint32_t golden_size;     /* side of the self-test picture; 0 = the recommended size */
    const void *details;      /* of the map */
    wf_status (*metadata)(const struct wf_mapping *m, wf_gguf_writer *w, wf_error *err);
    wf_error *err;
    wf_status status;         /* first failure of a helper below */
} wf_mapping;

/* Tries to recognise and map; *known = false (and WF_OK) when the keys are not this family's. */
typedef wf_status (*wf_map_function)(wf_mapping *m, bool *known);
wf_status wf_map_poolformer(wf_mapping *m, bool *known);
wf_status wf_map_vit(wf_mapping *m, bool *known);
wf_status wf_map_swin(wf_mapping *m, bool *known);
wf_status wf_map_pvt(wf_mapping *m, bool *known);
wf_status wf_map_cswin(wf_mapping *m, bool *known);
wf_status wf_map_llama(wf_mapping *m, bool *known);
wf_status wf_map_gguf(wf_mapping *m, bool *known);

/* ---- helpers; after a failure they do nothing, m->status keeps the error ---- */
const char *wf_map_format(wf_mapping *m, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void wf_map_fail(wf_mapping *m, wf_status code, const char *where, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;
void wf_map_list_add(wf_mapping *m, wf_map_list *list, const char *text);
/* Reports and records an assumption. */
void wf_map_assume(wf_mapping *m, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Reports what a rewrite did not do. */
void wf_map_note(wf_mapping *m, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
const wf_source_tensor *wf_map_find(wf_mapping *m, const char *source_name);
bool wf_map_has(wf_mapping *m, const char *prefix, const char *suffix);
/* The tensor with so many dimensions and 1 to 2³² − 1 elements, or NULL and an error; model: "ViT", "PVT" …, what needs it. */
const wf_source_tensor *wf_map_need(wf_mapping *m, const char *source_name, uint32_t n_dims, const char *model);
/* source tensor → stored tensor; an absent source is an error unless optional (then false comes back). */
bool wf_map_tensor(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, bool optional);
/* The same as a row that is `paired`. */
bool wf_map_paired(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, uint32_t paired, bool optional);
/* The sources, one below the other → one stored tensor: matrices and tables of equal row length, windows of equal size, or vectors end
   to end. */
bool wf_map_stack(wf_mapping *m, const char *const *source_names, uint32_t count, const char *name, wf_map_kind kind);
/* NAME.weight and NAME.bias. */
void wf_map_affine(wf_mapping *m, const char *source_name, const char *name, wf_map_kind kind, bool bias_optional);
/* Norms with constant statistics under this name: "batch_norm" (P.{weight, bias, running_mean, running_var}), "un" (no running_mean)
   or "repbn"; "ss_norm" where the weight is one for all channels; NULL for what tensors cannot tell apart: layer and RMS norms. */
const char *wf_map_norm_kind(wf_mapping *m, const char *source_name);
/* The tensors of a norm of this kind as NAME.{weight, bias, mean, var, alpha}. */
void wf_map_norm(wf_mapping *m, const char *kind, const char *source_name, const char *name);
/* A transposed convolution (WF_MAP_DECONV) and its bias. */
void wf_map_deconv(wf_mapping *m, const char *source_name, const char *name);
/* Is there a RepBN (SLAB) under this name: P.{alpha, bn.*}, or inside a LinearNorm, P.norm2.{alpha, bn.*}? */
bool wf_map_is_repbn(wf_mapping *m, const char *source_name);
/* It, as NAME.{weight, bias, mean, var, alpha}. */
void wf_map_repbn(wf_mapping *m, const char *source_name, const char *name);
/* SLAB's linear attention SOURCE.{positional_encoding, dwc} → NODE.heads.{position, window}, of two sources when its heads come in two
   halves; the side of its kernel, or 0 where there is none (no error) or where it is none (an error). */
uint32_t wf_map_sla_kernel(wf_mapping *m, const char *source_name);
void wf_map_sla(wf_mapping *m, const char *const *source_names, uint32_t count, const char *name);
/* SOURCE.PART of each source, stacked. */
void wf_map_stack_parts(wf_mapping *m, const char *const *source_names, uint32_t count, const char *part, const char *name, wf_map_kind kind);
/* Why nothing reads this tensor once training is over: counters, and the layer norm that a LinearNorm left behind; or NULL. */
const char *wf_map_left_over(wf_mapping *m, const char *source_name);
void wf_map_tap(wf_mapping *m, const char *source_name, const char *node, const char *order);
/* args.KEY, or NULL. Maps read the config through this, so that keys which nobody reads can be named. */
const wf_json *wf_map_key(const wf_mapping *m, const char *key);
/* args.KEY as a whole number, `fallback` when absent or null. */
uint32_t wf_map_arg(wf_mapping *m, const char *key, uint32_t fallback);
/* Item i of a list, or the value itself for every i; NULL behind the list's end. */
const wf_json *wf_map_item(const wf_json *v, uint32_t i);
/* A value of args.KEY as a whole number; 0 when it is NULL or null. */
uint32_t wf_map_number(wf_mapping *m, const char *key, const wf_json *v);
/* Item i of args.KEY as a number; 0 when the config does not say. */
uint32_t wf_map_arg_item(wf_mapping *m, const char *key, uint32_t i);
/* Fails when the config says another number there than the checkpoint has. */
void wf_map_expect_item(wf_mapping *m, const char *key, uint32_t i, uint32_t found);
/* args.KEY as [height, width], or one number for both. False where it is absent, or no size (and then it fails). */
bool wf_map_arg_size(wf_mapping *m, const char *key, uint32_t out[2]);
bool wf_map_arg_bool(wf_mapping *m, const char *key, bool fallback);
/* The norm of a node after the rewrite; `before` where it was not replaced. */
const char *wf_map_norm_of(const wf_mapping *m, const char *node, const char *before);
/* The same where a rewrite replaces all norms or none; "none" stays none. */
const char *wf_map_norm_now(const wf_mapping *m, const char *before);
/* args.KEY as a class name; NULL when it is absent or partial(…). */
const char *wf_map_arg_text(const wf_mapping *m, const char *key);
bool wf_map_is_class(const char *name, const char *wanted); /* with or without its module */
/* Fails when the config names a class (or, in Hugging Face's form, a model_type) that is none of these; NULL ends both lists. */
void wf_map_check_class(wf_mapping *m, const char *const *classes, const char *const *model_types);
/* Fails when args.KEY is there and is none of these class names; NULL ends the list. */
void wf_map_need_class(wf_mapping *m, const char *key, const char *const *names);
bool wf_map_is_partial(const char *name); /* what a printed signature leaves of a function: the contract is to pass over it */

/* config.c: parses the texts of the options. */
wf_status wf_map_read_config(wf_mapping *m, const wf_convert_options *o);
/* After the map: fills `ignored`. */
void wf_map_name_ignored(wf_mapping *m);
/* image_config.c: size, crop, mean, std and labels from HF's files, from the object "wf", or assumed (`assumed`) and said so. */
void wf_map_image(wf_mapping *m, const wf_image_params *assumed);
/* The same with ImageNet's mean and std, a square and bicubic resampling assumed. */
void wf_map_image_defaults(wf_mapping *m, uint32_t size, float crop_pct);
wf_image_params wf_map_imagenet(uint32_t size, float crop_pct);
void wf_map_labels(wf_mapping *m);
/* What the outputs mean, as the metadata that runtime/meaning.c reads. */
wf_status wf_map_write_meaning(const wf_mapping *m, wf_gguf_writer *w, wf_error *err);

/* Whether a row is stored in the type that was asked for, and not always in F32. */
bool wf_map_is_encoded(const wf_map_row *r);

/* emit.c: writes the whole file; golden may be NULL. */
wf_status wf_emit(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, const wf_golden *golden, wf_byte_sink out,
                  uint64_t *bytes, wf_error *err);

wf_map_stored wf_map_stored_of(const wf_mapping *m, const wf_map_row *r, wf_dtype wanted);
/* rewrite_rows.c: reads a stored tensor row by row; holds memory for what one row needs. */
typedef struct wf_map_reader {
    const wf_mapping *m;
    const wf_map_row *row;
    wf_map_stored stored; /* as F32 */
    double *exact, *source; /* [k] each: a row in double, and as it lies in the source */
    double *whole; /* the whole source, where its rows are the stored columns; else NULL */
} wf_map_reader;
wf_status wf_map_reader_open(wf_map_reader *out, const wf_mapping *m, const wf_map_row *row, wf_error *err);
void wf_map_reader_close(wf_map_reader *r);
/* Row `i` → stored order, with the recipe of its rewrite; a vector is one row. line has k elements. */
wf_status wf_map_read_row(const wf_map_reader *r, uint64_t i, float *line, wf_error *err);

/* int8.c: I8 matrices and the small tensors that belong to them. */
/* w[k] → q[k] in −127 … 127; returns the step. pairs: neighbours keep to WF_PAIRS_MOST (kernels/quantize.h). */
float wf_int8_encode(const float *w, uint64_t k, bool pairs, int8_t *q);
/* The whole matrix of row i, divided by the gains of its input: q [rows, k], steps [rows]. */
wf_status wf_int8_matrix(const wf_mapping *m, uint32_t i, const wf_int8_input *in, int8_t *q, float *steps, wf_error *err);
wf_status wf_int8_declare(const wf_mapping *m, uint32_t i, wf_gguf_writer *w, wf_error *err);
wf_status wf_int8_write(const wf_mapping *m, uint32_t i, wf_gguf_writer *w, wf_error *err);
/* Fails when a pattern of m->keep fits no matrix. */
wf_status wf_map_check_keep(const wf_mapping *m, wf_error *err);
bool wf_map_is_kept(const wf_mapping *m, const wf_map_row *r);

/* calibrate.c: looks at the pictures, fills m->int8, keeps the loss within max_loss where that can be (int8_fit.c), and reports the
   layers. The report's loss and pictures are filled: relative L2 of the written model's outputs against the source's in float, over the
   pictures that were kept back. */
wf_status wf_calibrate(wf_mapping *m, const wf_convert_options *o, double max_loss, wf_convert_report *report, wf_error *err);

/* The matrices that lose most when they are stored as `type`: relative L2 of decode(encode(w)) against w,
   the worst first; fewer than three leave NULL names. */
enum { WF_WORST_LAYERS = 3 };
typedef struct wf_layer_loss {
    const char *name; /* in the source */
    double loss;
} wf_layer_loss;
void wf_emit_insert_worst(wf_layer_loss worst[WF_WORST_LAYERS], wf_layer_loss one); /* into a list in this order */
wf_status wf_emit_worst(const wf_mapping *m, wf_dtype type, wf_layer_loss worst[WF_WORST_LAYERS], wf_error *err);
/* Relative L2 of what one matrix decodes to, stored as `wanted` wants it, against what it was. */
wf_status wf_emit_layer_loss(const wf_mapping *m, const wf_map_row *r, wf_dtype wanted, double *loss, wf_error *err);
/* The same for each matrix of a quantized type, through o->layer. */
wf_status wf_emit_layers(const wf_mapping *m, const wf_convert_options *o, wf_error *err);

/* prove.c: runs the file that wf_emit would write. wf_prove_source fills golden->source and may be called before the map is
   rewritten; wf_prove_rewrite compares the rewritten map with it, in double throughout (1e-9 relative). */
wf_status wf_prove_source(const wf_mapping *m, const wf_convert_options *o, wf_golden *golden, wf_error *err);
wf_status wf_prove_rewrite(const wf_mapping *m, const wf_convert_options *o, const wf_golden *golden, wf_error *err);
wf_status wf_prove(const wf_mapping *m, const wf_convert_options *o, wf_golden *golden, wf_error *err);

#endif
