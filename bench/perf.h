/* SPDX-License-Identifier: MIT */
/*
 * Events counted by perf_event_open(2) for the calling thread, in groups that are on the CPU's counters together. What
 * children of the thread do is not counted. perf_event_open is used only in perf.c.
 */
#ifndef FAULTLINE_PERF_H
#define FAULTLINE_PERF_H

#include <stdint.h>
#include <sys/types.h>

#include "event.h"

enum { PERF_LABEL_SIZE = EVENT_SOURCE_SIZE + 2 };

/* One event that was asked for, and what became of that on this machine. */
struct perf_counter {
    char label[PERF_LABEL_SIZE]; /* as asked for, with ":u" where it was stepped down to user mode */
    const struct event *event;   /* NULL: it is no row of the table */
    struct event_code code;      /* of the source that opened, else of the first that is known here */
    bool encoded, opened, user_only;
    char reason[256]; /* why it was not opened, or "" */
};

struct perf_set {
    struct perf_counter counters[EVENTS_MAX];
    unsigned count;
    uint32_t openable; /* bit n: counters[n] was opened */
};

/*
 * Tries the sources of a name from left to right until one opens on the calling thread: with the kernel, else, where
 * that is refused, in user mode alone. Never fails: why it cannot be had is in the counter.
 */
void perf_find(struct perf_counter *counter, const char *name);

/*
 * The same for a list "a,b", at most EVENTS_MAX of them; an empty one for "". They are tried in a child process: what
 * libpfm4 leaves in memory is not in the way of what is measured in this one, and a system call filter that kills is an
 * answer. -errno with text when there can be no child.
 */
int perf_find_list(struct perf_set *set, const char *names, struct err *err);

/*
 * Counts an opened one while `work` runs on the calling thread. *count: UINT64_MAX when it was never on the counters;
 * *share: time on the CPU's counters ÷ time enabled, may be NULL. 0, or -errno with text.
 */
int perf_try(const struct perf_counter *counter, void (*work)(void), uint64_t *count, double *share, struct err *why);

/* What errno of perf_event_open means, for a person. */
void perf_explain(int code, struct err *why);

/* A group as one worker has it open. */
struct perf_group {
    const struct perf_set *set; /* NULL: none is open */
    uint32_t members;           /* bit n: counters[n] of the set */
    int fds[EVENTS_MAX];        /* -1 */
    uint64_t ids[EVENTS_MAX];
    int errors[EVENTS_MAX]; /* errno of opening */
    int leader;             /* descriptor; -1: nothing could be opened */
};

/* A reading, or a difference of two. */
struct perf_reading {
    uint64_t values[EVENTS_MAX]; /* UINT64_MAX: unknown, errors says why */
    int errors[EVENTS_MAX];      /* errno */
    uint64_t enabled_ns, running_ns;
};

/* Opens the members for the calling thread, stopped. What cannot be opened is in errors. Close with perf_group_close.
 */
void perf_group_open(struct perf_group *group, const struct perf_set *set, uint32_t members);
void perf_group_close(struct perf_group *group);

/*
 * Around the counted work, a system call each; readings are taken outside of them, stopped.
 */
void perf_group_start(const struct perf_group *group);
void perf_group_stop(const struct perf_group *group);
void perf_group_read(const struct perf_group *group, struct perf_reading *reading);

/* after - before, into `after`; unknown where either is, and where the group was never on the counters. */
void perf_reading_subtract(struct perf_reading *after, const struct perf_reading *before);

/* Adds what another worker counted in the same group; times are of the worker that was on the counters least. */
void perf_reading_add(struct perf_reading *into, const struct perf_reading *from);

enum { PERF_PARTS_MAX = 2 };

/*
 * What of a group has to be counted again in smaller ones, into `parts`; how many they are. Members that the kernel
 * refused beside the others become a group of their own; a group that was not on the counters all the time (the kernel
 * had them take turns) is halved, and nothing it counted is of use. 0: it fitted, or cannot be smaller.
 */
unsigned perf_split(uint32_t members, const struct perf_reading *reading, uint32_t parts[PERF_PARTS_MAX]);

/* The system calls; tests put others here. */
struct perf_calls {
    int (*open)(struct perf_event_attr *attr, int leader);
    ssize_t (*read)(int fd, void *bytes, size_t size);
};
extern struct perf_calls perf_calls;

#endif
