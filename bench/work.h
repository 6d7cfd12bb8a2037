/* SPDX-License-Identifier: MIT */
/* What one worker does with the arms of one cell, order by order. How many workers do it at once is crew.h's matter. */
#ifndef FAULTLINE_WORK_H
#define FAULTLINE_WORK_H

#include "channel.h"
#include "counter.h"
#include "histogram.h"
#include "offsets.h"
#include "perf.h"
#include "plan.h"
#include "target.h"

/* What all workers of a cell have in common; filled before the first of them starts, then only read. */
struct work_cell {
    const struct cell *cell;
    const struct target *target;             /* NULL when no arm needs one */
    const struct offsets *offsets[ARMS_MAX]; /* by arm; arms with equal blocks share a list */
    uint64_t starts[ARMS_MAX];               /* first position of each arm in its list: arms begin at disjoint places */
    int crew_fds[ARMS_MAX];                  /* by arm: where it has descriptor_of: crew a descriptor, or -errno */
    struct channel channel;                  /* open where an arm needs one */
    const struct perf_set *events;           /* that can be counted beside; NULL: none were asked for */
    unsigned char *rooms[ARMS_MAX]; /* by arm: where the working set is mapped on which workers meet; NULL: nowhere */
    struct gate *gate;              /* in memory that all workers share */
    unsigned worker_count;
    const unsigned *cpus; /* [worker_count] OS indices; NULL: not bound */
};

enum work_verb {
    WORK_SETUP,
    WORK_RESET,
    WORK_RUN,
    WORK_SUM,
    WORK_EVENTS, /* those of the order are counted too from now on, none of those before it */
    WORK_COUNT,
    WORK_LATENCY,
    WORK_TEARDOWN,
    WORK_MOVE,
    WORK_EXIT,
};

struct work_order {
    enum work_verb verb;
    unsigned arm;
    uint64_t blocks;      /* RESET, RUN, SUM, COUNT: of the batch. LATENCY: of one operation */
    uint64_t unit;        /* SUM: blocks that are summed together; the sums are mixed in order */
    uint64_t operations;  /* LATENCY: at most so many */
    uint64_t limit_ns;    /* LATENCY: and at most about so long */
    uint64_t interval_ns; /* LATENCY: 0 closed; else operations are due this far apart */
    unsigned cpus[2];     /* MOVE: to which the first and the second worker are bound from then on */
    uint32_t events;      /* EVENTS: bit n: events->counters[n]; they are opened as one group */
    bool counts;          /* RUN: what it did is counted too, outside its clock readings */
    bool maps_program;    /* before it: no fault of code is to be among what is counted (program.h) */
};

enum { WORST_COUNT = 8 };

struct work_sample {
    uint64_t t_ns; /* since the pass began */
    uint64_t ns;
};

struct work_latency {
    struct histogram service;              /* end - start */
    struct histogram response;             /* end - due; only in the open form */
    struct work_sample worst[WORST_COUNT]; /* by service, or by response in the open form; largest first */
    unsigned worst_count;
    uint64_t spent_ns; /* in operations */
    uint64_t left_out; /* operations that did not count, by the method's own word */
    const char *fault; /* why, of one of them (static text), or NULL */
};

/* Adds `from` to `into`. */
void work_latency_merge(struct work_latency *into, const struct work_latency *from);

/* In memory shared with the coordinator: a worker may be another process. */
struct work_answer {
    int rc;
    struct err err;
    uint64_t start_ns, finish_ns; /* RUN */
    bool is_company;              /* RUN: that is not timed: it is there for the others (method->timed) */
    uint64_t sum;                 /* SUM */
    bool has_sum;                 /* SUM: false where nothing is left of what was written */
    struct counts counts;         /* COUNT; RUN where asked for */
    struct perf_reading events;   /* the same, of the group that is open, where one is */
    unsigned cpu;                 /* RUN: where it ended */
    const char *fault;            /* RUN: why the method says that it does not count (static text), or NULL */
    struct work_latency latency;  /* LATENCY */
};

struct work; /* one worker's own state */

/* -ENOMEM, or the error of binding. End with work_end, also after a failure (then *work may be NULL). */
int work_begin(struct work **work, const struct work_cell *cell, unsigned worker_index, struct err *err);
void work_end(struct work *work);

/* Carries out one order of this worker; fills the answer, rc included. RUN's clock readings are inside. */
void work_do(struct work *work, const struct work_order *order, struct work_answer *answer);

/* Whether it copies into a destination, or from a source. */
bool work_needs_buffer(const struct arm *arm);

/* Most blocks one batch of this arm may hold. */
uint64_t work_limit(const struct arm *arm);

/* Blocks that a batch of `blocks` really runs: with the surplus. */
uint64_t work_timed_blocks(const struct arm *arm, uint64_t blocks);

/* Blocks by which a batch of this arm can grow: whole passes; 100 where a surplus is to be a share of it. */
uint64_t work_granule(const struct arm *arm);

#endif
