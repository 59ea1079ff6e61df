/* From a checkpoint (safetensors, torch zip) to a GGUF file that runs, explains itself and proves itself.

   The architecture is recognised by the source's key names; what tensors cannot tell comes from a config (a bare constructor object,
   a golden's JSON, or an HF config.json with preprocessor_config.json). Every assumption is reported through `note` and stored in the
   file (wf.assumptions), and so is every source tensor that is left out (wf.left_out). The written model is run against the source in
   double precision; a loss above max_loss is an error and nothing usable is written. */
#ifndef WF_CONVERT_CONVERT_H
#define WF_CONVERT_CONVERT_H

#include <stdbool.h>

#include "base/status.h"
#include "format/gguf.h"
#include "format/source.h"
#include "media/image.h"

/* How layer norms are replaced (rewrite.h); carry: CRMS, and the mean takes the place of the channel that is not stored. */
typedef enum wf_convert_norm { WF_CONVERT_NORM_KEEP, WF_CONVERT_NORM_RMS, WF_CONVERT_NORM_CRMS, WF_CONVERT_NORM_CARRY } wf_convert_norm;

/* How one matrix is stored, and what that changes: of its output on the pictures, or, without pictures, of the weights alone. */
typedef struct wf_convert_layer {
    const char *name;
    wf_dtype type;
    const char *input;  /* of WF_I8 with pictures: "static" or "by row"; else NULL */
    double loss;        /* relative L2 */
    double static_loss; /* what a static grid would cost where the input is not "static" for that reason; else 0 */
} wf_convert_layer;

typedef struct wf_convert_options {
    wf_dtype type;            /* of matrices: WF_F32, WF_F16, WF_Q8_0, WF_Q4_0, WF_I8; vectors and layer scales stay F32 */
    const char *keep;         /* comma list of patterns ('*' = any text, found anywhere in the stored or the source name): matrices that
                                 stay F16 when `type` is a quantized one; NULL = none */
    /* WF_I8: pictures whose activations choose the static grids (0 = dynamic: a step for each row at run time). `picture` writes
       picture `index` as the model's input [3, height, width] of `image`. One in four is kept back to measure the loss. */
    uint32_t picture_count;
    wf_status (*picture)(void *user, uint32_t index, const wf_image_params *image, float *dst, wf_error *err);
    wf_convert_norm norm;
    bool untie;               /* a weight that several parts use becomes one for each where a rewrite changes it; else it is refused */
    bool fold;                /* scales and shifts of norms, and layer scales, go into the products next to them */
    const char *source_name;  /* file name, for provenance and errors */
    const char *config;       /* JSON text or NULL */
    size_t config_bytes;
    const char *config_name;
    const char *preprocessor; /* text of preprocessor_config.json or NULL */
    size_t preprocessor_bytes;
    double max_loss;          /* relative L2 of the output against the source in f64; < 0: the type's default */
    void *user;               /* handed to the callbacks; each may be NULL */
    void (*note)(void *user, const char *text);
    void (*layer)(void *user, const wf_convert_layer *layer);
    void (*progress)(void *user, const char *phase, uint64_t done, uint64_t total);
    bool (*cancelled)(void *user); /* polled between tensors and steps; true = WF_E_ABORTED */
} wf_convert_options;

typedef struct wf_convert_report {
    char architecture[64];
    uint64_t source_tensors, used_tensors, written_tensors, left_out;
    uint64_t bytes;   /* of the file */
    double loss;      /* relative L2, written file against source, on noise; with pictures on those that were kept back */
    uint32_t pictures; /* that the loss was measured on; 0 = noise */
    double max_loss;
} wf_convert_report;

/* "f32", "f16", "q8_0", "q4_0", "int8" → type; false when unknown. */
bool wf_convert_type(const char *name, wf_dtype *out);
/* Bytes go to `out` in order, after all checks have passed: on failure nothing has been written to it. */
wf_status wf_convert(const wf_source *source, const wf_convert_options *options, wf_byte_sink out, wf_convert_report *report,
                     wf_error *err);

#endif
