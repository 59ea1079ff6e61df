/* What the passes of a rewrite share (rewrite.h): the streams of the model and the recipes made so far. Rows are those of the map. */
#ifndef WF_CONVERT_REWRITER_H
#define WF_CONVERT_REWRITER_H

#include "convert/rewrite.h"
#include "convert/stream.h"

typedef struct wf_rewriter {
    wf_mapping *m;
    const wf_convert_options *o;
    wf_streams streams;
    struct wf_rewrite **recipe; /* [rows] */
    bool *removed;              /* [rows] */
    wf_map_row *made;           /* [rows] a bias to follow the row, where name is not NULL */
    struct wf_rewrite **made_recipe; /* [rows] its recipe */
    uint32_t *own;              /* [nodes] the row of a matrix or table that the node shared until now (o->untie), or WF_NO_CHANNEL */
    uint32_t first_own;         /* such rows begin here */
    uint32_t *drop;             /* [streams] channel, or WF_NO_CHANNEL */
    bool *keeps;                /* [streams] norms that --norm does not replace */
} wf_rewriter;

/* rewrite.c */
const char *wf_rewriter_weight(const wf_rewriter *p, uint32_t id); /* the stored name of a weight of the graph */
uint32_t wf_rewriter_row(const wf_rewriter *p, const char *name);  /* WF_NO_CHANNEL when the map has none */
uint32_t wf_rewriter_matrix(const wf_rewriter *p, wf_id node);     /* the row of a node's matrix or table */
/* A new recipe that does nothing; NULL after an error in p->m. */
struct wf_rewrite *wf_rewriter_new_recipe(wf_rewriter *p);
/* The recipe of a row, made when it has none; NULL after an error in p->m. */
struct wf_rewrite *wf_rewriter_recipe(wf_rewriter *p, uint32_t row);

/* folds.c: γ and β of a norm go into the products that read it, or, with constant statistics and a producer, into the product in front. */
wf_status wf_fold_norm(wf_rewriter *p, const wf_stream_norm *norm, wf_error *err);
/* Layer scales go into their products: all of them or none, since a file says only whether there are any. `needed`: by another
   rewrite, so no note says that they stay. */
wf_status wf_fold_scales(wf_rewriter *p, bool needed, wf_error *err);

/* norms.c: are norms replaced at all, and those of this stream (or WF_NONE)? */
bool wf_norms_replaced(const wf_rewriter *p);
bool wf_norms_change(const wf_rewriter *p, uint32_t stream);
/* Decides for each stream whether its norms may be replaced, and refuses or notes the others. */
wf_status wf_norms_check(wf_rewriter *p, wf_error *err);
/* Takes the mean out of the writers, and for CRMS a channel out of writers and readers, in which the mean may be carried; after the
   folds. */
wf_status wf_norms_replace(wf_rewriter *p, wf_error *err);

#endif
