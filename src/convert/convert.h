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

typedef struct wf_convert_options {
    wf_dtype type;            /* of matrices: WF_F32, WF_F16, WF_Q8_0, WF_Q4_0; vectors and layer scales stay F32 */
    const char *source_name;  /* file name, for provenance and errors */
    const char *config;       /* JSON text or NULL */
    size_t config_bytes;
    const char *config_name;
    const char *preprocessor; /* text of preprocessor_config.json or NULL */
    size_t preprocessor_bytes;
    double max_loss;          /* relative L2 of the output against the source in f64; < 0: the type's default */
    void *user;               /* handed to the callbacks; each may be NULL */
    void (*note)(void *user, const char *text);
    void (*progress)(void *user, const char *phase, uint64_t done, uint64_t total);
    bool (*cancelled)(void *user); /* polled between tensors and steps; true = WF_E_ABORTED */
} wf_convert_options;

typedef struct wf_convert_report {
    char architecture[64];
    uint64_t source_tensors, written_tensors, left_out;
    uint64_t bytes;   /* of the file */
    double loss;      /* relative L2, written file against source */
    double max_loss;
} wf_convert_report;

/* "f32", "f16", "q8_0", "q4_0" → type; false when unknown. */
bool wf_convert_type(const char *name, wf_dtype *out);
/* Bytes go to `out` in order, after all checks have passed: on failure nothing has been written to it. */
wf_status wf_convert(const wf_source *source, const wf_convert_options *options, wf_byte_sink out, wf_convert_report *report,
                     wf_error *err);

#endif
