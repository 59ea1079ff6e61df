/* bench: how long a model takes to load and to run here, at what rate, in how much memory.
   Where the time goes: profile.h. Input is seeded noise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/load.h"
#include "cli/platform.h"
#include "cli/profile.h"
#include "cli/text_out.h"
#include "format/json.h"

enum { MAX_RUNS = 10000 };

typedef struct bench {
    wf_cli *cli;
    uint32_t runs, batch, size[2];
    wf_loaded loaded;
    wf_model_info info;
    double *seconds; /* [runs], sorted in the end */
    double first;
    double macs; /* of a run; 0 where the size is not the recommended one */
    uint64_t activations;
    bool nodes;
    wf_profile profile;
} bench;

/* xorshift, uniform in ±√3: the standard deviation of normalised pictures; or uniform among a vocabulary's ids. */
static void fill(void *input, uint64_t n, bool wide, uint32_t vocabulary) {
    uint32_t state = 1;
    for (uint64_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        float v = vocabulary != 0 ? (float)(state % vocabulary) : ((float)(state >> 8) / 8388608.0f - 1.0f) * 1.7320508f;
        if (wide) {
            ((double *)input)[i] = v;
        } else {
            ((float *)input)[i] = v;
        }
    }
}

static void fill_input(void *bench_) {
    bench *b = bench_;
    wf_session *s = b->loaded.session;
    fill(wf_session_input(s), wf_session_input_elements(s), b->cli->backend == WF_BACKEND_F64, b->info.vocabulary);
}

