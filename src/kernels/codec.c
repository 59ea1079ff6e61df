/* The table of weight codecs. A type that is missing here has no fast kernel: the caller names it
   in its error. */
#include "kernels/codec.h"

#include "kernels/simd128/codecs.h"

static const wf_codec *const table[] = {&wf_codec_f32, &wf_codec_f16, &wf_codec_q4_0, &wf_codec_q8_0,
                                        &wf_codec_q8_0_int8, &wf_codec_i8};

const wf_codec *wf_codec_get(wf_dtype type, bool int8_rows) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i]->type == type && table[i]->int8_rows == int8_rows) {
            return table[i];
        }
    }
    return NULL;
}
