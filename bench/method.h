/* SPDX-License-Identifier: MIT */
/* The contract of a method, and the generated table of all of them. */
#ifndef FAULTLINE_METHOD_H
#define FAULTLINE_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "params.h"

struct target;

/*
 * One worker at one arm: everything run() may touch. Filled by the harness except where it says so.
 * Offsets lie in [0, working_set_bytes - block_bytes].
 */
struct worker {
    const struct params *params;
    const struct target *target;
    const uint64_t *offsets; /* [offset_count], access order, wraps at its end */
    uint64_t offset_count;
    uint64_t cursor;     /* next position in offsets; run() advances it */
    uint64_t sum;        /* sink and checksum; run() adds to it */
    unsigned consumer;   /* enum consumer: params->consumer, or sum in the checksum pass */
    int fd;              /* of the target, open for reading; the method's own when it opens one */
    unsigned char *base; /* the method's mapping, or NULL */
    size_t base_bytes;
    unsigned char *buffer; /* destination region, by params->buffer; NULL when the method needs none */
    size_t buffer_bytes;   /* a whole number of steps */
    size_t buffer_step;    /* from one destination to the next: a block, in whole pages where each must be untouched */
    size_t buffer_next;    /* next destination in it */
    void *own;             /* the method's own memory */
};

enum {
    NEEDS_FILE = 1,   /* works on a target */
    NEEDS_BUFFER = 2, /* copies into a destination buffer */
    NEEDS_NAME = 4,   /* may open the target by name within the timed region */
    NEEDS_ORDER = 8,  /* can only visit blocks front to back */
};

struct method {                  /* one static const object per file under bench/methods, named method_STEM */
    const char *name, *measures; /* stem; one line for `faultline list methods` */
    unsigned version;            /* rises when what is timed changes */
    unsigned needs;              /* checked by the plan, not while running */
    uint64_t uses;               /* FIELD_BIT of every ARM field that has a meaning for it */
    uint64_t (*limit)(const struct params *); /* most blocks that one batch may hold; NULL: any number */
    /* Untimed, once per trial; may allocate. -EOPNOTSUPP: this machine cannot do it; other errors: it failed. May be
     * NULL. */
    int (*setup)(struct worker *, struct err *);
    /* Untimed, before each batch of that many blocks: restores the state the batch consumes. May be NULL. */
    int (*reset)(struct worker *, uint64_t blocks, struct err *);
    int (*run)(struct worker *, uint64_t blocks); /* timed: nothing but the operation; 0 or -errno */
    void (*teardown)(struct worker *);            /* safe after a failed setup; may be NULL */
};

/* What every method that visits blocks understands. */
#define USES_WORK (FIELD_BIT(block_bytes) | FIELD_BIT(touches) | FIELD_BIT(surplus))

extern const struct method *const method_table[]; /* generated from the file names; ends with NULL */

/* The method of that name, or NULL. */
const struct method *method_find(const char *name);

/* Blocks that cannot be separated: `touches` when the mapping or the descriptor lives per pass, else 1. */
uint64_t params_granule(const struct params *params);

/* Blocks of one operation: `touches` with per: pass, else 1. */
uint64_t params_blocks_per_op(const struct params *params);

#endif
