/* The registry, and metadata access with errors that name the key, the value and the bounds. */
#include "models/models.h"

#include <string.h>

#include "base/print.h"

#define WF_ARCH(name, configure, build)                                                                      \
    wf_status configure(const wf_gguf *meta, wf_arena *arena, const void **config, wf_input_spec *input, wf_error *err); \
    void build(wf_graph *g, const void *config, const wf_input_class *in);
#include "models/models.def"
#undef WF_ARCH

static const wf_arch archs[] = {
#define WF_ARCH(name, configure, build) {name, configure, build},
#include "models/models.def"
#undef WF_ARCH
};

const wf_arch *wf_arch_find(const char *name) {
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        if (strcmp(archs[i].name, name) == 0) {
            return &archs[i];
        }
    }
    return NULL;
}

const char *wf_arch_list(void) {
    return ""
#define WF_ARCH(name, configure, build) name ", "
#include "models/models.def"
#undef WF_ARCH
        "and no others";
}

static const char *full_key(const wf_meta *m, const char *key, char *buffer, size_t n) {
    wf_print(buffer, n, "%s.%s", m->arch, key);
    return buffer;
}

void wf_meta_fail(wf_meta *m, const char *key, const char *why) {
    char name[128];
    if (m->status == WF_OK) {
        full_key(m, key, name, sizeof name);
        m->status = wf_fail(m->err, wf_gguf_find(m->gguf, name) == NULL ? WF_E_MISSING : WF_E_FORMAT, name, -1,
                            "metadata key \"%s\" %s; convert the checkpoint again", name, why);
    }
}

void wf_meta_refuse(wf_meta *m, const char *key, const char *what) {
    char name[128];
    if (m->status == WF_OK) {
        full_key(m, key, name, sizeof name);
        m->status = wf_fail(m->err, WF_E_UNSUPPORTED, name, -1, "\"%s\" %s, which this version does not do; use another model", name, what);
    }
}

bool wf_meta_has(const wf_meta *m, const char *key) {
    char name[128];
    return wf_gguf_find(m->gguf, full_key(m, key, name, sizeof name)) != NULL;
}

static void fail_range(wf_meta *m, const char *key, uint64_t v, uint32_t low, uint32_t high) {
    char why[96];
    wf_print(why, sizeof why, "is %llu, outside %u … %u", (unsigned long long)v, low, high);
    wf_meta_fail(m, key, why);
}

uint32_t wf_meta_u32(wf_meta *m, const char *key, uint32_t low, uint32_t high) {
    char name[128];
    uint64_t v = 0;
    if (!wf_gguf_get_u64(m->gguf, full_key(m, key, name, sizeof name), &v)) {
        wf_meta_fail(m, key, "is missing or no whole number");
        return low;
    }
    if (v < low || v > high) {
        fail_range(m, key, v, low, high);
        return low;
    }
    return (uint32_t)v;
}

float wf_meta_f32(wf_meta *m, const char *key, float low, float high) {
    char name[128], why[96];
    double v = 0;
    if (!wf_gguf_get_f64(m->gguf, full_key(m, key, name, sizeof name), &v)) {
        wf_meta_fail(m, key, "is missing or no number");
        return low;
    }
    float f = (float)v;
    if (!(f >= low && f <= high)) {
        wf_print(why, sizeof why, "is %g, outside %g … %g", v, (double)low, (double)high);
        wf_meta_fail(m, key, why);
        return low;
    }
    return f;
}

bool wf_meta_bool(wf_meta *m, const char *key) {
    char name[128];
    bool v = false;
    if (!wf_gguf_get_bool(m->gguf, full_key(m, key, name, sizeof name), &v)) {
        wf_meta_fail(m, key, "is missing or not true/false");
    }
    return v;
}

const char *wf_meta_string(wf_meta *m, const char *key) {
    char name[128];
    const char *s = wf_gguf_get_string(m->gguf, full_key(m, key, name, sizeof name));
    if (s == NULL) {
        wf_meta_fail(m, key, "is missing or no text");
        return "";
    }
    return s;
}

static const wf_gguf_kv *array(wf_meta *m, const char *key, uint32_t count, uint32_t most) {
    char name[128];
    const wf_gguf_kv *kv = wf_gguf_find(m->gguf, full_key(m, key, name, sizeof name));
    if (kv == NULL || kv->type != WF_GGUF_ARRAY || kv->count == 0 || kv->count > most ||
        (count != 0 && kv->count != count)) {
        wf_meta_fail(m, key, "is missing, no array, or has a wrong number of items");
        return NULL;
    }
    return kv;
}

