/* SPDX-License-Identifier: MIT */
/* The contract of a method, and the generated table of all of them. */
#ifndef FAULTLINE_METHOD_H
#define FAULTLINE_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "params.h"

struct channel;
struct target;

/* Where workers wait for each other (shared_meet); all zero at first. */
struct gate {
    _Atomic uint64_t arrived, opened;
};

/*
 * One worker at one arm: everything run() may touch. Filled by the harness except where it says so.
 * Offsets lie in [0, working_set_bytes - block_bytes].
 */
struct worker {
    const struct params *params;
    const struct target *target;
    const uint64_t *offsets; /* [offset_count], access order, wraps at its end */
    uint64_t offset_count;
    uint64_t cursor;   /* next position in offsets; run() advances it */
    uint64_t sum;      /* sink and checksum; run() adds to it */
    unsigned consumer; /* enum consumer: params->consumer, or sum in the checksum pass */
    bool writes;       /* method_writes: descriptors are opened for writing too */
    int fd;            /* of the target; the method's own when it opens one */
    int crew_fd;       /* the open file description that all workers share (descriptor_of: crew), or -errno */
    unsigned index;    /* which of the workers it is … */
    unsigned count;    /* … of how many */
    /* When its own work of the batch began and ended, where run() does more than that, for the sake of the others; 0:
     * as it was called, and as it returned. Cleared before each batch. */
    uint64_t begun_ns, done_ns;
    unsigned char *room; /* the working set as workers that meet have it mapped, at one address; NULL: nowhere yet */
    struct gate *gate;   /* of all workers; NULL for a single one */
    const struct channel *channel; /* between two workers, for methods that NEED_CHANNEL */
    uint64_t sharers;              /* workers that advance one file position together; 1 in the checksum pass */
    const char *fault;             /* run() may say why its batch does not count, or has failed (static text) */
    unsigned char *base;           /* the method's mapping, or NULL */
    size_t base_bytes;
    unsigned char *buffer; /* destination of reads, source of writes, by params->buffer; NULL: none is needed */
    size_t buffer_bytes;   /* a whole number of steps */
    size_t buffer_step;    /* from one destination to the next: a block, in whole pages where each must be untouched */
    size_t buffer_next;    /* next destination in it */
    void *own;             /* the method's own memory */
    uint64_t untold;       /* of the counters that the method tells, those that it cannot tell on this machine */
};

/* Told by laps() of each operation, or of `count` that cannot be told apart, when it began and ended. */
struct laps {
    void (*keep)(struct laps *, uint64_t begin_ns, uint64_t end_ns, unsigned count);
};

enum {
    NEEDS_FILE = 1,       /* works on a target */
    NEEDS_BUFFER = 2,     /* copies into a destination buffer, or from a source */
    NEEDS_NAME = 4,       /* may open the target by name within the timed region */
    NEEDS_ORDER = 8,      /* can only visit blocks front to back */
    NEEDS_WRITE = 16,     /* always writes to the target; others do when access: store says so (arm_writes) */
    MOVES_NOTHING = 32,   /* visits blocks, but none of their bytes come: there is nothing to sum or to have fetched */
    BREAKS_COPIES = 64,   /* breaks what is copied on write: needs memory that is private and stored to */
    FORKS = 128,          /* copies what the whole process has: one thread would copy what another works on */
    PAGES_ONCE = 256,     /* comes by each page once: its steps are whole pages (mapping_check_steps) */
    NEEDS_CHANNEL = 1024, /* of which some kinds go through the kernel (channel.h) */
    NEEDS_PAIR = 512,     /* is what two workers do to each other: neither can go through an order alone */
    NEEDS_CROWD = 2048,   /* is what two or more do to each other */
    ONLY_STORES = 4096,   /* stores to what it maps, and means nothing with access: load */
    ADDS_UP = 8192,       /* visits no blocks, yet its operations bring bytes that come to a sum */
};

