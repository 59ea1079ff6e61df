/* Lossless rewrites of norms and layer scales, as recipes that are applied while rows are read from the source; all arithmetic is
   double, and only the result is stored. See stream.h for what is rewritten and why it is exact. */
#ifndef WF_CONVERT_REWRITE_H
#define WF_CONVERT_REWRITE_H

#include "convert/mapping.h"
#include "graph/graph.h"

/* What happens to one stored tensor, in this order. NULL, false or WF_NO_CHANNEL: nothing. */
enum { WF_NO_CHANNEL = 0xffffffffu };
struct wf_rewrite {
    const double *shift;      /* [channels] a bias b of the matrix W in row `matrix`: b + W · shift (a norm's β) */
    const wf_map_row *matrix; /* that row, without its own recipe */
    const double *gain;       /* [channels] a matrix: W · diag(gain), for each cell of a convolution (a norm's γ) */
    uint32_t channels;        /* of the norm */
    uint32_t drop_column;     /* a matrix: every column minus this one, which becomes zero, for each cell */
    bool carry_column;        /* … or the sum of all columns as they were: what a carried mean is multiplied by */
    bool swap_column;         /* it changes places with the last column of its cell */
    const double *scale;      /* [rows] diag(scale) · W or scale ∘ b (a layer scale) */
    const double *offset;     /* [k] a bias: added last (the shift of a RepBN that reads the product) */
    const double *mean;       /* [k] a matrix: the mean over its rows, subtracted from each */
    bool centre;              /* a bias or a row of a table: minus its own mean */
    uint32_t drop_row;        /* a matrix: this row becomes zero; a bias or a row of a table: this element */
    bool carry_row;           /* … or what was subtracted from all of them, in the last place, whose own goes where this was */
    bool made;                /* a bias that the source does not have: zeros at first */
};

/* rewrite_rows.c: reads row `i` of a map's row as it is in the source, in stored order, as doubles: [k], a vector as one row. */
wf_status wf_map_read_source(const wf_map_reader *r, uint64_t i, double *line, wf_error *err);
/* The same with the row's recipe applied. */
wf_status wf_map_read_rewritten(const wf_map_reader *r, uint64_t i, double *line, wf_error *err);

/* drop_channel.c: the channel of a stream that costs least when its readers (rows of the map, recipes without a drop) are stored as
   `type`; the last for types of floats. */
wf_status wf_choose_channel(const wf_mapping *m, const uint32_t *readers, uint32_t count, uint32_t channels, wf_dtype type,
                            uint32_t *channel, wf_error *err);

/* Plans what options ask for (norm, fold) on the mapped model: sets recipes, removes rows that were folded away, adds biases, drops
   taps that would no longer be the source's, and leaves what the architecture's metadata must say in m->change. Refuses, naming
   tensor and reason, where a rewrite would not be exact. */
wf_status wf_rewrite(wf_mapping *m, const wf_convert_options *o, wf_error *err);
/* The same for the graph of the mapped model, whose weights are called as the map's rows; no passes have rewritten it. */
wf_status wf_rewrite_graph(wf_mapping *m, const wf_convert_options *o, const wf_graph *graph, wf_error *err);

#endif
