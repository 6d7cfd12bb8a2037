/* SPDX-License-Identifier: MIT */
/* Counts of what the kernel did for the calling thread. The counters are rows of counters.def. */
#ifndef FAULTLINE_COUNTER_H
#define FAULTLINE_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "target.h"

enum counter_id {
#define COUNTER(name, unit, direction, exactness, source, event, doc) COUNTER_##name,
#include "counters.def"
#undef COUNTER
    COUNTER_COUNT
};

enum counter_direction { COUNTER_LESS, COUNTER_NEITHER };
enum counter_exactness { COUNTER_EXACT, COUNTER_TIMED };

struct counter {
    const char *name, *unit, *doc, *source, *event;
    enum counter_direction direction;
    enum counter_exactness exactness;
};

extern const struct counter counter_table[COUNTER_COUNT];

/* Whether it counts what a device did, for whomever, and not what the calling thread did. */
bool counter_is_device(enum counter_id id);

/* Minor faults that children took for the calling thread: the kernel counts them elsewhere, so the method adds them. */
extern _Thread_local uint64_t counter_child_minor_faults;

/* What only the calling thread's method knows, each ever rising: the rows of source METHOD name the members. */
struct method_counts {
    uint64_t retries;          /* times an operation was begun again */
    uint64_t occurred;         /* times that what an operation looks for was so */
    uint64_t given_back_bytes; /* memory that an operation returned to the kernel */
};
extern _Thread_local struct method_counts counter_method;

/* One reading, or a difference of two. UINT64_MAX: unknown here. */
struct counts {
    uint64_t values[COUNTER_COUNT];
};

#define COUNTER_BIT(name) (UINT64_C(1) << COUNTER_##name)

/*
 * Makes unknown what only a method knows, or is of its making, but for the counters of those bits, which it tells; and
 * what is of a whole process (STATUS) unless the calling thread is its only worker.
 */
void counter_forget_untold(struct counts *counts, uint64_t told, bool is_alone);

/* Descriptors of the calling thread's own sources, opened before anything is counted. */
struct counter_sources {
    int io, schedstat;           /* -1 when not to be had */
    int interrupts;              /* /proc/interrupts; -1 */
    int status;                  /* /proc/self/status; -1 */
    int workingset;              /* memory.stat of the own control group, or /proc/vmstat; -1 */
    const struct target *target; /* for the device; NULL: none */
};

/* Where refaults are read, as a path: the first of the places that has them; NULL when none has. Static text. */
const char *counter_refault_source(void);

/* Opens what there is to open for the calling thread; close with counter_close. Never fails: what is missing is
 * unknown. */
void counter_open(struct counter_sources *sources, const struct target *target);
void counter_close(struct counter_sources *sources);

/*
 * Readings around the counted work. The faults and switches are read closest to it, so that reading the other sources
 * is not counted.
 */
void counter_read_before(const struct counter_sources *sources, struct counts *counts);
void counter_read_after(const struct counter_sources *sources, struct counts *counts);

/* after - before, into `after`; unknown where either is, or where there is less than before: the memory of a process
 * may shrink, and no count says by how much. */
void counter_subtract(struct counts *after, const struct counts *before);

/* Adds what another worker counted. */
void counter_add(struct counts *into, const struct counts *from);

#endif
