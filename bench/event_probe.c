/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "event_probe.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf.h"

enum { DEADLINE_S = 20, WORK_PAGES = 16, WORK_ROUNDS = 20000 };

/* In memory shared with the child that fills it. */
struct found {
    bool given;
    struct perf_counter counter;
    double share;
};

/* Some of everything that a thread can do alone: faults, a system call, some 50 us of computing. */
static void work(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *base = mmap(NULL, WORK_PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < WORK_PAGES && base != MAP_FAILED; i++)
        base[i * page] = 1;
    if (base != MAP_FAILED)
        munmap(base, WORK_PAGES * page);
    for (volatile unsigned i = 0; i < WORK_ROUNDS; i++)
        ;
}

static void find_one(struct found *found, const char *name)
{
    struct err why = {0};
    uint64_t count;
    perf_find(&found->counter, name);
    if (found->counter.opened && perf_try(&found->counter, work, &count, &found->share, &why)) {
        found->counter.opened = false;
        snprintf(found->counter.reason, sizeof found->counter.reason, "%.250s", why.text);
    }
    found->given = true;
}

static int find_in_child(struct found *found, int *status, struct err *err)
{
    pid_t child = fork();
    if (child < 0)
        return err_sys(err, "fork");
    if (child == 0) {
        signal(SIGSYS, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        alarm(DEADLINE_S);
        for (unsigned i = 0; i < EVENT_COUNT; i++)
            find_one(&found[i], event_table[i].name);
        _exit(0); /* the program's own way out would write its buffers twice */
    }
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "waitpid");
    return 0;
}

static json_t *found_json(const struct found *found, int status)
{
    const struct perf_counter *counter = &found->counter;
    char reason[sizeof counter->reason];
    snprintf(reason, sizeof reason, "%s", counter->reason);
    if (!found->given)
        snprintf(reason, sizeof reason, "trying it ended the process: %s",
                 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it exited");
    bool opened = found->given && counter->opened;
    return json_pack(
        "{s:o, s:b, s:b, s:b, s:o, s:o}", "event", counter->encoded ? json_string(counter->code.name) : json_null(),
        "encoded", counter->encoded, "opened", opened, "user_only", counter->user_only, "counted",
        opened ? json_real(found->share) : json_null(), "reason", opened ? json_null() : json_string(reason));
}

json_t *event_probe_all(struct err *err)
{
    json_t *counters = NULL;
    int status = 0;
    size_t bytes = EVENT_COUNT * sizeof(struct found);
    struct found *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) {
        err_sys(err, "mmap");
        return NULL;
    }
    if (find_in_child(found, &status, err) == 0)
        counters = json_object();
    for (unsigned i = 0; counters && i < EVENT_COUNT; i++)
        json_object_set_new(counters, event_table[i].name, found_json(&found[i], status));
    munmap(found, bytes);
    return counters;
}

static const char *yes_or_no(const json_t *row, const char *key)
{
    return json_is_true(json_object_get(row, key)) ? "yes" : "no";
}

void event_probe_print(const json_t *counters, FILE *out)
{
    const char *name;
    json_t *row;
    fprintf(out, "%-20s %-7s %-6s %-9s %-7s %s\n", "counter", "encoded", "opened", "user only", "counted",
            "event, or why not");
    json_object_foreach((json_t *)(uintptr_t)counters, name, row)
    {
        char counted[16] = "";
        const char *why = json_string_value(json_object_get(row, "reason"));
        const char *event = json_string_value(json_object_get(row, "event"));
        if (!why)
            snprintf(counted, sizeof counted, "%.0f %%", json_number_value(json_object_get(row, "counted")) * 100);
        fprintf(out, "%-20s %-7s %-6s %-9s %-7s %s\n", name, yes_or_no(row, "encoded"), yes_or_no(row, "opened"),
                why ? "" : yes_or_no(row, "user_only"), counted, why ? why : event);
    }
}
