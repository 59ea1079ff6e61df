/* classify: pictures → the k most likely classes; or accuracy over a folder. */
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/evaluate.h"
#include "cli/picture.h"
#include "cli/text_out.h"
#include "format/json.h"

typedef struct choices {
    uint32_t topk; /* 0: five, or all that reach the threshold where several classes may be there */
    bool raw;
    double threshold; /* below 0: the model's own */
} choices;

/* What is said of a picture by default: one class of many, or any number of them. */
static wf_scores scores_of(const wf_classifier *c, const choices *o) {
    return o->raw ? WF_SCORES_RAW : wf_model_scores(c->view.loaded.model);
}

static uint32_t best_of(const wf_classifier *c, const choices *o, wf_class_score *top) {
    float threshold = o->threshold >= 0 ? (float)o->threshold : wf_model_threshold(c->view.loaded.model);
    uint32_t n = wf_classify_top(c->logits, c->classes, o->topk, scores_of(c, o), top);
    while (n > 0 && !o->raw && top[n - 1].score < threshold) {
        n--;
    }
    return n;
}

static void print_json(wf_text *t, const wf_classifier *c, const char *picture, const wf_class_score *top,
                       uint32_t n) {
    char buffer[24];
    wf_text_add(t, "{\"image\":");
    wf_text_json_string(t, picture);
    wf_text_add(t, ",\"top\":[");
    for (uint32_t i = 0; i < n; i++) {
        wf_text_format(t, "%s{\"index\":%u,\"label\":", i != 0 ? "," : "", top[i].index);
        wf_text_json_string(t, wf_classifier_label(c, top[i].index, buffer));
        wf_text_add(t, ",\"score\":");
        wf_text_json_number(t, top[i].score);
        wf_text_add(t, "}");
    }
    wf_text_add(t, "]}");
}

static void print_text(const wf_classifier *c, const char *picture, bool several, const wf_class_score *top,
                       uint32_t n, bool raw) {
    char buffer[24], score[32];
    if (several) {
        wf_out_text(stdout, picture);
        putchar('\n');
    }
    if (n == 0) {
        puts("no class reaches the threshold");
    }
    wf_table t;
    wf_table_init(&t, "rl");
    for (uint32_t i = 0; i < n; i++) {
        snprintf(score, sizeof score, raw ? "%.4f" : "%.2f %%", raw ? top[i].score : 100 * top[i].score);
        wf_table_row(&t, score, wf_classifier_label(c, top[i].index, buffer));
    }
    wf_table_print(&t, stdout);
}

/* One bad picture among many does not keep the others from being named; the exit code tells. */
static int classify_all(wf_classifier *c, const choices *o, char **pictures, int count, wf_class_score *top) {
    int code = WF_EXIT_OK;
    wf_text t;
    memset(&t, 0, sizeof t);
    for (int i = 0; i < count && code != WF_EXIT_INTERRUPTED; i++) {
        wf_error err;
        wf_error_clear(&err);
        wf_status status = wf_classifier_run(c, pictures[i], &err);
        uint32_t n = status == WF_OK ? best_of(c, o, top) : 0;
        wf_text_add(&t, i == 0 ? "[" : ",");
        if (status != WF_OK) {
            code = wf_cli_fail(c->view.cli, &err);
            wf_text_add(&t, "{\"image\":");
            wf_text_json_string(&t, pictures[i]);
            wf_text_add(&t, ",\"error\":");
            wf_json_error(&t, &err);
            wf_text_add(&t, "}");
        } else if (c->view.cli->json) {
            print_json(&t, c, pictures[i], top, n);
        } else {
            print_text(c, pictures[i], count > 1, top, n, o->raw);
        }
    }
    if (c->view.cli->json && !t.failed) {
        printf("%s]\n", t.data);
    }
    wf_text_free(&t);
    return code;
}

int wf_cmd_classify(wf_cli *cli, int argc, char **argv) {
    choices o = {0, false, -1};
    const char *eval = NULL, *classes = NULL;
    const wf_opt options[] = {
        {"topk", 'k', WF_OPT_COUNT, "N", &o.topk, 1, 1000000, "how many classes to name (default 5; all from a threshold on)"},
        {"threshold", 0, WF_OPT_REAL, "P", &o.threshold, 0, 0, "name classes from this score on (default: the model's)"},
        {"raw", 0, WF_OPT_FLAG, NULL, &o.raw, 0, 0, "logits instead of probabilities"},
        {"eval", 0, WF_OPT_TEXT, "DIR", &eval, 0, 0, "measure accuracy over the pictures in DIR/CLASS/"},
        {"classes", 0, WF_OPT_TEXT, "FILE", &classes, 0, 0,
         "with --eval: table with columns label and wnid (the folder)"},
        WF_OPT_THREADS(cli),
        WF_OPT_BACKEND(cli),
        WF_OPT_INTEGRITY(cli),
    };
    const wf_usage usage = {"classify",
                            "MODEL IMAGE...",
                            "Names what is in JPEG or PNG pictures, prepared as the model file says.",
                            "poolformer.gguf photo.jpg",
                            1,
                            1000000,
                            options,
                            sizeof options / sizeof options[0]};
    int n;
    wf_error err;
    wf_error_clear(&err);
    wf_parsed parsed = wf_args_parse(cli, &usage, argc, argv, &n);
    if (parsed != WF_PARSED) {
        return parsed == WF_PARSED_HELP ? WF_EXIT_OK : WF_EXIT_USAGE;
    }
    if (o.threshold > 1 || (o.threshold >= 0 && o.raw)) {
        wf_fail(&err, WF_E_ARGUMENT, "threshold", -1, "--threshold is a score from 0 to 1, and --raw gives none");
        return wf_cli_usage_error(cli, &err);
    }
    if ((n > 1) == (eval != NULL) || (classes != NULL && eval == NULL)) {
        wf_fail(&err, WF_E_ARGUMENT, "classify", -1,
                "classify takes pictures, or --eval DIR (and then perhaps --classes FILE)");
        return wf_cli_usage_error(cli, &err);
    }
    wf_classifier c;
    wf_class_score *top = NULL;
    int code;
    bool open = wf_classifier_open(cli, argv[0], &c, &err) == WF_OK;
    bool several = open && wf_model_scores(c.view.loaded.model) == WF_SCORES_SIGMOID;
    if (open && several && eval != NULL) {
        wf_fail(&err, WF_E_UNSUPPORTED, "eval", -1, "%s may see several classes in a picture, and a folder tells one: --eval is for models "
                "that name one class", c.view.loaded.name);
        open = false;
    }
    uint32_t wanted = o.topk != 0 ? o.topk : several ? c.classes : 5;
    o.topk = open && wanted > c.classes ? c.classes : wanted;
    if (!open || wf_alloc_array((void **)&top, o.topk, sizeof *top, "the result", &err) != WF_OK) {
        code = wf_cli_fail(cli, &err);
    } else {
        code = eval != NULL ? wf_evaluate(&c, eval, classes) : classify_all(&c, &o, argv + 1, n - 1, top);
    }
    wf_free(top);
    wf_classifier_close(&c);
    return code;
}
