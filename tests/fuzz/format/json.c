/* Fuzz target of the JSON reader and writer: what was read, written and read again, must be the
 * same tree. */
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

static void write(wf_text *t, const wf_json *v) {
    switch (v->kind) {
    case WF_JSON_NULL: wf_text_add(t, "null"); break;
    case WF_JSON_BOOL: wf_text_add(t, v->boolean ? "true" : "false"); break;
    case WF_JSON_NUMBER: wf_text_json_number(t, v->number); break;
    case WF_JSON_STRING: wf_text_json_string(t, v->string); break;
    default:
        wf_text_add(t, v->kind == WF_JSON_ARRAY ? "[" : "{");
        for (const wf_json *c = v->first; c != NULL; c = c->next) {
            if (v->kind == WF_JSON_OBJECT) {
                wf_text_json_string(t, c->key);
                wf_text_add(t, ":");
            }
            write(t, c);
            wf_text_add(t, c->next != NULL ? "," : "");
        }
        wf_text_add(t, v->kind == WF_JSON_ARRAY ? "]" : "}");
    }
}

static int same(const wf_json *a, const wf_json *b) {
    if (a->kind != b->kind || a->boolean != b->boolean || a->count != b->count ||
        a->length != b->length || memcmp(&a->number, &b->number, sizeof a->number) != 0 ||
        (a->key != NULL && strcmp(a->key, b->key) != 0) ||
        (a->kind == WF_JSON_STRING && strcmp(a->string, b->string) != 0)) {
        return 0;
    }
    const wf_json *d = b->first;
    for (const wf_json *c = a->first; c != NULL; c = c->next, d = d->next) {
        if (!same(c, d)) {
            return 0;
        }
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *exact = malloc(size + 1);
    memcpy(exact, data, size);
    wf_arena arena;
    wf_arena_init(&arena);
    wf_json *first, *second;
    wf_error err;
    wf_error_clear(&err);
    if (wf_json_parse(&arena, exact, size, "fuzz", &first, &err) == WF_OK) {
        wf_text t = {NULL, 0, 0, false};
        write(&t, first);
        if (t.failed || wf_json_parse(&arena, t.data, t.length, "again", &second, &err) != WF_OK ||
            !same(first, second)) {
            abort();
        }
        wf_text_free(&t);
    } else if (err.text[0] == '\0') {
        abort();
    }
    wf_arena_free(&arena);
    free(exact);
    return 0;
}
