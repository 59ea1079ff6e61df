/* A progress bar on stderr: phase, bar, percent, amount, time left. Drawn only on a terminal, ten
   times a second at most. */
#ifndef WF_CLI_PROGRESS_H
#define WF_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

typedef struct wf_bar {
    bool on, drawn;
    bool bytes; /* amounts are bytes, else plain counts */
    uint64_t phase_began, last_drawn;
    char phase[48];
} wf_bar;

void wf_bar_init(wf_bar *bar, const wf_cli *cli, bool bytes);
/* total 0: unknown. A new phase starts its own clock. */
void wf_bar_update(wf_bar *bar, const char *phase, uint64_t done, uint64_t total);
/* Takes the bar off the screen. */
void wf_bar_clear(wf_bar *bar);

#endif
