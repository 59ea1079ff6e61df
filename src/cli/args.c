/* The option parser. Nothing here knows a verb; wf_usage tells it all. */
#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text_out.h"

enum { MAX_OPTIONS = 32, MAX_WORD = 31 };

static const wf_opt common[] = {
    {"json", 0, WF_OPT_FLAG, NULL, NULL, 0, 0, "print JSON, for programs; errors are JSON on stderr"},
    {"quiet", 0, WF_OPT_FLAG, NULL, NULL, 0, 0, "no progress bar"},
    {"help", 'h', WF_OPT_FLAG, NULL, NULL, 0, 0, "this text"},
};
enum { COMMON = sizeof common / sizeof common[0] };

/* Edit distance of words cut to MAX_WORD letters. */
static uint32_t distance(const char *a, const char *b) {
    uint32_t row[MAX_WORD + 1];
    size_t n = strlen(a), m = strlen(b);
    n = n < MAX_WORD ? n : MAX_WORD;
    m = m < MAX_WORD ? m : MAX_WORD;
    for (size_t j = 0; j <= m; j++) {
        row[j] = (uint32_t)j;
    }
    for (size_t i = 1; i <= n; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= m; j++) {
            uint32_t substitute = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            uint32_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = substitute < best ? substitute : best;
        }
    }
    return row[m];
}

const char *wf_args_nearest(const char *word, const char *const *candidates, uint32_t count) {
    const char *best = NULL;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t d = distance(word, candidates[i]);
        if (d < least) {
            least = d;
            best = candidates[i];
        }
    }
    return best;
}

static const wf_opt *option_at(const wf_usage *u, uint32_t i) {
    return i < u->option_count ? &u->options[i] : &common[i - u->option_count];
}

static void print_option(wf_table *t, const wf_opt *o) {
    char left[64];
    snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter != 0 ? "-" : "", o->letter != 0 ? o->letter : ' ',
             o->letter != 0 ? ", " : "   ", o->name, o->value != NULL ? " " : "",
             o->value != NULL ? o->value : "");
    wf_table_row(t, left, o->help);
}

static void print_help(const wf_usage *u) {
    printf("usage: wasmformer %s %s [options]\n%s\n\noptions:\n", u->verb, u->operands, u->what);
    wf_table t;
    wf_table_init(&t, "ll");
    for (uint32_t i = 0; i < u->option_count + COMMON; i++) {
        print_option(&t, option_at(u, i));
    }
    wf_table_print(&t, stdout);
    printf("\nexample:\n  wasmformer %s %s\n", u->verb, u->example);
}

static wf_status bad(wf_error *err, const wf_opt *o, const char *value, const char *wanted) {
    return wf_fail(err, WF_E_ARGUMENT, o->name, -1, "--%s %s: %s is wanted", o->name, value, wanted);
}

static bool whole_number(const char **p, unsigned long *out) {
    if (**p < '0' || **p > '9') {
        return false;
    }
    char *end;
    *out = strtoul(*p, &end, 10);
    bool short_enough = end - *p < 10;
    *p = end;
    return short_enough;
}

static wf_status set_choice(const wf_opt *o, const char *value, wf_error *err) {
    size_t n = strlen(value);
    int index = 0;
    for (const char *p = o->value; *p != '\0'; index++) {
        size_t word = strcspn(p, "|");
        if (word == n && strncmp(p, value, n) == 0) {
            *(int *)o->out = index;
            return WF_OK;
        }
        p += word + (p[word] == '|');
    }
    return bad(err, o, value, o->value);
}

