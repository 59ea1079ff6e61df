/* Runs every picture of DIR/CLASS/ and counts how often the class is the first, or among the first five. */
#include "cli/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "cli/files.h"
#include "cli/folder.h"
#include "cli/platform.h"
#include "cli/progress.h"
#include "cli/text_out.h"

typedef struct tally {
    uint32_t index; /* of the class */
    uint64_t pictures, first, five;
} tally;

typedef struct evaluation {
    wf_classifier *c;
    const char *folder;
    char *table; /* text of classes.tsv, cut into fields, or NULL */
    wf_arena arena;
    const char **table_names; /* [classes] folder of each class */
    tally *tallies;
    size_t folders;
    tally all;
} evaluation;

/* ---- which folder is which class ---- */

/* Cuts the next field off a line; NULL at the line's end. */
static char *next_field(char **line) {
    char *field = *line;
    if (field == NULL) {
        return NULL;
    }
    char *tab = strchr(field, '\t');
    *line = tab != NULL ? tab + 1 : NULL;
    if (tab != NULL) {
        *tab = '\0';
    }
    return field;
}

static char *next_line(char **text) {
    char *line = *text;
    if (line == NULL || *line == '\0') {
        return NULL;
    }
    size_t n = strcspn(line, "\r\n");
    *text = line + n;
    while (**text == '\r' || **text == '\n') {
        *(*text)++ = '\0';
    }
    return line;
}

static wf_status read_table(evaluation *e, const char *path, wf_error *err) {
    size_t n;
    WF_TRY(wf_input_all(path, 16 << 20, &e->table, &n, err));
    e->table_names = wf_arena_alloc(&e->arena, e->c->classes * sizeof *e->table_names);
    char *text = e->table, *header = next_line(&text), *line;
    int label_column = -1, folder_column = -1, column = 0;
    for (char *f = next_field(&header); f != NULL; f = next_field(&header), column++) {
        label_column = strcmp(f, "label") == 0 ? column : label_column;
        folder_column = strcmp(f, "wnid") == 0 ? column : folder_column;
    }
    if (label_column < 0 || folder_column < 0 || e->table_names == NULL) {
        return wf_fail(
            err, WF_E_FORMAT, path, -1,
            "%s has no columns \"label\" and \"wnid\": its first line must name them, separated by tabs",
            path);
    }
    while ((line = next_line(&text)) != NULL) {
        const char *label = NULL, *folder = NULL;
        column = 0;
        for (char *f = next_field(&line); f != NULL; f = next_field(&line), column++) {
            label = column == label_column ? f : label;
            folder = column == folder_column ? f : folder;
        }
        char *end = NULL;
        unsigned long index = label != NULL ? strtoul(label, &end, 10) : 0;
        if (label == NULL || folder == NULL || end == label || *end != '\0' || index >= e->c->classes) {
            return wf_fail(err, WF_E_FORMAT, path, -1,
                           "%s gives the label \"%s\", and the model has %u classes (0 … %u)", path,
                           label != NULL ? label : "", e->c->classes, e->c->classes - 1);
        }
        e->table_names[index] = folder;
    }
    return WF_OK;
}

static wf_status class_of(const evaluation *e, const char *folder, uint32_t *out, wf_error *err) {
    char buffer[24];
    for (uint32_t i = 0; i < e->c->classes; i++) {
        const char *name = e->table_names != NULL ? e->table_names[i] : wf_classifier_label(e->c, i, buffer);
        if (name != NULL && strcmp(name, folder) == 0) {
            *out = i;
            return WF_OK;
        }
    }
    char *end;
    unsigned long index = strtoul(folder, &end, 10);
    if (e->table_names == NULL && end != folder && *end == '\0' && index < e->c->classes) {
        *out = (uint32_t)index;
        return WF_OK;
    }
    return wf_fail(err, WF_E_ARGUMENT, folder, -1,
                   "the folder %s is no class of %s: name folders by label or index, or give --classes FILE",
                   folder, e->c->view.loaded.name);
}

/* ---- running ---- */

static void count_one(const evaluation *e, tally *t) {
    wf_class_score top[5];
    uint32_t n = wf_classify_top(e->c->logits, e->c->classes, 5, WF_SCORES_RAW, top);
    t->pictures++;
    for (uint32_t i = 0; i < n; i++) {
        t->first += i == 0 && top[i].index == t->index;
        t->five += top[i].index == t->index;
    }
}

