/* ops.def → table. The scalar kernels and their double-precision twins are linked into the command line and the tools only: an
   engine module in a page has no use for them (WF_WITH_SCALAR, WF_WITH_F64). */
#include "graph/op_table.h"

#ifndef WF_WITH_SCALAR
#define WF_WITH_SCALAR 1
#endif
#ifndef WF_WITH_F64
#define WF_WITH_F64 0
#endif

#define WF_OP(upper, lower, doc)                                                                     \
    wf_status wf_##lower##_infer(const wf_op_call *call, const char *node, wf_shape *out, wf_error *err); \
    uint64_t wf_##lower##_cost(const wf_op_call *call);                                              \
    extern const wf_op_impl wf_##lower##_scalar, wf_##lower##_f64, wf_##lower##_simd;
#include "graph/ops.def"
#undef WF_OP

#if WF_WITH_SCALAR
#define SCALAR_TWIN(lower) &wf_##lower##_scalar
#else
#define SCALAR_TWIN(lower) NULL
#endif
#if WF_WITH_F64
#define F64_TWIN(lower) &wf_##lower##_f64
#else
#define F64_TWIN(lower) NULL
#endif

static const wf_op_entry table[WF_OP_COUNT] = {
    [WF_OP_INPUT] = {.name = "input"}, /* a tensor given by the caller */
#define WF_OP(upper, lower, doc)                                                             \
    [WF_OP_##upper] = {#lower, wf_##lower##_infer, wf_##lower##_cost, SCALAR_TWIN(lower), \
                       F64_TWIN(lower), &wf_##lower##_simd},
#include "graph/ops.def"
#undef WF_OP
};

const wf_op_entry *wf_op_get(wf_op op) { return &table[op]; }
