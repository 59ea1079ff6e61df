/* The residual streams of a model, read off its graph: who writes into a stream, which norms read it and what reads them, and what
   else looks at it. One description for every architecture, from which all lossless rewrites of norms follow (rewrite.c):

     fold     a norm's γ and β go into the products that read it; a layer scale into the product that it scales; RepBN, at
              inference a scale and a shift itself, goes wholly so, or into the product in front of it
     centre   every writer loses its mean over the channels, so the stream has mean zero and LN = RMS
              (Pre-RMSNorm, arXiv 2305.14858, section 3)
     drop     one channel, which is minus the sum of the others, is not stored (Pre-CRMSNorm, section 4)
     carry    its place holds the mean, so that products which read the stream without a norm can undo all of it

   A stream is a set of nodes that hold the same kind of rows: residual sums, position and token additions, row selections. */
#ifndef WF_CONVERT_STREAM_H
#define WF_CONVERT_STREAM_H

#include "graph/graph.h"

enum { WF_STREAM_READERS = 8 };

/* Adds rows to a stream: a product (matrix, optional bias, optional layer scale) or a table. */
typedef struct wf_stream_writer {
    wf_id node;
    uint32_t matrix, bias, scale; /* weight ids or WF_NONE; a table is in `matrix` */
    bool table;
    uint32_t stream;
} wf_stream_writer;

typedef struct wf_stream_norm {
    wf_id node;
    uint32_t weight, bias; /* ids or WF_NONE */
    wf_id readers[WF_STREAM_READERS];
    uint32_t reader_count;
    const char *unfoldable; /* why γ and β cannot leave the norm (with the tensor or node), or NULL */
    wf_id producer;         /* of a RepBN that cannot go forward: the product whose only reader it is, or WF_NONE */
    uint32_t stream;
} wf_stream_norm;

/* A product that reads a stream without a norm. */
typedef struct wf_stream_raw {
    wf_id node;
    uint32_t stream;
} wf_stream_raw;

/* One stream; `refusal` says why its norms cannot be replaced (with the tensor or node), or is NULL; `uncarried` the same where the
   mean is carried, which raw products do not hinder. */
typedef struct wf_stream_info {
    uint32_t channels, norms;
    const char *refusal, *uncarried;
} wf_stream_info;

typedef struct wf_streams {
    wf_arena *arena;
    const wf_graph *graph;
    uint32_t *stream_of; /* [nodes] index, or WF_NONE */
    wf_stream_info *list;
    wf_stream_norm *norms;
    wf_stream_writer *writers;
    wf_stream_raw *raw;
    uint32_t count, norm_count, writer_count, raw_count;
} wf_streams;

/* The graph must not have been rewritten by passes. Everything lives in the arena. `untied`: matrices and tables that several nodes
   use count as one for each node. */
wf_status wf_streams_find(const wf_graph *g, wf_arena *arena, bool untied, wf_streams *out, wf_error *err);

#endif
