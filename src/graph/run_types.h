/* The two choices that reach from the kernels up to the public API. */
#ifndef WF_GRAPH_RUN_TYPES_H
#define WF_GRAPH_RUN_TYPES_H

typedef enum wf_backend {
    WF_BACKEND_SIMD,   /* the fast kernels */
    WF_BACKEND_SCALAR, /* the readable truth, f32 */
    WF_BACKEND_F64     /* the same in double: equality proofs and goldens */
} wf_backend;

typedef enum wf_progress { WF_DONE, WF_NEED_BYTES, WF_YIELD } wf_progress;

#endif
