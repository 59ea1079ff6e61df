/* A bare matrix product, the measure of the real ones: C = A · B, B in panels of 4·vectors columns
   ([n / columns][k][columns]), whole tiles only, nothing added. */
#ifndef WF_BENCH_PROTOTYPE_H
#define WF_BENCH_PROTOTYPE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct prototype {
    uint32_t rows, vectors; /* of the register tile */
    uint32_t m, k, n;       /* m a multiple of rows, n of 4·vectors */
    const float *a, *b;     /* [m, k], panels */
    float *c;               /* [m, n] */
    bool int8;              /* a and b hold what prototype_i8_run reads, c int32 */
} prototype;

bool prototype_exists(const prototype *p);
/* Share `share` of `shares`: m / shares rows, a multiple of `rows`. */
void prototype_run(const prototype *p, uint32_t share, uint32_t shares);

/* The same over integers (prototype_i8.c), k a multiple of 4. With the relaxed dot, where the engine uses it: A of bytes [m, k], B of
   [n / columns][k / 4][columns][4] bytes. Else both of int16 in the same order, B widened beforehand. */
bool prototype_i8_exists(const prototype *p);
void prototype_i8_run(const prototype *p, uint32_t share, uint32_t shares);

#endif