uint32_t wf_meta_u32s(wf_meta *m, const char *key, uint32_t count, uint32_t most, uint32_t low, uint32_t high,
                      uint32_t *out) {
    const wf_gguf_kv *kv = array(m, key, count, most);
    if (kv == NULL) {
        return 0;
    }
    for (uint64_t i = 0; i < kv->count; i++) {
        uint64_t v = 0;
        if (!wf_gguf_item_u64(kv, i, &v)) {
            wf_meta_fail(m, key, "holds something that is no whole number");
            return 0;
        }
        if (v < low || v > high) {
            fail_range(m, key, v, low, high);
            return 0;
        }
        out[i] = (uint32_t)v;
    }
    return (uint32_t)kv->count;
}

static uint32_t take_strings(wf_meta *m, const char *key, const wf_gguf_kv *kv, const char **out) {
    for (uint64_t i = 0; kv != NULL && i < kv->count; i++) {
        out[i] = wf_gguf_item_string(kv, i);
        if (out[i] == NULL) {
            wf_meta_fail(m, key, "holds something that is no text");
            return 0;
        }
    }
    return kv != NULL ? (uint32_t)kv->count : 0;
}

uint32_t wf_meta_strings(wf_meta *m, const char *key, uint32_t count, const char **out) {
    return take_strings(m, key, array(m, key, count, count), out);
}

uint32_t wf_meta_strings_most(wf_meta *m, const char *key, uint32_t most, const char **out) {
    return take_strings(m, key, array(m, key, 0, most), out);
}

wf_norm_kind wf_meta_norm_kind(wf_meta *m, const char *key, const char *name) {
    int kind = m->status == WF_OK ? wf_norm_kind_of(name) : WF_NORM_NONE;
    if (kind < 0) {
        wf_meta_fail(m, key, "names a norm that this version does not have");
        return WF_NORM_NONE;
    }
    return (wf_norm_kind)kind;
}

wf_norm_slot wf_meta_norm(wf_meta *m, const char *kind, const char *eps) {
    wf_norm_kind found = wf_meta_norm_kind(m, kind, wf_meta_string(m, kind));
    return (wf_norm_slot){.kind = found, .eps = wf_meta_f32(m, eps, 1e-12f, 1e-1f)};
}

static void read_placement(wf_meta *m, uint32_t blocks, wf_norm_slot (*out)[2]) {
    static const char *const key = "norm.placement";
    char name[128];
    const wf_gguf_kv *kv = wf_gguf_find(m->gguf, full_key(m, key, name, sizeof name));
    const char *text = kv != NULL ? wf_gguf_get_string(m->gguf, name) : "in";
    if (text == NULL) {
        kv = array(m, key, blocks, blocks);
    }
    for (uint32_t b = 0; b < blocks && m->status == WF_OK; b++) {
        uint32_t places[2];
        const char *item = text != NULL ? text : wf_gguf_item_string(kv, b);
        if (item == NULL || !wf_norm_places_of(item, places)) {
            wf_meta_fail(m, key, "names places other than \"in\", \"out\" and \"residual\", joined by '+'");
            return;
        }
        out[b][0].places = places[0];
        out[b][1].places = places[1];
    }
}

void wf_meta_block_norms(wf_meta *m, uint32_t blocks, wf_norm_slot (*out)[2]) {
    wf_norm_slot slot = wf_meta_norm(m, "norm", "norm_epsilon");
    bool scaled = wf_meta_has(m, "norm.depth_scaling") && wf_meta_bool(m, "norm.depth_scaling");
    if (scaled && slot.kind != WF_NORM_LAYER && slot.kind != WF_NORM_RMS && slot.kind != WF_NORM_CRMS && slot.kind != WF_NORM_CARRY &&
        slot.kind != WF_NORM_SS) {
        wf_meta_fail(m, "norm.depth_scaling", "scales a norm that is none of single rows");
    }
    for (uint32_t b = 0; b < blocks; b++) {
        out[b][0] = out[b][1] = slot;
        out[b][0].depth = out[b][1].depth = scaled ? b + 1 : 0;
    }
    read_placement(m, blocks, out);
}
