/* Private to the openers of PyTorch's containers: what they do once the object is unpickled. */
#ifndef WF_FORMAT_TORCH_STATE_H
#define WF_FORMAT_TORCH_STATE_H

#include "format/pickle.h"
#include "format/source.h"

/* Says where a storage's bytes lie; `tensor` is who asks, for errors. */
typedef struct wf_torch_storages {
    void *user;
    wf_status (*locate)(void *user, const wf_pickle_value *storage, const char *tensor,
                        uint64_t *at, uint64_t *bytes, wf_error *err);
} wf_torch_storages;

/* Finds the state dict in `top` and lists its tensors in `s`. On failure the caller closes `s`. */
wf_status wf_torch_take_state(wf_source *s, const wf_pickle_value *top, wf_torch_storages storages,
                              wf_error *err);

#endif
