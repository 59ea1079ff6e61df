/* A checkpoint in several safetensors files with an index, {"weight_map": {tensor: file}}. The files
   are laid end to end as one: a tensor of the second begins behind all bytes of the first, so that
   everything else sees one source. Names in an index lead to files; only plain ones beside the index
   are taken. */
#include <string.h>

#include "base/alloc.h"
#include "format/json.h"
#include "format/sort.h"
#include "format/source_finish.h"

enum { MOST_SHARDS = 1000 };

static wf_status no_memory(wf_error *err) {
    return wf_fail(err, WF_E_MEMORY, "index", -1,
                   "no memory for the tensors of the shards; close other programs");
}

static wf_status check_name(const wf_shards *x, const wf_json *entry, wf_error *err) {
    const char *name = entry->kind == WF_JSON_STRING ? entry->string : "";
    size_t n = strlen(name);
    if (n == 0 || n > 255 || name[0] == '.' || strpbrk(name, "/\\:") != NULL) {
        return wf_fail(err, WF_E_FORMAT, entry->key, -1,
                       "%s says that tensor \"%s\" is in \"%.80s\", which is no plain file name beside "
                       "it: the index is damaged or made to do harm",
                       x->index_name, entry->key, name);
    }
    if (n < 12 || strcmp(name + n - 12, ".safetensors") != 0) {
        return wf_fail(err, WF_E_UNSUPPORTED, entry->key, -1,
                       "%s lists \"%.80s\", and only shards in safetensors are read: save the "
                       "checkpoint as safetensors",
                       x->index_name, name);
    }
    return WF_OK;
}

/* Shards are few, and entries of one shard come together, so that the last one found is tried first. */
static uint32_t shard_of(const wf_shards *x, const char *name, uint32_t *recent) {
    if (*recent < x->count && strcmp(x->names[*recent], name) == 0) {
        return *recent;
    }
    for (*recent = 0; *recent < x->count && strcmp(x->names[*recent], name) != 0;) {
        ++*recent;
    }
    return *recent;
}

static wf_status list_names(wf_shards *x, wf_error *err) {
    uint32_t recent = 0;
    x->names = wf_arena_alloc(&x->arena, MOST_SHARDS * sizeof *x->names);
    if (x->names == NULL) {
        return no_memory(err);
    }
    for (const wf_json *e = x->map->first; e != NULL; e = e->next) {
        WF_TRY(check_name(x, e, err));
        if (shard_of(x, e->string, &recent) < x->count) {
            continue;
        }
        if (x->count == MOST_SHARDS) {
            return wf_fail(err, WF_E_UNSUPPORTED, "weight_map", -1,
                           "%s lists more than %d files: save the checkpoint in larger shards",
                           x->index_name, MOST_SHARDS);
        }
        x->names[x->count++] = e->string;
    }
    x->files = wf_arena_alloc(&x->arena, (x->count + 1) * sizeof *x->files);
    return x->files != NULL ? WF_OK : no_memory(err);
}

wf_status wf_shards_read(wf_shards *x, const char *json, size_t n, const char *index_name,
                         wf_error *err) {
    wf_json *root = NULL;
    memset(x, 0, sizeof *x);
    wf_arena_init(&x->arena);
    x->index_name = index_name;
    wf_status status = wf_json_parse(&x->arena, json, n, index_name, &root, err);
    x->map = status == WF_OK ? wf_json_get(root, "weight_map") : NULL;
    if (status == WF_OK && (x->map == NULL || x->map->kind != WF_JSON_OBJECT || x->map->count == 0)) {
        status = wf_fail(err, WF_E_FORMAT, "weight_map", -1,
                         "%s has no object \"weight_map\", so it is no index of a sharded checkpoint: "
                         "give the checkpoint itself",
                         index_name);
    }
    status = status == WF_OK ? list_names(x, err) : status;
    if (status != WF_OK) {
        wf_shards_free(x);
    }
    return status;
}

void wf_shards_free(wf_shards *x) {
    wf_arena_free(&x->arena);
    memset(x, 0, sizeof *x);
}

/* ---- the files end to end ---- */

static wf_status read_joined(void *user, uint64_t offset, void *dst, size_t n, wf_error *err) {
    const wf_shards *x = user;
    uint8_t *out = dst;
    for (uint32_t i = 0; i < x->count && n > 0; i++) {
        const wf_file *f = &x->files[i];
        if (offset >= f->size) {
            offset -= f->size;
            continue;
        }
        size_t piece = n < f->size - offset ? n : (size_t)(f->size - offset);
        WF_TRY(f->read(f->user, offset, out, piece, err));
        out += piece;
        n -= piece;
        offset = 0;
    }
    return n == 0 ? WF_OK
                  : wf_fail(err, WF_E_ARGUMENT, "shards", -1, "a read reaches behind the last shard");
}

