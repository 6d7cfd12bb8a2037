/* SPDX-License-Identifier: MIT */
/* The destination memory of copying methods, with the page policy that params->buffer names. */
#ifndef FAULTLINE_REGION_H
#define FAULTLINE_REGION_H

#include "method.h"

/*
 * Large enough that the next block has left any cache but the largest. A quarter of it, and copies of 64 KiB land in an
 * L3 cache of 32 MiB: 1.01 instead of 1.19 times the price of a reused buffer.
 */
#define REGION_BYTES (64 * MIB)

/* Bytes of an arm's destination. */
uint64_t region_bytes(const struct params *params);

/*
 * Maps worker->buffer with its step and size and brings its pages into the state asked for. Small pages are enforced
 * with MADV_NOHUGEPAGE and, as huge ones, checked in smaps. -ENOMEM, or -EOPNOTSUPP when huge pages are not given.
 */
int region_make(struct worker *worker, struct err *err);
void region_remove(struct worker *worker);

/* Most blocks that one batch may hold: each block of a fresh region once; else UINT64_MAX. */
uint64_t region_limit(const struct params *params);

/* Before a batch of `blocks`: gives the pages of a fresh region back, so that the batch touches them for the first
 * time. */
int region_reset(struct worker *worker, uint64_t blocks, struct err *err);

#endif
