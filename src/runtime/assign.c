/* Optimal assignment: each of n rows gets a column of its own so that the sum of the scores is greatest (Kuhn 1955; shortest
   augmenting paths with potentials, Jonker and Volgenant 1987). O(n³) time, O(n) memory besides the scores. A constant added to a
   row changes nothing, so logits and their log-softmax have the same best assignment. Ties go to the lower column. */
#include "base/alloc.h"
#include "wasmformer.h"

/* Rows and columns are 1 … n; column 0 is where a path begins. Costs are minus the scores, in double. */
typedef struct matching {
    const float *scores;
    uint32_t n;
    double *row, *column, *least; /* potentials; the shortest way to each column [n + 1] */
    uint32_t *owner, *from;       /* row that has the column; column before it on the way [n + 1] */
    bool *reached;
} matching;

/* One step from the row that has column `at`: the nearest column that is not reached yet. */
static uint32_t step(matching *m, uint32_t at, double *distance) {
    uint32_t row = m->owner[at], next = 0;
    *distance = __builtin_inf();
    m->reached[at] = true;
    for (uint32_t j = 1; j <= m->n; j++) {
        if (m->reached[j]) {
            continue;
        }
        double cost = -(double)m->scores[(size_t)(row - 1) * m->n + j - 1] - m->row[row] - m->column[j];
        if (cost < m->least[j]) {
            m->least[j] = cost;
            m->from[j] = at;
        }
        if (m->least[j] < *distance) {
            *distance = m->least[j];
            next = j;
        }
    }
    return next;
}

static void add_row(matching *m, uint32_t row) {
    uint32_t at = 0;
    for (uint32_t j = 0; j <= m->n; j++) {
        m->least[j] = __builtin_inf();
        m->reached[j] = false;
    }
    m->owner[0] = row;
    do {
        double distance;
        uint32_t next = step(m, at, &distance);
        for (uint32_t j = 0; j <= m->n; j++) {
            if (m->reached[j]) {
                m->row[m->owner[j]] += distance;
                m->column[j] -= distance;
            } else {
                m->least[j] -= distance;
            }
        }
        at = next;
    } while (m->owner[at] != 0);
    while (at != 0) { /* the way back: each column on it changes hands */
        uint32_t before = m->from[at];
        m->owner[at] = m->owner[before];
        at = before;
    }
}

wf_status wf_assign(const float *scores, uint32_t n, uint32_t *columns, wf_error *err) {
    void *memory;
    if (n == 0 || n > WF_JIGSAW_MAX) {
        return wf_fail(err, WF_E_ARGUMENT, "assign", -1, "%u rows cannot be assigned; 1 to %d can", n, WF_JIGSAW_MAX);
    }
    for (uint32_t i = 0; i < n * n; i++) {
        if (!(scores[i] - scores[i] == 0)) { /* infinities and NaN */
            return wf_fail(err, WF_E_FORMAT, "assign", -1, "the score of place %u for tile %u is no finite number; the model's weights or "
                           "metadata are damaged, or the input holds NaN", i % n, i / n);
        }
    }
    WF_TRY(wf_alloc_array(&memory, n + 1, 3 * sizeof(double) + 2 * sizeof(uint32_t) + sizeof(bool), "the assignment", err));
    matching m = {.scores = scores, .n = n};
    m.row = memory;
    m.column = m.row + n + 1;
    m.least = m.column + n + 1;
    m.owner = (uint32_t *)(m.least + n + 1);
    m.from = m.owner + n + 1;
    m.reached = (bool *)(m.from + n + 1);
    for (uint32_t i = 0; i <= n; i++) {
        m.row[i] = m.column[i] = 0;
        m.owner[i] = m.from[i] = 0;
    }
    for (uint32_t row = 1; row <= n; row++) {
        add_row(&m, row);
    }
    for (uint32_t j = 1; j <= n; j++) {
        columns[m.owner[j] - 1] = j - 1;
    }
    wf_free(memory);
    return WF_OK;
}
