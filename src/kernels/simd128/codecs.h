/* The codecs that exist; kernels/codec.c looks them up. */
#ifndef WF_KERNELS_SIMD128_CODECS_H
#define WF_KERNELS_SIMD128_CODECS_H

#include "kernels/codec.h"

extern const wf_codec wf_codec_f32;
extern const wf_codec wf_codec_f16;
extern const wf_codec wf_codec_q4_0;
extern const wf_codec wf_codec_q8_0;      /* float activations */
extern const wf_codec wf_codec_q8_0_int8; /* activations quantized to int8 row by row */

extern const wf_codec wf_codec_i8;        /* bytes, or activations quantized to them */

#endif
