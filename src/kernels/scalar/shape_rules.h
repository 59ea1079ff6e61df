/* The sentences of shape errors that several ops share. Each check returns WF_OK or fills the error
   with the op, the node, the shapes that were met and those that were expected. Absent inputs have
   c = 0, absent weights n = 0. Functions, not inline ones: copies in every op would weigh 2 KB of a page's download. */
#ifndef WF_KERNELS_SCALAR_SHAPE_RULES_H
#define WF_KERNELS_SCALAR_SHAPE_RULES_H

#include "kernels/op.h"

/* Bounds what one tensor may hold: 2^29 elements are 2 GiB as float, half of all that 32-bit
   addresses reach. */
wf_status wf_expect_size(const wf_shape *s, const char *op, const char *node, wf_error *err);
/* in0 is there, has no empty axis and is of the layout that the op reads. */
wf_status wf_expect_input(const wf_view *in, bool picture_allowed, const char *op,
                           const char *node, wf_error *err);
/* An optional vector (bias, scale, norm weight) has one element per channel. */
wf_status wf_expect_vector(const wf_weight *w, uint32_t c, const char *what, const char *op,
                           const char *node, wf_error *err);
/* Same segments, same rows a segment, same channels. How the rows form a map may differ: a token
   sequence may be added to the map that it was flattened from. */
wf_status wf_expect_same_rows(const wf_shape *a, const wf_shape *b, const char *what,
                           const char *op, const char *node, wf_error *err);
/* Windows with their shift: sides are 1 … 4096, shifts smaller; or stripes, which divide the map, and `what` in two halves. */
wf_status wf_expect_windows(const wf_op_call *call, uint32_t halved, const char *what, const char *op, const char *node,
                           wf_error *err);
/* Of attention with keys and values of other rows than the queries': in0 = q, in1 = [k | v], or in1 = k and in2 = v, in as many segments,
   no windows. */
wf_status wf_expect_others(const wf_op_call *call, uint64_t width, const char *op, const char *node, wf_error *err);
/* The epilogue that linear and conv2d share: [w1] bias, [w2] scale, [in1] residual of the output's
   shape. */
wf_status wf_expect_epilogue(const wf_op_call *call, const wf_shape *out, const char *op,
                           const char *node, wf_error *err);

#endif
