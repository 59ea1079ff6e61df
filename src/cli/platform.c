/* Signals, terminal, clock and cores, natively and under WASI. */
#include "cli/platform.h"

#include <time.h>
#include <unistd.h>

uint64_t wf_platform_now_ns(void) {
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool wf_platform_is_terminal(FILE *f) { return isatty(fileno(f)) == 1; }

#ifdef __wasi__

void wf_platform_catch_interrupts(void) {}
bool wf_platform_interrupted(void) { return false; }
void wf_platform_guard_file(const char *path) { (void)path; }
uint32_t wf_platform_cores(void) { return 1; }

void wf_platform_program_folder(char *out, size_t size) {
    (void)size;
    out[0] = '\0';
}

uint32_t wf_platform_token(void) {
    uint32_t token = (uint32_t)wf_platform_now_ns();
    getentropy(&token, sizeof token);
    return token;
}

#else

#include <signal.h>
#include <string.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

static volatile sig_atomic_t interrupted;
static const char *volatile guarded;

static void on_signal(int number) {
    (void)number;
    if (interrupted) {
        if (guarded != NULL) {
            unlink(guarded);
        }
        _exit(130);
    }
    interrupted = 1;
}

/* A reader that went away (`… | head`) ends the program as usual, but not without tidying up. */
static void on_pipe(int number) {
    if (guarded != NULL) {
        unlink(guarded);
    }
    signal(number, SIG_DFL);
    raise(number);
}

void wf_platform_catch_interrupts(void) {
    signal(SIGPIPE, on_pipe);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old, action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) { /* nohup stays nohup */
            sigaction(signals[i], &action, NULL);
        }
    }
}

bool wf_platform_interrupted(void) { return interrupted != 0; }
void wf_platform_guard_file(const char *path) { guarded = path; }

uint32_t wf_platform_cores(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

void wf_platform_program_folder(char *out, size_t size) {
#ifdef __APPLE__
    uint32_t n = (uint32_t)size;
    out[_NSGetExecutablePath(out, &n) == 0 ? strlen(out) : 0] = '\0';
#else
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 && (size_t)n < size - 1 ? n : 0] = '\0'; /* a path that does not fit is none */
#endif
    char *slash = strrchr(out, '/');
    out[slash != NULL ? slash - out + 1 : 0] = '\0';
}

uint32_t wf_platform_token(void) { return (uint32_t)wf_platform_now_ns() * 2654435761u ^ (uint32_t)getpid(); }

#endif
