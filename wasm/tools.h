/* What wasmformer-tools.wasm exports beside the engine's surface: the converter, and picture decoding for places without a
   platform decoder (Node). A page loads this module only when it is asked to convert.

   The converter reads and writes through imports of the module "wf", so that neither the checkpoint nor the result has to lie in
   wasm memory: JavaScript answers reads from a Blob (FileReaderSync in a worker), an array or a file. File 0 is the checkpoint,
   or the index of a sharded one; its shards are files that wf.find names.

     wf.size(file) → f64 bytes          wf.name(file, dst, n) → bytes of its name that were placed at dst, n at most
     wf.find(name) → the file of that plain name, or −1
     wf.read(file, offset: f64, dst, n) → 0 when n bytes were placed at dst
     wf.write(bytes, n) → 0 when they were taken
     wf.layer(name, type, input, loss: f64, static_loss: f64)    what storing one matrix changes (wf_convert_layer; input "": none)
     wf.note(text)                      an assumption or a tensor left out   wf.progress(phase, done: f64, total: f64)
     wf.cancelled() → 1 to stop */
#ifndef WASM_TOOLS_H
#define WASM_TOOLS_H

#include <stdint.h>

/* wf_convert: type "f32", "f16", "q8_0" or "q4_0"; config and preprocessor are JSON texts of the given lengths (0 = none);
   keep: patterns of matrices that stay f16, "" = none; max_loss < 0 = the type's default; norm 0 keep, 1 rms, 2 crms; fold 1 = norms' scales and shifts go into weights. A name that ends in .index.json is an index.
   pictures: how many files from number `first` on are JPEGs or PNGs to calibrate int8 with (0 = none). Returns a wf_status. */
uint32_t tools_convert(const char *source_name, const char *type, const char *config, uint32_t config_bytes,
                       const char *config_name, const char *preprocessor, uint32_t preprocessor_bytes, const char *keep,
                       double max_loss, uint32_t norm, uint32_t fold, uint32_t untie, uint32_t first, uint32_t pictures);
/* wf_convert_report: JSON of the last conversion that succeeded. */
const char *tools_convert_report(void);

/* wf_decode: JPEG or PNG → eight words {pixels, width, height, channels, 0 …}; NULL on failure. Valid until the next call. */
const uint32_t *tools_decode(const void *bytes, uint32_t n, const char *name);

#endif
