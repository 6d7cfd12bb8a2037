/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "counter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNTER(name, unit, direction, exactness, source, event, doc)                                                  \
    {#name, unit, doc, #source, #event, COUNTER_##direction, COUNTER_##exactness},
const struct counter counter_table[COUNTER_COUNT] = {
#include "counters.def"
};
#undef COUNTER

/* What one look at a source yields; a row of the table picks a member or a key out of it. */
struct view {
    struct rusage usage;
    char io[512];
    char schedstat[128];
    uint64_t device;
};

static void read_text(int fd, char *text, size_t size)
{
    ssize_t done = fd < 0 ? 0 : pread(fd, text, size - 1, 0);
    text[done > 0 ? done : 0] = '\0';
}

static void view_files(const struct counter_sources *sources, struct view *view)
{
    read_text(sources->io, view->io, sizeof view->io);
    read_text(sources->schedstat, view->schedstat, sizeof view->schedstat);
    view->device = sources->target ? target_device_read_bytes(sources->target) : UINT64_MAX;
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

/* "cpu_time run_delay slices" */
static uint64_t schedstat_run_delay(const char *text)
{
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) : UINT64_MAX;
}

#define VALUE_RUSAGE(view, event) ((uint64_t)(view)->usage.event)
#define VALUE_PROC_IO(view, event) io_value((view)->io, #event)
#define VALUE_DEVICE(view, event) ((view)->device)
#define VALUE_SCHEDSTAT(view, event) schedstat_##event((view)->schedstat)

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
    sources->target = target;
}

void counter_close(struct counter_sources *sources)
{
    if (sources->io >= 0)
        close(sources->io);
    if (sources->schedstat >= 0)
        close(sources->schedstat);
    sources->io = sources->schedstat = -1;
}

void counter_read_before(const struct counter_sources *sources, struct counts *counts)
{
    struct view view;
    view_files(sources, &view);
    getrusage(RUSAGE_THREAD, &view.usage); /* a first call, whose own faults are not those of the work */
    getrusage(RUSAGE_THREAD, &view.usage);
    evaluate(&view, counts);
    /* What evaluate touched for the first time must not be billed to the work either. */
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
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (after->values[i] != UINT64_MAX && before->values[i] != UINT64_MAX)
            after->values[i] -= before->values[i];
        else
            after->values[i] = UINT64_MAX;
}

void counter_add(struct counts *into, const struct counts *from)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (strcmp(counter_table[i].source, "DEVICE") == 0) /* all workers look at the same one */
            into->values[i] = into->values[i] > from->values[i] ? into->values[i] : from->values[i];
        else if (into->values[i] != UINT64_MAX && from->values[i] != UINT64_MAX)
            into->values[i] += from->values[i];
        else
            into->values[i] = UINT64_MAX;
}
