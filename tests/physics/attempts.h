/* SPDX-License-Identifier: MIT */
/*
 * Tests on a machine that others use, too. A program of tests runs in a child process; where something fails while
 * somebody else disturbed the machine, the cases run once more, each in a process of its own and a few times at most.
 * What fails undisturbed fails, and so does what fails in every attempt, unless somebody has all files written back in
 * every one and while nothing is tried, too: then the case is skipped, with that as the reason.
 */
#ifndef FAULTLINE_ATTEMPTS_H
#define FAULTLINE_ATTEMPTS_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ATTEMPTS_MOST = 6, ATTEMPTS_MOST_S = 200, ATTEMPTS_HANG_S = 100, ATTEMPTS_NO_CASE = -1 };
enum { ATTEMPTS_TAKEN = 3 /* status of a program that failed, and pages of whose files were taken away */ };
#define ATTEMPTS_CASE "FAULTLINE_PHYSICS_CASE" /* in the environment of a child: which case, or all */

/* What others can do to a test; bits, of which a program names those that bear on it. */
enum disturbance {
    DISTURBED_BY_RECLAIM = 1,
    DISTURBED_BY_MIGRATION = 2, /* an entry that is being moved, or marked for NUMA balancing, faults */
    DISTURBED_BY_WRITEBACK = 4,
    DISTURBED_BY_STARVATION = 8,
    DISTURBANCES = 4,
    /* What can be a reason to skip: the witness is a page like the tests' own. The other numbers are the machine's, and
     * move where others alone are concerned. */
    DISTURBANCES_THAT_EXCUSE = DISTURBED_BY_WRITEBACK,
};

static const char *const disturbance_names[DISTURBANCES] = {
    "the kernel took pages away",
    "the kernel moved pages",
    "somebody had all files written back",
    "others had the CPUs",
};

/* A number of /proc/vmstat; 0 where the kernel has none of that name. */
static inline uint64_t vmstat_number(const char *key)
{
    char name[64];
    uint64_t value, found = 0;
    FILE *file = fopen("/proc/vmstat", "re");
    while (file && fscanf(file, "%63s %" SCNu64, name, &value) == 2)
        if (strcmp(name, key) == 0)
            found = value;
    if (file)
        fclose(file);
    return found;
}

/* Time that the hypervisor ran others in, in microseconds of all CPUs. */
static inline uint64_t stolen_us(void)
{
    uint64_t ticks = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file && fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &ticks) != 1)
        ticks = 0;
    if (file)
        fclose(file);
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Time in which a task waited for a CPU (/proc/pressure), in microseconds; 0 where the kernel does not tell. */
static inline uint64_t waited_us(void)
{
    uint64_t us = 0;
    FILE *file = fopen("/proc/pressure/cpu", "re");
    if (file && fscanf(file, "some avg10=%*s avg60=%*s avg300=%*s total=%" SCNu64, &us) != 1)
        us = 0;
    if (file)
        fclose(file);
    return us;
}

static inline uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- what is watched ---- */

/* Numbers that only grow, before an attempt; and a page of a file, stored to, that nobody who is after one file alone
 * writes back: while it is left alone, the next store does not fault. */
struct watch {
    volatile unsigned char *page;
    uint64_t reclaimed, moved, starved_us, begun_us;
};

static inline volatile unsigned char *watch_page(void)
{
    char path[] = "/var/tmp/faultline-physics-XXXXXX";
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = MAP_FAILED;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return NULL;
    unlink(path);
    if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
        page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return page == MAP_FAILED ? NULL : page;
}

static inline bool watch_store_faults(struct watch *watch)
{
    struct rusage before, after;
    if (!watch->page)
        return false;
    getrusage(RUSAGE_SELF, &after); /* whose own page is touched now */
    getrusage(RUSAGE_SELF, &before);
    *watch->page = 1;
    getrusage(RUSAGE_SELF, &after);
    return after.ru_minflt + after.ru_majflt > before.ru_minflt + before.ru_majflt;
}

/* Pages that were reclaimed, and those that came back: what DAMON and MADV_PAGEOUT take is not counted as it goes. */
static inline uint64_t watch_reclaimed(void)
{
    return vmstat_number("pgsteal_file") + vmstat_number("pgsteal_anon") + vmstat_number("workingset_refault_file");
}