/* Sentences about a shard's content say whose it is. */
static wf_status name_shard(const char *name, wf_status status, const wf_error *inner, wf_error *err) {
    return wf_fail(err, status, inner->where, inner->offset, "%s: %s", name, inner->text);
}

static wf_status take_shard(const wf_shards *x, uint32_t shard, uint64_t base, wf_source *s,
                            wf_source_tensor **tensors, wf_error *err) {
    wf_source one;
    wf_error inner;
    memset(&one, 0, sizeof one);
    wf_error_clear(&inner);
    wf_arena_init(&one.arena);
    one.container = s->container;
    one.file = x->files[shard];
    wf_status status = wf_safetensors_list(&one, &inner);
    if (status != WF_OK) {
        status = name_shard(x->names[shard], status, &inner, err);
    }
    wf_source_tensor *grown = NULL;
    if (status == WF_OK) {
        grown = wf_realloc(*tensors, (size_t)(s->tensor_count + one.tensor_count + 1) * sizeof *grown);
        status = grown != NULL ? WF_OK : no_memory(err);
        *tensors = grown != NULL ? grown : *tensors;
    }
    for (uint64_t i = 0; i < one.tensor_count && status == WF_OK; i++) {
        wf_source_tensor *t = &grown[s->tensor_count];
        *t = one.tensors[i];
        t->storage_at += base;
        t->name = wf_arena_string(&s->arena, t->name, strlen(t->name));
        status = t->name != NULL ? WF_OK : no_memory(err);
        s->tensor_count++;
    }
    wf_arena_free(&one.arena);
    return status;
}

static int by_name(const void *context, uint32_t a, uint32_t b) {
    const wf_source_tensor *t = context;
    int order = strcmp(t[a].name, t[b].name);
    return order != 0 ? order : a < b ? -1 : a > b;
}

/* Every tensor of the index must lie in the file that it names. Before prefixes are cut from names. */
static wf_status check_index(const wf_shards *x, const wf_source *s, const uint32_t *order,
                             wf_error *err) {
    uint32_t recent = 0;
    for (const wf_json *e = x->map->first; e != NULL; e = e->next) {
        uint32_t shard = shard_of(x, e->string, &recent);
        uint64_t begin = 0, low = 0, high = s->tensor_count;
        for (uint32_t i = 0; i < shard; i++) {
            begin += x->files[i].size;
        }
        while (low < high) {
            uint64_t middle = low + (high - low) / 2;
            if (strcmp(s->tensors[order[middle]].name, e->key) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        const wf_source_tensor *t = low < s->tensor_count ? &s->tensors[order[low]] : NULL;
        if (t == NULL || strcmp(t->name, e->key) != 0 || t->storage_at < begin ||
            t->storage_at - begin > x->files[shard].size) {
            return wf_fail(err, WF_E_MISSING, e->key, -1,
                           "tensor \"%s\" is not in %s, where %s says it is: the files do not belong "
                           "together; download all of them again",
                           e->key, e->string, x->index_name);
        }
    }
    return WF_OK;
}

static wf_status join(const wf_shards *x, wf_source *s, wf_error *err) {
    wf_source_tensor *tensors = NULL;
    uint32_t *order = NULL;
    wf_status status = WF_OK;
    for (uint32_t i = 0; i < x->count && status == WF_OK; i++) {
        status = take_shard(x, i, s->file.size, s, &tensors, err);
        s->file.size += x->files[i].size;
    }
    if (status == WF_OK) {
        size_t bytes = (size_t)s->tensor_count * sizeof *tensors;
        s->tensors = wf_arena_alloc(&s->arena, bytes + 1);
        order = wf_alloc((size_t)(s->tensor_count + 1) * sizeof *order);
        status = s->tensors != NULL && order != NULL ? WF_OK : no_memory(err);
        if (status == WF_OK && bytes != 0) {
            memcpy(s->tensors, tensors, bytes);
        }
    }
    if (status == WF_OK) {
        for (uint32_t i = 0; i < s->tensor_count; i++) {
            order[i] = i;
        }
        wf_sort_indices(order, (size_t)s->tensor_count, by_name, s->tensors);
        status = check_index(x, s, order, err);
    }
    wf_free(order);
    wf_free(tensors);
    return status == WF_OK ? wf_source_finish(s, err) : status;
}

wf_status wf_shards_open(const wf_shards *x, wf_source *out, wf_error *err) {
    memset(out, 0, sizeof *out);
    wf_arena_init(&out->arena);
    out->container = "safetensors, sharded";
    out->file = (wf_file){(void *)x, 0, read_joined};
    wf_status status = join(x, out, err);
    if (status != WF_OK) {
        wf_source_close(out);
    }
    return status;
}