static wf_status run_folder(evaluation *e, const char *name, tally *t, wf_error *err) {
    char path[2048], picture[4096];
    snprintf(path, sizeof path, "%s/%s", e->folder, name);
    wf_names files;
    memset(&files, 0, sizeof files);
    wf_status status = wf_names_read(path, &files, err);
    for (size_t i = 0; i < files.count && status == WF_OK; i++) {
        if (!wf_is_picture_name(files.names[i])) {
            continue;
        }
        snprintf(picture, sizeof picture, "%s/%s", path, files.names[i]);
        status = wf_classifier_run(e->c, picture, err);
        if (status == WF_OK) {
            count_one(e, t);
        }
    }
    wf_names_free(&files);
    return status;
}

static wf_status run_all(evaluation *e, wf_error *err) {
    wf_names classes;
    memset(&classes, 0, sizeof classes);
    wf_bar bar;
    wf_bar_init(&bar, e->c->view.cli, false);
    wf_status status = wf_names_read(e->folder, &classes, err);
    e->tallies = wf_arena_alloc(&e->arena, (classes.count + 1) * sizeof *e->tallies);
    for (size_t i = 0; i < classes.count && status == WF_OK && e->tallies != NULL; i++) {
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", e->folder, classes.names[i]);
        if (!wf_path_is_folder(path)) {
            continue;
        }
        tally *t = &e->tallies[e->folders++];
        status = class_of(e, classes.names[i], &t->index, err);
        if (status == WF_OK) {
            status = run_folder(e, classes.names[i], t, err);
        }
        e->all.pictures += t->pictures;
        e->all.first += t->first;
        e->all.five += t->five;
        wf_bar_update(&bar, "class folders", i + 1, classes.count);
    }
    wf_bar_clear(&bar);
    wf_names_free(&classes);
    if (status == WF_OK && e->all.pictures == 0) {
        return wf_fail(err, WF_E_MISSING, e->folder, -1,
                       "%s holds no pictures: DIR/CLASS/PICTURE.{jpg,jpeg,png} is wanted", e->folder);
    }
    return status;
}

/* ---- saying ---- */

static double percent(uint64_t part, uint64_t whole) {
    return whole != 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void print_json(const evaluation *e, double seconds) {
    wf_text t;
    memset(&t, 0, sizeof t);
    char buffer[24];
    double n = (double)e->all.pictures;
    wf_text_format(&t, "{\"images\":%llu,\"top1\":", (unsigned long long)e->all.pictures);
    wf_text_json_number(&t, (double)e->all.first / n);
    wf_text_add(&t, ",\"top5\":");
    wf_text_json_number(&t, (double)e->all.five / n);
    wf_text_add(&t, ",\"imagesPerSecond\":");
    wf_text_json_number(&t, n / seconds);
    wf_text_add(&t, ",\"classes\":[");
    for (size_t i = 0; i < e->folders; i++) {
        const tally *c = &e->tallies[i];
        wf_text_format(&t, "%s{\"index\":%u,\"label\":", i != 0 ? "," : "", c->index);
        wf_text_json_string(&t, wf_classifier_label(e->c, c->index, buffer));
        wf_text_format(&t, ",\"images\":%llu,\"top1\":%llu,\"top5\":%llu}", (unsigned long long)c->pictures,
                       (unsigned long long)c->first, (unsigned long long)c->five);
    }
    wf_text_add(&t, "]}\n");
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

static void print_text(const evaluation *e, double seconds) {
    wf_number count;
    printf("%s pictures in %zu classes, %.1f s (%.1f pictures/s)\n", wf_out_count(count, e->all.pictures),
           e->folders, seconds, (double)e->all.pictures / seconds);
    printf("top-1  %6.2f %%\ntop-5  %6.2f %%\n", percent(e->all.first, e->all.pictures),
           percent(e->all.five, e->all.pictures));
}

int wf_evaluate(wf_classifier *c, const char *folder, const char *classes) {
    evaluation e;
    wf_error err;
    memset(&e, 0, sizeof e);
    wf_error_clear(&err);
    e.c = c;
    e.folder = folder;
    wf_status status = classes != NULL ? read_table(&e, classes, &err) : WF_OK;
    uint64_t began = wf_platform_now_ns();
    if (status == WF_OK) {
        status = run_all(&e, &err);
    }
    double seconds = (double)(wf_platform_now_ns() - began) / 1e9;
    int code = WF_EXIT_OK;
    if (status != WF_OK) {
        code = wf_cli_fail(c->view.cli, &err);
    } else if (c->view.cli->json) {
        print_json(&e, seconds);
    } else {
        print_text(&e, seconds);
    }
    wf_free(e.table);
    wf_arena_free(&e.arena);
    return code;
}
