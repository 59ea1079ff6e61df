/* Chained bump allocator; blocks of at least 16 KiB. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/print.h"

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = 16 };

struct wf_arena_block {
    struct wf_arena_block *next;
    size_t size, used;
    char pad[8 * sizeof(size_t) - 3 * sizeof(size_t)];
};

void wf_arena_init(wf_arena *arena) { memset(arena, 0, sizeof *arena); }

void wf_arena_free(wf_arena *arena) {
    struct wf_arena_block *b = arena->blocks;
    while (b != NULL) {
        struct wf_arena_block *next = b->next;
        wf_free(b);
        b = next;
    }
    wf_arena_init(arena);
}

void *wf_arena_alloc(wf_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t need = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct wf_arena_block *b = arena->blocks;
    if (b == NULL || b->size - b->used < need) {
        size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
        b = wf_alloc(sizeof *b + size);
        if (b == NULL) {
            return NULL;
        }
        b->next = arena->blocks;
        b->size = size;
        b->used = 0;
        arena->blocks = b;
        arena->reserved += sizeof *b + size;
    }
    void *p = (char *)(b + 1) + b->used;
    b->used += need;
    arena->used += need;
    memset(p, 0, need);
    return p;
}

char *wf_arena_string(wf_arena *arena, const char *text, size_t n) {
    char *p = wf_arena_alloc(arena, n + 1);
    if (p != NULL) {
        memcpy(p, text, n);
    }
    return p;
}

char *wf_arena_format(wf_arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = wf_print_list(NULL, 0, format, args);
    va_end(args);
    char *p = n < 0 ? NULL : wf_arena_alloc(arena, (size_t)n + 1);
    if (p != NULL) {
        wf_print_list(p, (size_t)n + 1, format, again);
    }
    va_end(again);
    return p;
}