static inline uint64_t watch_moved(void)
{
    return vmstat_number("pgmigrate_success") + vmstat_number("pgmigrate_fail") + vmstat_number("numa_pte_updates") +
           vmstat_number("thp_collapse_alloc");
}

static inline void watch_begin(struct watch *watch)
{
    watch_store_faults(watch);
    watch->reclaimed = watch_reclaimed();
    watch->moved = watch_moved();
    watch->starved_us = stolen_us() + waited_us();
    watch->begun_us = clock_us();
}

/* What has happened since: bits of enum disturbance. Somebody waits for a CPU now and then; a fifth of the time is
 * more.
 */
static inline unsigned watch_end(struct watch *watch)
{
    uint64_t passed_us = clock_us() - watch->begun_us;
    unsigned seen = 0;
    if (watch_reclaimed() != watch->reclaimed)
        seen |= DISTURBED_BY_RECLAIM;
    if (watch_moved() != watch->moved)
        seen |= DISTURBED_BY_MIGRATION;
    if (watch_store_faults(watch))
        seen |= DISTURBED_BY_WRITEBACK;
    if (stolen_us() + waited_us() - watch->starved_us > passed_us / 5)
        seen |= DISTURBED_BY_STARVATION;
    return seen;
}

/* What goes on while nothing is tried for so long. */
static inline unsigned watch_idle(struct watch *watch, uint64_t us)
{
    const uint64_t least_us = 100000, most_us = 3000000;
    watch_begin(watch);
    usleep((useconds_t)(us < least_us ? least_us : us > most_us ? most_us : us));
    return watch_end(watch);
}

/* Prints a line about an attempt that is not the last. */
static inline void disturbance_say(const char *name, unsigned seen)
{
    printf("# %s, once more:", name);
    for (unsigned i = 0; i < DISTURBANCES; i++)
        if (seen >> i & 1)
            printf(" %s;", disturbance_names[i]);
    putchar('\n');
}

/* ---- attempts ---- */

struct attempt {
    int output; /* what it printed */
    int status; /* as waitpid tells it */
    unsigned seen;
    uint64_t took_us;
};

/* The child: the same program, told which case is wanted; it ends when the parent does. */
static inline void attempt_exec(const struct attempt *attempt, int index, const sigset_t *mask)
{
    char text[16];
    snprintf(text, sizeof text, "%d", index);
    char *const argv[] = {program_invocation_name, NULL};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || setenv(ATTEMPTS_CASE, text, 1) || dup2(attempt->output, 1) < 0 ||
        dup2(attempt->output, 2) < 0 || sigprocmask(SIG_SETMASK, mask, NULL))
        _exit(126);
    execv("/proc/self/exe", argv);
    _exit(127);
}

/* Prints what an attempt has printed so far, each line after `lead`. */
static inline void attempt_show(const struct attempt *attempt, const char *lead)
{
    char bytes[4096];
    bool fresh = true;
    ssize_t got;
    for (off_t at = 0; (got = pread(attempt->output, bytes, sizeof bytes, at)) > 0; at += got)
        for (ssize_t i = 0; i < got; i++) {
            if (fresh)
                fputs(lead, stdout);
            putchar(bytes[i]);
            fresh = bytes[i] == '\n';
        }
    fflush(stdout);
}

/* Waits for the child; one that takes very long is shown before somebody's limit ends it unseen. */
static inline void attempt_wait(struct attempt *attempt, pid_t child, const sigset_t *signals)
{
    const struct timespec patience = {.tv_sec = ATTEMPTS_HANG_S};
    while (sigtimedwait(signals, NULL, &patience) < 0)
        if (errno == EAGAIN) {
            printf("# takes longer than %d s; so far:\n", ATTEMPTS_HANG_S);
            attempt_show(attempt, "# ");
        }
    if (waitpid(child, &attempt->status, 0) != child)
        attempt->status = -1;
}

/* Runs a case, or all (ATTEMPTS_NO_CASE). Close attempt->output. */
static inline void attempt_run(struct attempt *attempt, struct watch *watch, int index)
{
    sigset_t signals, mask;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &mask);
    *attempt = (struct attempt){.output = memfd_create("output", MFD_CLOEXEC), .status = -1};
    fflush(NULL);
    watch_begin(watch);
    pid_t child = fork();
    if (child == 0)
        attempt_exec(attempt, index, &mask);
    if (child > 0)
        attempt_wait(attempt, child, &signals);
    attempt->seen = watch_end(watch);
    if (WIFEXITED(attempt->status) && WEXITSTATUS(attempt->status) == ATTEMPTS_TAKEN)
        attempt->seen |= DISTURBED_BY_RECLAIM;
    attempt->took_us = clock_us() - watch->begun_us;
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

