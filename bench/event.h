/* SPDX-License-Identifier: MIT */
/* What can be counted when asked for, and how perf_event_open is told. libpfm4 is used only in event.c. */
#ifndef FAULTLINE_EVENT_H
#define FAULTLINE_EVENT_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>

#include "counter.h"
#include "err.h"

enum event_id {
#define EVENT(name, unit, direction, exactness, sources, doc) EVENT_##name,
#include "events.def"
#undef EVENT
    EVENT_COUNT
};

struct event {
    const char *name, *unit, *sources, *doc;
    enum counter_direction direction;
    enum counter_exactness exactness;
};

extern const struct event event_table[EVENT_COUNT];

enum {
    EVENT_SOURCE_SIZE = 256,
    EVENTS_MAX = 32, /* that can be asked for at once: bits of a group's members */
};

/* One source, resolved. */
struct event_code {
    struct perf_event_attr attr;  /* size, type, config and config1 to config3, exclude_* and nothing else */
    char name[EVENT_SOURCE_SIZE]; /* in full: what libpfm4 made of it, or the source itself */
    bool kernel_only;             /* it happens in the kernel alone: counted in user mode it would be a false 0 */
};

/* The row of that name, or NULL. */
const struct event *event_find(const char *name);

/* Sources of a name: its row's, or the name itself. */
const char *event_sources(const char *name);

/* Takes the first source off the list; false at its end. Longer ones than `size` are cut. */
bool event_next_source(const char **list, char *source, size_t size);

/*
 * Resolves one source. -ENOENT with text when it is unknown here or to this CPU, -ENOTSUP when this build lacks
 * libpfm4, -EACCES when tracefs is closed to us. The first name of libpfm4 costs 2 to 20 ms; libpfm4 is not
 * thread-safe.
 */
int event_encode(const char *source, struct event_code *code, struct err *why);

/*
 * Whether a list "a,b" of names may be asked for: each is a row, a tracepoint:SYSTEM:NAME or an event that libpfm4
 * knows on this CPU, none comes twice and there are at most EVENTS_MAX. -EINVAL with text. That it can be opened is
 * another matter.
 */
int event_check_list(const char *names, struct err *err);

/* Takes the first name off a list "a,b"; false at its end. Longer ones than `size` are cut. */
bool event_next_name(const char **list, char *name, size_t size);

/* Name of a set variable that has libpfm4 encode for another CPU than this one, or NULL. */
const char *event_other_cpu(void);

#endif