struct method {                  /* one static const object per file under bench/methods, named method_STEM */
    const char *name, *measures; /* stem; one line for `faultline list methods` */
    unsigned version;            /* rises when what is timed changes */
    unsigned needs;              /* checked by the plan, not while running */
    field_set uses;              /* FIELD_BIT of every ARM and STATE field that has a meaning for it */
    uint64_t (*limit)(const struct params *); /* most blocks that one batch may hold; NULL: any number */
    /* Pages of the working set that reset leaves dirty, at least (a folio is dirty as a whole); 0 or NULL: none. */
    uint64_t (*dirties)(const struct params *);
    /* Bytes that one operation is about; 0: about none. NULL: those of its blocks, where it moves them, else 0. */
    uint64_t (*op_bytes)(const struct params *);
    /* Bytes of memory of its own that it fills, at most. NULL: the working set where it needs no file, else none. */
    uint64_t (*memory)(const struct params *);
    /* VMAs that it has at once, at most, made by setup or by a batch. NULL: a few. */
    uint64_t (*vmas)(const struct params *);
    uint64_t tells; /* COUNTER_BIT of the counters of sources METHOD and STATUS that it tells; the others are unknown */
    /* After a batch that is counted, outside of what is timed and of what the CPU counts: adds to counter_method what
     * has to be looked up for it, or makes it untold. May be NULL. */
    void (*tell)(struct worker *);
    bool fills; /* that memory is filled by setup, once; else by each reset, where there is one */
    bool maps;  /* setup maps the working set and loads from each page, whatever `lifetime` says */
    /* Rough ns of one block, and of a reset for that many; only for the plan's estimate. NULL: the plan's own guess. */
    uint64_t (*block_ns)(const struct params *);
    uint64_t (*reset_ns)(const struct params *, uint64_t blocks);
    /* Untimed, once per trial; may allocate. -EOPNOTSUPP: this machine cannot do it; other errors: it failed. May be
     * NULL. */
    int (*setup)(struct worker *, struct err *);
    /* Untimed, before each batch of that many blocks: restores the state the batch consumes. May be NULL. */
    int (*reset)(struct worker *, uint64_t blocks, struct err *);
    int (*run)(struct worker *, uint64_t blocks); /* timed: nothing but the operation; 0 or -errno */
    /* What run() does, operation by operation; for workers that meet, whose operations are no runs of their own. NULL:
     * they cannot be timed one by one. */
    int (*laps)(struct worker *, uint64_t blocks, struct laps *);
    void (*teardown)(struct worker *); /* safe after a failed setup; may be NULL */
    /* Whether the work of that worker is timed and counted; the others are only there for it. NULL: each worker's is.
     */
    bool (*timed)(const struct params *, unsigned index);
};

/* What every method that visits blocks understands. */
#define USES_WORK (FIELD_BIT(block_bytes) | FIELD_BIT(touches) | FIELD_BIT(surplus))

extern const struct method *const method_table[]; /* generated from the file names; ends with NULL */

/* Whether it visits blocks of the target: only then is there something to sum, and are blocks the same work. */
bool method_visits(const struct method *method, const struct params *params);

/* Whether its operations come to a sum, by which arms are compared: those of blocks, and of whatever ADDS_UP. */
bool method_sums(const struct method *method, const struct params *params);

/* The `memory` of a method that works on none. */
uint64_t method_no_memory(const struct params *params);

/* The `op_bytes` of a method each of whose operations is about range_bytes. */
uint64_t method_range_bytes(const struct params *params);

/* Bytes that one operation is about, as records have them; 0: about none. */
uint64_t method_op_bytes(const struct method *method, const struct params *params);

/* Whether it needs the target: not where the memory is anonymous. */
bool method_needs_file(const struct method *method, const struct params *params);

/* Whether it changes the target's contents. Stores to a private mapping do not. */
bool method_writes(const struct method *method, const struct params *params);

/* Whether it is what workers do to each other: they go through an order together, or not at all. */
bool method_meets(const struct method *method);

/* How many of the workers are timed. */
uint64_t method_timed_workers(const struct method *method, const struct params *params);

/* The method of that name, or NULL. */
const struct method *method_find(const char *name);

/* Blocks that cannot be separated: `touches` when the mapping or the descriptor lives per pass or a sync ends it,
 * else 1.
 */
uint64_t params_granule(const struct params *params);

/* Whether something begins and ends with each pass of `touches` blocks. */
bool params_has_passes(const struct params *params);

/* Blocks of one operation: `touches` with per: pass, else 1. */
uint64_t params_blocks_per_op(const struct params *params);

/*
 * Whether the file is nothing but memory: its pages are never written back, and the kernel does not count them dirty.
 */
bool params_is_memory(const struct params *params);

#endif
