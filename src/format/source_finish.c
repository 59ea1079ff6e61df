/* Checks that every checkpoint container needs: sizes without overflow, every tensor inside its
   storage and every storage inside the file, names plain and unique. A strided tensor may hold an
   element many times (expand); how much larger than the file such a tensor may unfold is limited,
   so that a few bytes cannot ask for terabytes. */
#include "format/source_finish.h"

#include <string.h>

#include "format/sort.h"

#define UNFOLD_ALLOWANCE (UINT64_C(64) << 20) /* bytes beyond the file's size */

wf_status wf_source_count(wf_source_tensor *t, wf_error *err) {
    t->elements = 1;
    bool empty = false;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (t->dims[d] == 0) {
            empty = true;
        } else if (t->dims[d] > (UINT64_MAX >> 8) / t->elements) {
            return wf_fail(err, WF_E_SHAPE, t->name, -1,
                           "the dimensions of tensor \"%s\" multiply to more than any file can "
                           "hold: the file is damaged; "
                           "download it again",
                           t->name);
        } else {
            t->elements *= t->dims[d];
        }
    }
    if (empty) {
        t->elements = 0;
    }
    return WF_OK;
}

static wf_status leaves_storage(const wf_source_tensor *t, wf_error *err) {
    return wf_fail(err, WF_E_FORMAT, t->name, -1,
                   "tensor \"%s\" reaches outside its storage of %llu bytes: the file is damaged "
                   "or made to do harm; don't "
                   "use it",
                   t->name, (unsigned long long)t->storage_bytes);
}

static wf_status check_place(const wf_source *s, const wf_source_tensor *t, wf_error *err) {
    uint64_t size = wf_dtype_get(t->type)->bytes;
    if (t->storage_at > s->file.size || t->storage_bytes > s->file.size - t->storage_at) {
        return wf_fail(err, WF_E_TRUNCATED, t->name, (int64_t)s->file.size,
                       "tensor \"%s\" would end at byte %llu, but the file ends at byte %llu: it "
                       "was cut off; download it "
                       "again",
                       t->name, (unsigned long long)(t->storage_at + t->storage_bytes),
                       (unsigned long long)s->file.size);
    }
    uint64_t held = t->storage_bytes / size; /* elements */
    if (t->elements == 0) {
        return WF_OK;
    }
    if (t->first >= held) {
        return leaves_storage(t, err);
    }
    uint64_t last = t->first;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (t->strides[d] < 0 ||
            (t->strides[d] != 0 && t->dims[d] - 1 > (held - 1 - last) / (uint64_t)t->strides[d])) {
            return leaves_storage(t, err);
        }
        last += (t->dims[d] - 1) * (uint64_t)t->strides[d];
    }
    if (t->elements > last - t->first + 1 &&
        t->elements > (s->file.size + UNFOLD_ALLOWANCE) / size) {
        return wf_fail(err, WF_E_FORMAT, t->name, -1,
                       "tensor \"%s\" would unfold %llu stored elements to %llu: no real model "
                       "does that; don't use this "
                       "file",
                       t->name, (unsigned long long)(last - t->first + 1),
                       (unsigned long long)t->elements);
    }
    return WF_OK;
}

static bool all_begin_with(const wf_source *s, const char *prefix) {
    size_t n = strlen(prefix);
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        if (strncmp(s->tensors[i].name, prefix, n) != 0 || s->tensors[i].name[n] == '\0') {
            return false;
        }
    }
    return s->tensor_count != 0;
}

/* DistributedDataParallel puts "module." before every name, torch.compile "_orig_mod."; both may
 * occur, nested. */
static wf_status cut_prefixes(wf_source *s, wf_error *err) {
    static const char *const prefixes[] = {"module.", "_orig_mod."};
    char cut[64] = "";
    for (size_t i = 0; i < 2; i++) {
        while (all_begin_with(s, prefixes[i]) && strlen(cut) + strlen(prefixes[i]) < sizeof cut) {
            strcat(cut, prefixes[i]);
            for (uint64_t t = 0; t < s->tensor_count; t++) {
                s->tensors[t].name += strlen(prefixes[i]);
            }
            i = 0;
        }
    }
    if (cut[0] != '\0') {
        s->prefix_note =
            s->prefix_note != NULL
                ? wf_arena_format(&s->arena, "%s, without the prefix %s", s->prefix_note, cut)
                : wf_arena_format(&s->arena, "without the prefix %s", cut);
        if (s->prefix_note == NULL) {
            return wf_fail(err, WF_E_MEMORY, s->container, -1,
                           "no memory for the tensor table; close other programs");
        }
    }
    return WF_OK;
}

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const wf_source *s = context;
    return strcmp(s->tensors[a].name, s->tensors[b].name);
}

