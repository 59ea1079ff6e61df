/* The bar. The line stays under 80 columns, so that it can always be taken back with a carriage return. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "cli/platform.h"
#include "cli/text_out.h"

enum { CELLS = 20 };

void wf_bar_init(wf_bar *bar, const wf_cli *cli, bool bytes) {
    memset(bar, 0, sizeof *bar);
    bar->on = !cli->quiet && wf_platform_is_terminal(stderr);
    bar->bytes = bytes;
}

static void amount(const wf_bar *bar, wf_number out, uint64_t v) {
    if (bar->bytes) {
        wf_out_bytes(out, v);
    } else {
        wf_out_count(out, v);
    }
}

static void time_left(char *out, size_t n, double seconds) {
    if (seconds < 1) {
        out[0] = '\0';
    } else if (seconds < 90) {
        snprintf(out, n, "  %.0f s left", seconds);
    } else {
        snprintf(out, n, "  %.0f min left", seconds / 60);
    }
}

void wf_bar_update(wf_bar *bar, const char *phase, uint64_t done, uint64_t total) {
    if (!bar->on) {
        return;
    }
    uint64_t now = wf_platform_now_ns();
    if (strncmp(bar->phase, phase, sizeof bar->phase - 1) != 0) {
        snprintf(bar->phase, sizeof bar->phase, "%s", phase);
        bar->phase_began = now;
        bar->last_drawn = 0;
    }
    if (now - bar->last_drawn < 100000000u && done != total) {
        return;
    }
    bar->last_drawn = now;
    bar->drawn = true;
    wf_number a, b;
    amount(bar, a, done);
    if (total == 0) {
        fprintf(stderr, "\r\033[K%.24s  %s", bar->phase, a);
        fflush(stderr);
        return;
    }
    double share = done < total ? (double)done / (double)total : 1.0;
    double passed = (double)(now - bar->phase_began) / 1e9;
    char left[32], cells[CELLS + 1];
    time_left(left, sizeof left, share > 0.02 ? passed / share * (1 - share) : 0);
    memset(cells, ' ', CELLS);
    memset(cells, '#', (size_t)(share * CELLS));
    cells[CELLS] = '\0';
    amount(bar, b, total);
    fprintf(stderr, "\r\033[K%.18s [%s] %3.0f %%  %s of %s%s", bar->phase, cells, 100 * share, a, b, left);
    fflush(stderr);
}

void wf_bar_clear(wf_bar *bar) {
    if (bar->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        bar->drawn = false;
    }
}
