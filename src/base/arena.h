/* A growing region for small things that live and die together (names, metadata, nodes):
   bump allocation in chained blocks, freed at once. Pointers stay valid until wf_arena_free. */
#ifndef WF_BASE_ARENA_H
#define WF_BASE_ARENA_H

#include <stddef.h>

typedef struct wf_arena {
    struct wf_arena_block *blocks;
    size_t used;     /* bytes handed out */
    size_t reserved; /* bytes held from the heap */
} wf_arena;

void wf_arena_init(wf_arena *arena);
void wf_arena_free(wf_arena *arena);
/* 16-byte aligned, zeroed; NULL when memory is exhausted. */
void *wf_arena_alloc(wf_arena *arena, size_t bytes);
/* A NUL-terminated copy of n bytes; NULL when memory is exhausted. */
char *wf_arena_string(wf_arena *arena, const char *text, size_t n);
/* printf into the arena; NULL when memory is exhausted. */
char *wf_arena_format(wf_arena *arena, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
