/* Private to the openers of checkpoint containers: what all of them do after they have listed the
 * tensors. */
#ifndef WF_FORMAT_SOURCE_FINISH_H
#define WF_FORMAT_SOURCE_FINISH_H

#include "format/source.h"

/* Sets elements from n_dims and dims; fails where they overflow or are more than
 * WF_SOURCE_MAX_DIMS. */
wf_status wf_source_count(wf_source_tensor *t, wf_error *err);
/* Checks every tensor against its storage and the file, cuts off the prefixes "module." and
   "_orig_mod." where all names have them, sorts the names and refuses double ones. On failure the
   caller closes `s`. */
wf_status wf_source_finish(wf_source *s, wf_error *err);

/* Lists the tensors of s->file (s->arena is ready), checked against each other and against the file;
 * their names are as stored and not sorted yet. */
wf_status wf_safetensors_list(wf_source *s, wf_error *err);

#endif
