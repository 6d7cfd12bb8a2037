/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "counter.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cgroup.h"
#include "interrupts.h"

#define COUNTER(name, unit, direction, exactness, source, event, doc)                                                  \
    {#name, unit, doc, #source, #event, COUNTER_##direction, COUNTER_##exactness},
const struct counter counter_table[COUNTER_COUNT] = {
#include "counters.def"
};
#undef COUNTER

_Thread_local uint64_t counter_child_minor_faults;
_Thread_local struct method_counts counter_method;

/* What one look at a source yields; a row of the table picks a member or a key out of it. */
struct view {
    struct rusage usage;
    char io[512];
    char schedstat[128];
    char workingset[1 << 13];
    char status[1 << 12];
    struct device_bytes device;
    uint64_t tlb;
};

bool counter_is_device(enum counter_id id)
{
    return strcmp(counter_table[id].source, "DEVICE") == 0;
}

static void read_text(int fd, char *text, size_t size)
{
    ssize_t done = fd < 0 ? 0 : pread(fd, text, size - 1, 0);
    text[done > 0 ? done : 0] = '\0';
}

static void view_files(const struct counter_sources *sources, struct view *view)
{
    read_text(sources->io, view->io, sizeof view->io);
    read_text(sources->schedstat, view->schedstat, sizeof view->schedstat);
    read_text(sources->workingset, view->workingset, sizeof view->workingset);
    read_text(sources->status, view->status, sizeof view->status);
    view->tlb = interrupts_sum(sources->interrupts, "TLB");
    view->device = sources->target ? target_device_bytes(sources->target)
                                   : (struct device_bytes){UINT64_MAX, UINT64_MAX};
}

/* "key: number" at the start of a line. */
static uint64_t io_value(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            return strtoull(line + length + 1, NULL, 10);
        if (*line == '\0')
            break;
    }
    return UINT64_MAX;
}

/* "key: number kB" */
static uint64_t status_value(const char *text, const char *key)
{
    uint64_t kib = io_value(text, key);
    return kib == UINT64_MAX ? UINT64_MAX : kib * 1024;
}

/* "cpu_time run_delay slices" */
static uint64_t schedstat_run_delay(const char *text)
{
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) : UINT64_MAX;
}

/* "key number" at the start of a line. Before Linux 5.9 anonymous pages were not told apart: there was one key. */
static uint64_t workingset_refault_file(const char *text)
{
    static const char *const keys[] = {"workingset_refault_file ", "workingset_refault "};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (const char *line = text; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (strncmp(line, keys[i], strlen(keys[i])) == 0)
                return strtoull(line + strlen(keys[i]), NULL, 10);
        }
    return UINT64_MAX;
}

static bool tells_refaults(const char *path)
{
    char text[sizeof((struct view *)0)->workingset];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    read_text(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return workingset_refault_file(text) != UINT64_MAX;
}

static char refault_source[sizeof((struct cgroup *)0)->path + 16];

static void find_refault_source(void)
{
    struct cgroup cgroup;
    struct err ignored;
    static const char *const controllers[] = {"memory", NULL};
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        if (cgroup_find("", controllers[i], &cgroup, &ignored))
            continue;
        snprintf(refault_source, sizeof refault_source, "%s/memory.stat", cgroup.path);
        if (tells_refaults(refault_source))
            return;
    }
    snprintf(refault_source, sizeof refault_source, "%s", tells_refaults("/proc/vmstat") ? "/proc/vmstat" : "");
}

const char *counter_refault_source(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* a process stays in the group that it began in */
    pthread_once(&once, find_refault_source);
    return refault_source[0] ? refault_source : NULL;
}

#define VALUE_RUSAGE(view, event) ((uint64_t)(view)->usage.event)
#define VALUE_PROC_IO(view, event) io_value((view)->io, #event)
#define VALUE_DEVICE(view, event) ((view)->device.event)
#define VALUE_SCHEDSTAT(view, event) schedstat_##event((view)->schedstat)
#define VALUE_INTERRUPTS(view, event) ((view)->event)
#define VALUE_CHILD(view, event) (counter_child_##event)
#define VALUE_METHOD(view, event) (counter_method.event)
#define VALUE_STATUS(view, event) status_value((view)->status, #event)
#define VALUE_WORKINGSET(view, event) workingset_##event((view)->workingset)

static void evaluate(const struct view *view, struct counts *counts)
{
#define COUNTER(name, unit, direction, exactness, source, event, doc)                                                  \
    counts->values[COUNTER_##name] = VALUE_##source(view, event);
#include "counters.def"
#undef COUNTER
}

void counter_open(struct counter_sources *sources, const struct target *target)
{
    sources->io = open("/proc/thread-self/io", O_RDONLY | O_CLOEXEC);
    sources->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    sources->interrupts = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
    sources->status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    sources->workingset = -1;
    if (counter_refault_source())
        sources->workingset = open(counter_refault_source(), O_RDONLY | O_CLOEXEC);
    sources->target = target;
}

void counter_close(struct counter_sources *sources)
{
    if (sources->io >= 0)
        close(sources->io);
    if (sources->schedstat >= 0)
        close(sources->schedstat);
    if (sources->workingset >= 0)
        close(sources->workingset);
    if (sources->interrupts >= 0)
        close(sources->interrupts);
    if (sources->status >= 0)
        close(sources->status);
    sources->io = sources->schedstat = sources->workingset = sources->interrupts = sources->status = -1;
}

void counter_read_before(const struct counter_sources *sources, struct counts *counts)
{
    struct view view;
    view_files(sources, &view);
    getrusage(RUSAGE_THREAD, &view.usage); /* a first call, whose own faults are not those of the work */
    getrusage(RUSAGE_THREAD, &view.usage);
    evaluate(&view, counts);
    /* What evaluate touched for the first time must not be billed to the work either, as a fault or as memory. */
    read_text(sources->status, view.status, sizeof view.status);
    getrusage(RUSAGE_THREAD, &view.usage);
    evaluate(&view, counts);
}

void counter_read_after(const struct counter_sources *sources, struct counts *counts)
{
    struct view view;
    getrusage(RUSAGE_THREAD, &view.usage);
    view_files(sources, &view);
    evaluate(&view, counts);
}

void counter_subtract(struct counts *after, const struct counts *before)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        bool known = after->values[i] != UINT64_MAX && before->values[i] <= after->values[i];
        after->values[i] = known ? after->values[i] - before->values[i] : UINT64_MAX;
    }
}

void counter_forget_untold(struct counts *counts, uint64_t told, bool is_alone)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const char *source = counter_table[i].source;
        bool of_process = strcmp(source, "STATUS") == 0, of_method = strcmp(source, "METHOD") == 0;
        bool is_told = told & UINT64_C(1) << i && (is_alone || !of_process);
        if ((of_process || of_method) && !is_told)
            counts->values[i] = UINT64_MAX;
    }
}

/* All workers look at the same one. */
static bool is_common(const struct counter *counter)
{
    static const char *const sources[] = {"DEVICE", "WORKINGSET", "INTERRUPTS"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strcmp(counter->source, sources[i]) == 0)
            return true;
    return false;
}

void counter_add(struct counts *into, const struct counts *from)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (is_common(&counter_table[i]))
            into->values[i] = into->values[i] > from->values[i] ? into->values[i] : from->values[i];
        else if (into->values[i] != UINT64_MAX && from->values[i] != UINT64_MAX)
            into->values[i] += from->values[i];
        else
            into->values[i] = UINT64_MAX;
}
