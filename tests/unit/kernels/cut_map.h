/* What windows and stripes mean, without their row maps: each is a segment of its own. A map is rolled, cut into windows, the windows are
   laid one behind the other as segments, some of the heads are taken out, and the op over whole segments must give the same bits. */
#ifndef WF_TESTS_CUT_MAP_H
#define WF_TESTS_CUT_MAP_H

#include "kernel_case.h"

typedef struct cut_map {
    uint32_t high, wide, shift_h, shift_w; /* windows */
    uint32_t first_head, heads;
} cut_map;

/* [q | k | v] of the heads of the cut, over its windows. */
static inline wf_shape cut_shape(const kc_spec *whole, const cut_map *cut) {
    const wf_shape *s = &whole->in[0];
    wf_shape out = {s->n * (s->h / cut->high) * (s->w / cut->wide), cut->high, cut->wide, 3 * cut->heads * whole->p.head_dim, WF_LAYOUT_ROWS};
    return out;
}

/* The row of the whole map that is the i-th of the cut one. */
static inline uint32_t cut_row(const wf_shape *s, const cut_map *cut, uint32_t i) {
    uint32_t area = cut->high * cut->wide, window = i / area, in = i % area, across = s->w / cut->wide, windows = s->h / cut->high * across;
    uint32_t y = window % windows / across * cut->high + in / cut->wide + cut->shift_h;
    uint32_t x = window % across * cut->wide + in % cut->wide + cut->shift_w;
    return (window / windows * s->h + y % s->h) * s->w + x % s->w;
}

static inline void cut_input(const kernel_case *whole, kernel_case *part, const cut_map *cut) {
    const wf_shape *s = &whole->spec.in[0], *t = &part->spec.in[0];
    uint32_t all = s->c / 3, some = t->c / 3, first = cut->first_head * whole->spec.p.head_dim;
    for (int form = 0; form < KC_FORMS; form++) {
        for (uint32_t i = 0; i < wf_shape_rows(t) * 3; i++) {
            for (uint32_t e = 0; e < some; e++) {
                size_t from = (size_t)cut_row(s, cut, i / 3) * wf_shape_stride(s) + i % 3 * all + first + e;
                double v = kc_get(whole->call[form].in[0].data, (kc_form)form, from);
                kc_put(part->call[form].in[0].data, (kc_form)form, (size_t)(i / 3) * wf_shape_stride(t) + i % 3 * some + e, (float)v);
            }
        }
    }
}

/* Both have run: the part's output is the whole's, bit for bit. */
static inline void cut_check(const kernel_case *whole, const kernel_case *part, const cut_map *cut) {
    uint32_t dim = whole->spec.p.head_dim, different = 0;
    for (int form = 0; form < KC_FORMS; form++) {
        for (uint32_t i = 0; i < wf_shape_rows(&part->out); i++) {
            for (uint32_t e = 0; e < cut->heads * dim; e++) {
                size_t at = (size_t)cut_row(&whole->out, cut, i) * wf_shape_stride(&whole->out) + cut->first_head * dim + e;
                double a = kc_get(whole->call[form].out.data, (kc_form)form, at);
                different += a != kc_get(part->call[form].out.data, (kc_form)form, (size_t)i * wf_shape_stride(&part->out) + e);
            }
        }
    }
    CHECK(different == 0, "windows of %u x %u, heads from %u on: %u numbers differ", cut->high, cut->wide, cut->first_head, different);
}

#endif
