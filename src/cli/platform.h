/* The few things in which a native program and a WASI command differ. platform.c is the only file of cli/
   with an #ifdef. */
#ifndef WF_CLI_PLATFORM_H
#define WF_CLI_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* From here on Ctrl-C (and a polite kill) sets a flag; a second one removes the guarded file and ends at
   once, and so does a closed pipe. WASI has no signals: there the host ends the program. */
void wf_platform_catch_interrupts(void);
bool wf_platform_interrupted(void);
/* The unfinished file to remove in an emergency; NULL when there is none. The text must stay valid. */
void wf_platform_guard_file(const char *path);

bool wf_platform_is_terminal(FILE *f);
uint64_t wf_platform_now_ns(void); /* monotonic */
uint32_t wf_platform_cores(void);
/* The folder of the running program with its last slash; "" where the system does not tell (WASI). */
void wf_platform_program_folder(char *out, size_t size);
/* Differs between processes and calls: for names of temporary files. */
uint32_t wf_platform_token(void);

#endif