static inline bool attempt_is_good(const struct attempt *attempt)
{
    return WIFEXITED(attempt->status) && (WEXITSTATUS(attempt->status) == 0 || WEXITSTATUS(attempt->status) == 77);
}

/* Prints it, closes it and returns the program's status: 0, 77 or 1. */
static inline int attempt_end(struct attempt *attempt)
{
    int status = attempt_is_good(attempt) ? WEXITSTATUS(attempt->status) : 1;
    attempt_show(attempt, "");
    close(attempt->output);
    if (!WIFEXITED(attempt->status))
        printf("# died (signal %d)\n", WTERMSIG(attempt->status));
    else if (status == 1 && WEXITSTATUS(attempt->status) != 1 && WEXITSTATUS(attempt->status) != ATTEMPTS_TAKEN)
        printf("# ended with status %d\n", WEXITSTATUS(attempt->status));
    return status;
}

static inline void attempts_give_up(void **state)
{
    print_message("%s: skipped: somebody has all files written back again and again\n", (const char *)*state);
    skip();
}

/* Skips a case as the others are skipped. */
static inline int attempts_skip(const char *name)
{
    const struct CMUnitTest gives_up = {name, attempts_give_up, NULL, NULL, (void *)(uintptr_t)name};
    return _cmocka_run_group_tests("tests", &gives_up, 1, NULL, NULL) ? 1 : 77;
}

/* Runs one case until it passes, fails undisturbed or has had its attempts, or time is up. `kinds`: disturbances that
 * bear on it. */
static inline int attempts_case(struct watch *watch, const struct CMUnitTest *test, int index, unsigned kinds,
                                uint64_t limit_us)
{
    unsigned lasts = kinds & DISTURBANCES_THAT_EXCUSE;
    for (unsigned i = 1;; i++) {
        struct attempt attempt;
        attempt_run(&attempt, watch, index);
        if (attempt_is_good(&attempt) || !(attempt.seen & kinds))
            return attempt_end(&attempt);
        lasts &= attempt.seen;
        lasts &= lasts ? watch_idle(watch, attempt.took_us) : 0;
        bool last = i == ATTEMPTS_MOST || clock_us() > limit_us;
        if (last && !lasts)
            return attempt_end(&attempt);
        disturbance_say(test->name, attempt.seen & kinds);
        attempt_show(&attempt, "#   ");
        close(attempt.output);
        if (last)
            return attempts_skip(test->name);
    }
}

static inline int attempts_each(struct watch *watch, const struct CMUnitTest *tests, size_t count, unsigned kinds)
{
    size_t failed = 0, skipped = 0;
    uint64_t limit_us = clock_us() + (uint64_t)ATTEMPTS_MOST_S * 1000000;
    for (size_t i = 0; i < count; i++) {
        int status = attempts_case(watch, &tests[i], (int)i, kinds, limit_us);
        failed += status == 1;
        skipped += status == 77;
    }
    return failed ? 1 : skipped == count ? 77 : 0;
}

/* The case that this process is to run, with ATTEMPTS_NO_CASE for all; false in the process that watches. */
static inline bool attempts_told(int *index)
{
    const char *text = getenv(ATTEMPTS_CASE);
    if (text)
        *index = atoi(text);
    unsetenv(ATTEMPTS_CASE); /* what a test runs is not to see it */
    return text;
}

/* Runs all in one child, and once more case by case where that failed and was disturbed. */
static inline int attempts_run(const struct CMUnitTest *tests, size_t count, unsigned kinds)
{
    struct watch watch = {.page = watch_page()};
    struct attempt all;
    attempt_run(&all, &watch, ATTEMPTS_NO_CASE);
    if (attempt_is_good(&all) || !(all.seen & kinds))
        return attempt_end(&all);
    disturbance_say("all, case by case", all.seen & kinds);
    attempt_show(&all, "#   ");
    close(all.output);
    return attempts_each(&watch, tests, count, kinds);
}

#endif