static wf_status set_value(const wf_opt *o, const char *value, wf_error *err) {
    char wanted[64];
    const char *p = value;
    unsigned long a = 0, b = 0;
    char *end;
    switch (o->kind) {
    case WF_OPT_COUNT:
        if (!whole_number(&p, &a) || *p != '\0' || a < o->low || a > o->high) {
            snprintf(wanted, sizeof wanted, "a whole number from %u to %u", o->low, o->high);
            return bad(err, o, value, wanted);
        }
        *(uint32_t *)o->out = (uint32_t)a;
        return WF_OK;
    case WF_OPT_REAL: {
        double v = strtod(value, &end);
        if (end == value || *end != '\0' || !(v >= 0 && v < 1e30)) {
            return bad(err, o, value, "a number, not negative");
        }
        *(double *)o->out = v;
        return WF_OK;
    }
    case WF_OPT_SIZE: {
        bool ok = whole_number(&p, &a);
        b = a;
        if (ok && *p == 'x') {
            p++;
            ok = whole_number(&p, &b);
        }
        if (!ok || *p != '\0' || a == 0 || b == 0 || a > 32768 || b > 32768) {
            return bad(err, o, value, "HEIGHTxWIDTH, for example 224x160,");
        }
        ((uint32_t *)o->out)[0] = (uint32_t)a;
        ((uint32_t *)o->out)[1] = (uint32_t)b;
        return WF_OK;
    }
    case WF_OPT_CHOICE:
        return set_choice(o, value, err);
    default:
        *(const char **)o->out = value;
        return WF_OK;
    }
}

static wf_status unknown(const wf_usage *u, const char *word, wf_error *err) {
    const char *names[MAX_OPTIONS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < u->option_count + COMMON && count < MAX_OPTIONS; i++) {
        names[count++] = option_at(u, i)->name;
    }
    const char *bare = word + strspn(word, "-");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(bare, "="), bare);
    return wf_fail(err, WF_E_ARGUMENT, word, -1, "%s has no option %.*s; did you mean --%s?", u->verb,
                   (int)strcspn(word, "="), word, wf_args_nearest(name, names, count));
}

static const wf_opt *find(const wf_usage *u, const char *word) {
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word + 2, "=") : 0;
    for (uint32_t i = 0; i < u->option_count + COMMON; i++) {
        const wf_opt *o = option_at(u, i);
        if (is_long ? strlen(o->name) == n && strncmp(o->name, word + 2, n) == 0
                    : o->letter != 0 && word[1] == o->letter && word[2] == '\0') {
            return o;
        }
    }
    return NULL;
}

/* One option at argv[*at]; moves *at past its value. */
static wf_status take_option(const wf_usage *u, int argc, char **argv, int *at, bool *help, wf_error *err) {
    const char *word = argv[*at];
    const wf_opt *o = find(u, word);
    if (o == NULL) {
        return unknown(u, word, err);
    }
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    if (o->kind == WF_OPT_FLAG) {
        if (equals != NULL) {
            return wf_fail(err, WF_E_ARGUMENT, o->name, -1, "--%s takes no value", o->name);
        }
        *help = *help || strcmp(o->name, "help") == 0;
        if (o->out != NULL) {
            *(bool *)o->out = true;
        }
        return WF_OK;
    }
    if (equals == NULL && (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)) {
        return wf_fail(err, WF_E_ARGUMENT, o->name, -1, "--%s needs a value: --%s %s", o->name, o->name,
                       o->value);
    }
    return set_value(o, equals != NULL ? equals + 1 : argv[++*at], err);
}

static wf_status parse(const wf_usage *u, int argc, char **argv, int *operands, bool *help, wf_error *err) {
    bool ended = false;
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            WF_TRY(take_option(u, argc, argv, &i, help, err));
        } else {
            argv[count++] = argv[i];
        }
    }
    *operands = count;
    if (*help || ((uint32_t)count >= u->least && (uint32_t)count <= u->most)) {
        return WF_OK;
    }
    if ((uint32_t)count > u->most) {
        return wf_fail(err, WF_E_ARGUMENT, u->verb, -1, "\"%s\" is one too many: %s takes %s", argv[u->most],
                       u->verb, u->operands);
    }
    return wf_fail(err, WF_E_ARGUMENT, u->verb, -1, "something is missing: wasmformer %s %s", u->verb,
                   u->operands);
}

wf_parsed wf_args_parse(wf_cli *cli, const wf_usage *usage, int argc, char **argv, int *operands) {
    wf_error err;
    wf_error_clear(&err);
    bool help = false;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) { /* first: errors need the right form */
        cli->json = cli->json || strcmp(argv[i], "--json") == 0;
        cli->quiet = cli->quiet || strcmp(argv[i], "--quiet") == 0;
    }
    if (parse(usage, argc, argv, operands, &help, &err) != WF_OK) {
        wf_cli_usage_error(cli, &err);
        return WF_PARSED_WRONG;
    }
    if (help) {
        print_help(usage);
        return WF_PARSED_HELP;
    }
    return WF_PARSED;
}