static wf_status sort_names(wf_source *s, wf_error *err) {
    s->by_name = wf_arena_alloc(&s->arena, (size_t)s->tensor_count * sizeof *s->by_name);
    if (s->by_name == NULL) {
        return wf_fail(err, WF_E_MEMORY, s->container, -1,
                       "no memory for the tensor table; close other programs");
    }
    for (uint32_t i = 0; i < s->tensor_count; i++) {
        s->by_name[i] = i;
    }
    wf_sort_indices(s->by_name, (size_t)s->tensor_count, by_name, s);
    for (uint64_t i = 1; i < s->tensor_count; i++) {
        const char *name = s->tensors[s->by_name[i]].name;
        if (by_name(s, s->by_name[i - 1], s->by_name[i]) == 0) {
            return wf_fail(err, WF_E_FORMAT, name, -1,
                           "two tensors are named \"%s\": the file is damaged or badly made; save "
                           "the model again",
                           name);
        }
    }
    return WF_OK;
}

/* "X" of "X_orig" or "X_mask"; NULL when the name does not end so. */
static const char *stem_of(wf_source *s, const char *name, const char *ending) {
    size_t n = strlen(name), e = strlen(ending);
    return n > e && strcmp(name + n - e, ending) == 0 ? wf_arena_string(&s->arena, name, n - e)
                                                      : NULL;
}

static wf_status take_mask(wf_source *s, wf_source_tensor *t, const char *stem, wf_error *err) {
    const char *name = wf_arena_format(&s->arena, "%s_mask", stem);
    const wf_source_tensor *found = name != NULL ? wf_source_find(s, name) : NULL;
    if (found == NULL || wf_source_find(s, stem) != NULL) {
        return WF_OK; /* some other tensor whose name ends so */
    }
    if (found->n_dims != t->n_dims || memcmp(found->dims, t->dims, t->n_dims * sizeof *t->dims) != 0) {
        return wf_fail(err, WF_E_SHAPE, name, -1,
                       "the mask \"%s\" has another shape than the pruned weight \"%s\": the file is "
                       "badly made; save the model again",
                       name, t->name);
    }
    wf_source_tensor *mask = wf_arena_alloc(&s->arena, sizeof *mask);
    if (mask == NULL) {
        return wf_fail(err, WF_E_MEMORY, s->container, -1,
                       "no memory for the tensor table; close other programs");
    }
    *mask = *found;
    t->mask = mask;
    return WF_OK;
}

/* torch.nn.utils.prune keeps X as X_orig and X_mask, and the model multiplies them: so does reading. The
 * masks leave the table, X_orig becomes X. */
static wf_status join_masks(wf_source *s, wf_error *err) {
    uint64_t masks = 0, kept = 0;
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        const char *stem = stem_of(s, s->tensors[i].name, "_orig");
        WF_TRY(stem != NULL ? take_mask(s, &s->tensors[i], stem, err) : WF_OK);
        masks += s->tensors[i].mask != NULL;
    }
    if (masks == 0) {
        return WF_OK;
    }
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        wf_source_tensor *t = &s->tensors[i];
        const char *stem = stem_of(s, t->name, "_mask"),
                   *orig = stem != NULL ? wf_arena_format(&s->arena, "%s_orig", stem) : NULL;
        const wf_source_tensor *pruned = orig != NULL ? wf_source_find(s, orig) : NULL;
        t->is_mask = pruned != NULL && pruned->mask != NULL;
    }
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        wf_source_tensor t = s->tensors[i];
        if (!t.is_mask) {
            t.name = t.mask != NULL ? stem_of(s, t.name, "_orig") : t.name;
            s->tensors[kept++] = t;
        }
    }
    s->tensor_count = kept;
    const char *note = s->prefix_note != NULL ? s->prefix_note : "as it is";
    s->prefix_note = wf_arena_format(&s->arena, "%s, %llu pruned weights multiplied by their masks", note,
                                     (unsigned long long)masks);
    for (uint64_t i = 0; i < kept; i++) {
        if (s->tensors[i].name == NULL || s->prefix_note == NULL) {
            return wf_fail(err, WF_E_MEMORY, s->container, -1,
                           "no memory for the tensor table; close other programs");
        }
    }
    return sort_names(s, err);
}

wf_status wf_source_finish(wf_source *s, wf_error *err) {
    if (s->tensor_count == 0) {
        return wf_fail(err, WF_E_MISSING, s->container, -1,
                       "there is no tensor in this file: save the model's state dict");
    }
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        WF_TRY(check_place(s, &s->tensors[i], err));
    }
    WF_TRY(cut_prefixes(s, err));
    WF_TRY(sort_names(s, err));
    return join_masks(s, err);
}
