/* jigsaw: pictures are cut into tiles, shuffled and put together again by a model that tells places. */
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/picture.h"
#include "cli/text_out.h"
#include "format/json.h"

typedef struct puzzle {
    wf_viewer view;
    uint32_t grid[2], n;
    uint32_t *order, *places, *guesses; /* [n] each, in one block */
    uint32_t right, alone;              /* tiles: arranged together, and each by itself */
} puzzle;

typedef struct totals {
    uint64_t pictures, right, alone, whole;
} totals;

static wf_status open_puzzle(const wf_cli *cli, const char *model, puzzle *p, wf_error *err) {
    WF_TRY(wf_viewer_open(cli, model, &p->view, err));
    p->n = wf_jigsaw_tiles(p->view.loaded.model, p->grid);
    uint32_t tiles = p->n != 0 ? p->n : 1; /* wf_jigsaw_cut says what is wrong with other models */
    WF_TRY(wf_alloc_array((void **)&p->order, 3 * (uint64_t)tiles, sizeof *p->order, "the tiles", err));
    p->places = p->order + tiles;
    p->guesses = p->places + tiles;
    return WF_OK;
}

static wf_status solve(puzzle *p, const char *picture, uint32_t seed, wf_error *err) {
    const wf_model *m = p->view.loaded.model;
    wf_session *s = p->view.loaded.session;
    WF_TRY(wf_viewer_show(&p->view, picture, err));
    WF_TRY(wf_jigsaw_cut(m, s, seed, p->order, err));
    WF_TRY(wf_run_session(p->view.cli, s, NULL, err));
    WF_TRY(wf_jigsaw_place(m, s, p->places, p->guesses, err));
    p->right = p->alone = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        p->right += p->places[i] == p->order[i];
        p->alone += p->guesses[i] == p->order[i];
    }
    return WF_OK;
}

static void add_numbers(wf_text *t, const char *key, const uint32_t *v, uint32_t n) {
    wf_text_format(t, ",\"%s\":[", key);
    for (uint32_t i = 0; i < n; i++) {
        wf_text_format(t, "%s%u", i != 0 ? "," : "", v[i]);
    }
    wf_text_add(t, "]");
}

static void print_json(wf_text *t, const puzzle *p, const char *picture) {
    wf_text_add(t, "{\"image\":");
    wf_text_json_string(t, picture);
    wf_text_format(t, ",\"rows\":%u,\"columns\":%u,\"right\":%u,\"rightAlone\":%u", p->grid[0], p->grid[1], p->right, p->alone);
    add_numbers(t, "order", p->order, p->n);
    add_numbers(t, "places", p->places, p->n);
    add_numbers(t, "guesses", p->guesses, p->n);
    wf_text_add(t, "}");
}

/* The arrangement as a table of tile numbers: which tile of the picture lies where. */
static void print_text(const puzzle *p, const char *picture) {
    wf_out_text(stdout, picture);
    printf(": %u of %u tiles are right (%u, were each put where it fits best by itself)\n", p->right, p->n, p->alone);
    for (uint32_t place = 0; place < p->n; place++) {
        uint32_t tile = 0;
        while (p->places[tile] != place) {
            tile++;
        }
        printf("%5u%s", p->order[tile], (place + 1) % p->grid[1] == 0 ? "\n" : "");
    }
}

static double percent(uint64_t part, uint64_t whole) { return whole != 0 ? 100 * (double)part / (double)whole : 0; }

static int solve_all(puzzle *p, uint32_t seed, char **pictures, int count) {
    const wf_cli *cli = p->view.cli;
    totals all = {0, 0, 0, 0};
    int code = WF_EXIT_OK;
    wf_text t;
    memset(&t, 0, sizeof t);
    for (int i = 0; i < count && code != WF_EXIT_INTERRUPTED; i++) {
        wf_error err;
        wf_error_clear(&err);
        wf_status status = solve(p, pictures[i], seed + (uint32_t)i, &err);
        wf_text_add(&t, i == 0 ? "[" : ",");
        if (status != WF_OK) {
            code = wf_cli_fail(cli, &err);
            wf_text_add(&t, "{\"image\":");
            wf_text_json_string(&t, pictures[i]);
            wf_text_add(&t, ",\"error\":");
            wf_json_error(&t, &err);
            wf_text_add(&t, "}");
            continue;
        }
        all.pictures++;
        all.right += p->right;
        all.alone += p->alone;
        all.whole += p->right == p->n;
        if (cli->json) {
            print_json(&t, p, pictures[i]);
        } else {
            print_text(p, pictures[i]);
        }
    }
    if (cli->json && !t.failed) {
        printf("%s]\n", t.data);
    } else if (all.pictures > 1) {
        uint64_t tiles = all.pictures * p->n;
        printf("%llu pictures: %.2f %% of the tiles are right (%.2f %% each by itself), %.2f %% of the pictures are whole\n",
               (unsigned long long)all.pictures, percent(all.right, tiles), percent(all.alone, tiles), percent(all.whole, all.pictures));
    }
    wf_text_free(&t);
    return code;
}

int wf_cmd_jigsaw(wf_cli *cli, int argc, char **argv) {
    uint32_t seed = 1;
    const wf_opt options[] = {
        {"seed", 0, WF_OPT_COUNT, "N", &seed, 0, 0xffffffffu, "how tiles are shuffled (default 1; the next picture: N + 1)"},
        WF_OPT_THREADS(cli),
        WF_OPT_BACKEND(cli),
        WF_OPT_INTEGRITY(cli),
    };
    const wf_usage usage = {"jigsaw",
                            "MODEL IMAGE...",
                            "Cuts JPEG or PNG pictures into tiles, shuffles them, and lets the model put them together again.",
                            "jigsaw-tiny64.gguf photo.jpg",
                            2,
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
    puzzle p;
    memset(&p, 0, sizeof p);
    int code = open_puzzle(cli, argv[0], &p, &err) == WF_OK ? solve_all(&p, seed, argv + 1, n - 1) : wf_cli_fail(cli, &err);
    wf_free(p.order);
    wf_viewer_close(&p.view);
    return code;
}
