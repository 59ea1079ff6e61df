/* What this build can reach on this machine: loops of nothing but multiply–adds on the first-level cache, and copies of
   memory of a given size. Timed by the caller; the profile divides a node's work by these rates. */
#ifndef WF_KERNELS_LIMITS_H
#define WF_KERNELS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WF_LIMIT_BYTES = 8192 }; /* of memory that the arithmetic loops read */

/* Runs f32 (or, by the dot that the 8-bit layers use, int8) multiply–adds as the matrix product's inner loop does: 12 or 10 sums
   in registers, operands from `memory` of WF_LIMIT_BYTES. Returns how many multiply–adds that were. */
uint64_t wf_limit_arithmetic(bool int8, uint32_t rounds, void *memory);
/* Copies the first half of `memory` to the second, `rounds` times; bytes a multiple of 128. Returns bytes read and written. */
uint64_t wf_limit_copy(void *memory, size_t bytes, uint32_t rounds);

#endif
