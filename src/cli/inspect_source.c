/* A checkpoint: its container, what was unwrapped to find the names, and every tensor. */
#include <stdio.h>
#include <string.h>

#include "cli/inspect.h"
#include "cli/text_out.h"
#include "format/json.h"

static const char *type_of(const wf_source_tensor *t) {
    return t->is_bool ? "BOOL" : t->is_u8 ? "U8" : wf_dtype_get(t->type)->name;
}

static uint64_t elements_of(const wf_source *s) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        n += s->tensors[i].elements;
    }
    return n;
}

static void print_json(const wf_source *s) {
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "{\"container\":");
    wf_text_json_string(&t, s->container);
    wf_text_add(&t, ",\"unwrapped\":");
    if (s->prefix_note != NULL) {
        wf_text_json_string(&t, s->prefix_note);
    } else {
        wf_text_add(&t, "null");
    }
    wf_text_format(&t, ",\"fileBytes\":%llu,\"elements\":%llu,\"tensors\":[",
                   (unsigned long long)s->file.size, (unsigned long long)elements_of(s));
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        const wf_source_tensor *x = &s->tensors[i];
        wf_text_add(&t, i != 0 ? ",{\"name\":" : "{\"name\":");
        wf_text_json_string(&t, x->name);
        wf_text_format(&t, ",\"type\":\"%s\",\"shape\":[", type_of(x));
        for (uint32_t d = 0; d < x->n_dims; d++) {
            wf_text_format(&t, "%s%llu", d != 0 ? "," : "", (unsigned long long)x->dims[d]);
        }
        wf_text_add(&t, "]}");
    }
    wf_text_add(&t, "]}\n");
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

static void print_text(const wf_source *s, const char *name) {
    wf_number a, b;
    wf_out_text(stdout, name);
    printf(": a checkpoint\n");
    wf_out_row("container", "%s", s->container);
    if (s->prefix_note != NULL) {
        wf_out_row("unwrapped", "%s", s->prefix_note);
    }
    wf_out_row("file", "%s", wf_out_bytes(a, s->file.size));
    wf_out_row("tensors", "%s, %s elements", wf_out_count(a, s->tensor_count),
               wf_out_count(b, elements_of(s)));
    wf_table t;
    wf_table_init(&t, "lll");
    for (uint64_t i = 0; i < s->tensor_count; i++) {
        const wf_source_tensor *x = &s->tensors[i];
        wf_shape_text shape;
        wf_table_row(&t, x->name, type_of(x), wf_out_shape(shape, x->dims, x->n_dims));
    }
    wf_table_print(&t, stdout);
}

wf_status wf_inspect_source(const wf_cli *cli, const char *name, const wf_file *file, wf_error *err) {
    wf_source s;
    WF_TRY(wf_source_open(*file, &s, err));
    if (cli->json) {
        print_json(&s);
    } else {
        print_text(&s, name);
    }
    wf_source_close(&s);
    return WF_OK;
}
