/* SPDX-License-Identifier: MIT */
/* What the parts of measuring a cell share: batch.c runs one batch, passes.c the untimed passes, measure.c the rest. */
#ifndef FAULTLINE_MEASURE_PARTS_H
#define FAULTLINE_MEASURE_PARTS_H

#include "measure.h"

/* What is known while a cell is measured. */
struct bench {
    const struct measure_request *request;
    const struct cell *cell;
    struct cell_result *result;
    struct crew *crew;
    struct work_cell work;
    const unsigned *cpus; /* [workers] where they are bound now; NULL: nowhere */
    struct offsets lists[ARMS_MAX];
    unsigned list_count;
    bool cold;    /* arms are set up around each batch, after evicting */
    bool limited; /* under a memory limit: arms are set up one at a time, each from the same state of the cache */
    bool writes;  /* some arm changes the target or what of it is dirty */
    bool state_known;
    struct page_state state;      /* after the last batch, which is before the next */
    int io;                       /* /proc/self/io, for cold batches */
    uint64_t begin_ns;            /* when the first timed round began */
    uint64_t warm_ns[ARMS_MAX];   /* of the batches of the warm-up */
    unsigned warm_long[ARMS_MAX]; /* of them: far longer than meant */
};

bool arm_needs_file(const struct arm *arm);
bool arm_sums(const struct arm *arm);
bool arm_ok(const struct bench *bench, unsigned a);
void arm_fail(struct bench *bench, unsigned a, int rc, const struct err *err);

/* Gives one arm's order to the crew; an error fails the arm and is returned. */
int arm_do(struct bench *bench, unsigned a, const struct work_order *order);
int arm_do_blocks(struct bench *bench, unsigned a, enum work_verb verb, uint64_t blocks);

/* Blocks by which a batch can grow; most blocks of one batch, in whole granules. */
uint64_t arm_granule(const struct bench *bench, unsigned a);
uint64_t arm_limit(const struct bench *bench, unsigned a);
uint64_t arm_timed_workers(const struct bench *bench, unsigned a);

/*
 * One batch of an arm: prepare, prove, run, prove. *ns is its time; *fault says why it does not count (static text), or
 * is NULL. Non-zero when the arm failed.
 */
int batch_run(struct bench *bench, unsigned a, uint64_t blocks, uint64_t *ns, const char **fault);

/* Why the last batch does not count: a worker that ran elsewhere than it was bound to, or that says so. NULL: it does.
 */
const char *batch_worker_fault(const struct bench *bench);

/*
 * Brings the working set back to what the cell demands, dirty or clean, where an arm before may have changed that:
 * untimed, for every arm alike. An error fails the arm and is returned.
 */
int batch_restore(struct bench *bench, unsigned a);

/* Whether batches are counted as well as timed: for a time line, and under a memory limit. */
bool batch_counts(const struct bench *bench);

/* A warm cell that lost pages gets them back before the next batch; the recipe's signature will tell if that mended it.
 */
void batch_mend(struct bench *bench);

/*
 * Sets an arm up where arms are set up one at a time, which is where the cell is cold or under a memory limit; else
 * nothing. `evict`: after emptying the page cache of the target and, under a limit, reading the working set once from
 * front to back: what is cached then is its end, as far as the limit goes, and what had to leave is known to the
 * kernel.
 */
int batch_arm_begin(struct bench *bench, unsigned a, bool evict);
void batch_arm_end(struct bench *bench, unsigned a);

/* The passes, for every arm that is ok; what goes wrong is in the arm's result. */
void pass_checksum(struct bench *bench);
void pass_counts(struct bench *bench);
void pass_latency(struct bench *bench);

/* The recipe's signature before the cell (an error) and after it (arms are skipped when it has changed). */
int pass_signature_before(struct bench *bench, struct err *err);
void pass_signature_after(struct bench *bench);

#endif
