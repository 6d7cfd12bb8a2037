/* SPDX-License-Identifier: MIT */
/*
 * Moving a range of anonymous memory to another address and leaving an empty one: the two places, between which the
 * methods move it there and back.
 */
#ifndef FAULTLINE_MOVE_H
#define FAULTLINE_MOVE_H

#include "method.h"

struct move {
    unsigned char *places[2]; /* each of `bytes`; the pages are at the first before the first move */
    uint64_t bytes;
    unsigned at; /* where the pages are now */
};

/* Maps the two places, range_bytes each, and stores to the pages of the first. worker->own is a struct move. */
int move_begin(struct worker *worker, struct err *err);
void move_end(struct worker *worker);

/* Moves `blocks` times, there and back again. */
int move_each(struct worker *worker, uint64_t blocks,
              int (*once)(struct worker *, unsigned char *to, unsigned char *from, uint64_t bytes));

#endif
