/* SPDX-License-Identifier: MIT */
/* One cell of one trial: checksum pass, calibration, warm-up, timed rounds, counting pass, latency pass. */
#ifndef FAULTLINE_MEASURE_H
#define FAULTLINE_MEASURE_H

#include "clock.h"
#include "covariate.h"
#include "crew.h"
#include "matrix.h"
#include "schedule.h"
#include "turn.h"

struct batch_sample { /* what one batch did, with timeline: yes; counts are UINT64_MAX where unknown */
    uint64_t t_ns;    /* when it began, since the first timed round did */
    uint64_t ns, ops, read_bytes, major_faults, refaults;
    uint64_t stretch; /* which uninterrupted run of this arm's batches it belongs to: 0, under a memory limit 0 or 1 */
};

struct event_count { /* of the counting pass, all workers together */
    uint64_t value;  /* UINT64_MAX: unknown */
    double share;    /* time on the CPU's counters ÷ time of the pass, of the worker with least; never scaled with */
    unsigned pass;   /* which counting pass of the arm it is from: groups that do not fit together take several */
    int error;       /* errno of opening or reading, 0 */
};

enum arm_status { ARM_OK, ARM_FAILED, ARM_UNSUPPORTED, ARM_SKIPPED };

struct arm_result {
    enum arm_status status;
    char reason[sizeof((struct err *)0)->text]; /* "" when ok */
    uint64_t ops;                               /* per batch, of one worker; the record has the sum over workers */
    uint64_t bytes_per_op;
    uint64_t *batch_ns;                   /* [rounds] */
    unsigned *order;                      /* [rounds] slot in which the arm ran */
    uint64_t *worker_ns;                  /* [workers][room], or NULL for a single worker */
    struct batch_sample *samples;         /* [rounds], or NULL without timeline: yes */
    bool has_sum, has_counts, has_events; /* events: a counting pass that knows of them was made */
    uint64_t sum, count_ops;
    struct counts counts;
    struct event_count *events;   /* [events->count of the cell_result], or NULL when none were asked for */
    struct work_latency *latency; /* NULL: latency_reason says why */
    char latency_reason[128];
    struct page_state before, after; /* the worst seen around accepted batches: fewest pages for warm, most for cold */
    bool has_state;
    uint64_t cpus;       /* bit n: a batch ended on CPU n (the last bit: on any from 63 up) */
    unsigned setup_turn; /* set up first (1), second …; 0: anew for each stretch of batches */
};

struct node_pages { /* a memory node by its OS index, and pages of the working set on it */
    unsigned node;
    uint64_t pages;
};

struct cell_result {
    unsigned rounds, warmup_rounds;
    unsigned room;           /* for rounds */
    const char **voided;     /* [rounds] why the round does not count, or NULL */
    unsigned *voided_by;     /* [rounds] index of the arm that showed it */
    struct arm_result *arms; /* [arm_count] */
    unsigned arm_count;
    const unsigned *cpus; /* [cpu_count] to which workers were bound, proven after each batch; NULL: unbound */
    unsigned cpu_count;
    const struct visit *visits; /* [visit_count] to which pairs of CPUs, in the order of the rounds; borrowed */
    unsigned visit_count;
    bool moved;               /* from one to the next: `cpus` are only where they began */
    struct node_pages *homes; /* [home_count] on which memory nodes the working set lay; NULL: not asked for */
    unsigned home_count;
    const char *witness; /* "cachestat" or "mincore": who saw the page cache; NULL: no file */
    uint64_t signature_pages, signature_faults, signature_faults_after; /* see target_signature; pages 0: not taken */
    uint64_t memory_limit;         /* of the own control group, as the kernel reads it back; 0: none was asked for */
    struct covariates covariates;  /* over the timed rounds */
    const struct perf_set *events; /* that were asked for; NULL: none */
};

struct measure_request {
    const struct plan *plan;
    const struct cell *cell;
    struct target *target; /* NULL when no arm needs one */
    const unsigned *cpus;  /* [workers], or NULL */
    struct visit
        *visits; /* [visit_count] of two workers; `rounds` and `t_ns` of each are filled in; NULL: none known */
    unsigned visit_count;
    unsigned visit_rounds; /* of each visit, to all of which the workers move in turn; 0: they stay where they are */
    const unsigned *nodes; /* [node_count] on which memory nodes pages are to lie, by memory_node; NULL: anywhere */
    unsigned node_count;
    uint64_t seed;                 /* of the orders: offsets, rounds */
    const uint64_t *ops;           /* [arm_count] operations per batch; NULL: calibrate */
    unsigned rounds;               /* 0: as arm_time says */
    const struct perf_set *events; /* to be counted beside what always is; NULL: none */
    struct turn turn;
    struct clock_quality clock;
    uint64_t empty_batch_ns;
    volatile uint32_t *arm_now; /* kept up to date for whoever has to explain a crash; may be NULL */
};

/*
 * Measures the cell. What goes wrong with one arm is in that arm's result and the others go on; an error is returned
 * only when nothing could be measured at all. Free the result with measure_free.
 */
int measure_cell(const struct measure_request *request, struct cell_result *result, struct err *err);
void measure_free(struct cell_result *result);

/* Room for the results of that many rounds of each arm. -ENOMEM with text. Free with measure_free, also then. */
int measure_make_room(struct cell_result *result, const struct cell *cell, unsigned rounds, struct err *err);

/* Time of a batch of nothing: two clock readings and a call. Median of some. */
uint64_t measure_empty_batch(void);

#endif