static wf_status timed_run(bench *b, double *seconds, wf_error *err) {
    wf_session *s = b->loaded.session;
    fill_input(b);
    uint64_t began = wf_platform_now_ns();
    WF_TRY(wf_run_session(b->cli, s, NULL, err));
    *seconds = (double)(wf_platform_now_ns() - began) / 1e9;
    return WF_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static wf_status measure(bench *b, const char *path, bool int8_rows, wf_error *err) {
    WF_TRY(wf_load_model(b->cli, path, int8_rows, &b->loaded, err));
    wf_model_get_info(b->loaded.model, &b->info);
    bool recommended = b->size[0] == 0;
    uint32_t h = recommended ? b->info.height : b->size[0], w = recommended ? b->info.width : b->size[1];
    b->size[0] = h;
    b->size[1] = w;
    WF_TRY(wf_session_create(b->loaded.model, NULL, 0, &b->loaded.session, err));
    WF_TRY(wf_session_prepare(b->loaded.session, b->batch, h, w, err));
    b->activations = wf_session_bytes(b->loaded.session);
    b->macs = h == b->info.height && w == b->info.width ? (double)b->info.cost * b->batch : 0;
    WF_TRY(wf_alloc_array((void **)&b->seconds, b->runs, sizeof(double), "the times", err));
    WF_TRY(timed_run(b, &b->first, err));
    for (uint32_t i = 0; i < b->runs; i++) {
        WF_TRY(timed_run(b, &b->seconds[i], err));
    }
    qsort(b->seconds, b->runs, sizeof *b->seconds, by_value);
    return wf_profile_measure(b->cli, b->loaded.session, fill_input, b, b->runs, &b->profile, err);
}

static double median(const bench *b) {
    return b->runs % 2 != 0 ? b->seconds[b->runs / 2]
                            : (b->seconds[b->runs / 2 - 1] + b->seconds[b->runs / 2]) / 2;
}

static const char *backend_name(const bench *b) {
    static const char *const names[] = {"simd", "scalar", "f64"};
    return names[b->cli->backend];
}

static void print_text(const bench *b) {
    wf_number weights, activations, peak, macs;
    printf("%s: %u × %u × %u × %u, %s kernels, %u thread%s\n", b->info.architecture, b->batch,
           b->info.channels, b->size[0], b->size[1], backend_name(b), b->loaded.threads,
           b->loaded.threads == 1 ? "" : "s");
    wf_out_row("load", "%.1f ms", 1e3 * b->loaded.load_seconds);
    wf_out_row("first run", "%.2f ms", 1e3 * b->first);
    wf_out_row("runs", "%.2f ms median, %.2f ms least, of %u", 1e3 * median(b), 1e3 * b->seconds[0], b->runs);
    if (b->macs > 0) {
        wf_out_row("rate", "%.2f GMAC/s (%s multiply-adds a run)", b->macs / median(b) / 1e9,
                   wf_out_scaled(macs, b->macs));
    }
    wf_out_row("memory", "weights %s, activations %s, peak %s", wf_out_bytes(weights, b->info.weight_bytes),
               wf_out_bytes(activations, b->activations),
               wf_out_bytes(peak, wf_alloc_get_stats().peak_bytes));
    wf_profile_print(&b->profile, b->nodes);
}

static void add_number(wf_text *t, const char *key, double v) {
    wf_text_format(t, ",\"%s\":", key);
    wf_text_json_number(t, v);
}

static void print_json(const bench *b) {
    wf_text t;
    memset(&t, 0, sizeof t);
    wf_text_add(&t, "{\"architecture\":");
    wf_text_json_string(&t, b->info.architecture);
    wf_text_format(&t, ",\"shape\":[%u,%u,%u,%u],\"backend\":\"%s\",\"threads\":%u,\"runs\":%u", b->batch,
                   b->info.channels, b->size[0], b->size[1], backend_name(b), b->loaded.threads, b->runs);
    add_number(&t, "loadMs", 1e3 * b->loaded.load_seconds);
    add_number(&t, "firstMs", 1e3 * b->first);
    add_number(&t, "medianMs", 1e3 * median(b));
    add_number(&t, "leastMs", 1e3 * b->seconds[0]);
    if (b->macs > 0) {
        add_number(&t, "multiplyAdds", b->macs);
        add_number(&t, "gmacPerSecond", b->macs / median(b) / 1e9);
    }
    add_number(&t, "weightBytes", (double)b->info.weight_bytes);
    add_number(&t, "activationBytes", (double)b->activations);
    add_number(&t, "peakBytes", (double)wf_alloc_get_stats().peak_bytes);
    wf_profile_json(&b->profile, &t);
    wf_text_add(&t, "}\n");
    fputs(t.failed ? "null\n" : t.data, stdout);
    wf_text_free(&t);
}

int wf_cmd_bench(wf_cli *cli, int argc, char **argv) {
    bench b;
    memset(&b, 0, sizeof b);
    b.cli = cli;
    b.runs = 20;
    b.batch = 1;
    int activations = 0, n;
    const wf_opt options[] = {
        {"runs", 'n', WF_OPT_COUNT, "N", &b.runs, 1, MAX_RUNS, "runs after the first (default 20)"},
        {"size", 0, WF_OPT_SIZE, "HxW", b.size, 0, 0,
         "height and width of the input, or tokens x 1 (default: its own)"},
        {"batch", 0, WF_OPT_COUNT, "N", &b.batch, 1, 4096, "inputs in one run (default 1)"},
        {"nodes", 0, WF_OPT_FLAG, NULL, &b.nodes, 0, 0, "a line for every node, not one for each op"},
        {"activations", 0, WF_OPT_CHOICE, "int8|float", &activations, 0, 0,
         "what Q8_0 and int8 weights multiply (default int8)"},
        WF_OPT_THREADS(cli),
        WF_OPT_BACKEND(cli),
    };
    const wf_usage usage = {
        "bench",
        "MODEL",
        "Measures loading, the first run and the following runs on noise, the memory that they take, and where the\n"
        "time goes: each op beside the least time that this machine's arithmetic or memory needs for it.",
        "poolformer.gguf --threads 2 --runs 50",
        1,
        1,
        options,
        sizeof options / sizeof options[0]};
    wf_error err;
    wf_error_clear(&err);
    wf_parsed parsed = wf_args_parse(cli, &usage, argc, argv, &n);
    if (parsed != WF_PARSED) {
        return parsed == WF_PARSED_HELP ? WF_EXIT_OK : WF_EXIT_USAGE;
    }
    int code = WF_EXIT_OK;
    if (measure(&b, argv[0], activations == 0, &err) != WF_OK) {
        code = wf_cli_fail(cli, &err);
    } else if (cli->json) {
        print_json(&b);
    } else {
        print_text(&b);
    }
    wf_free(b.seconds);
    wf_profile_free(&b.profile);
    wf_loaded_free(&b.loaded);
    return code;
}
