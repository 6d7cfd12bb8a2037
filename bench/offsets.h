/* SPDX-License-Identifier: MIT */
/* The order in which blocks are visited, computed before anything is timed. */
#ifndef FAULTLINE_OFFSETS_H
#define FAULTLINE_OFFSETS_H

#include <stdint.h>

#include "err.h"
#include "params.h"

/* A longer list would itself take up the cache under test: beyond it, blocks are sampled. 2^20 entries are 8 MiB. */
enum { OFFSETS_MAX = 1 << 20 };

/* Enough that rare blocks come by before the list begins again, and that it is no cache's worth of memory itself. */
enum { OFFSETS_ZIPF_DRAWS = 16 };

struct offsets {
    uint64_t *items; /* [count] bytes from the start of the file, each a multiple of block_bytes */
    uint64_t count;
};

/* How long the list is: every block once, as far as a list goes; with pattern: zipf several draws for each. */
uint64_t offsets_count(const struct params *params);

/*
 * Makes the list for pattern, block_bytes, working_set_bytes and stride_bytes of `params`. sequential: every block
 * once, in order, as far as the list goes. stride: one block every stride_bytes in order, then the same shifted by a
 * number of blocks, in a seeded order of the shifts, until every block has been visited or the list is full. random and
 * chain: a random permutation of all blocks, or, when there are more than OFFSETS_MAX of them, of a random sample that
 * draws one block from each of OFFSETS_MAX equal strata. zipf: seeded draws with replacement, OFFSETS_ZIPF_DRAWS for
 * each block as far as the list goes, of a block with probability proportional to rank^-zipf_theta; which rank a block
 * has is a seeded permutation. -EINVAL when not one block fits or zipf_theta is no number from 0, -ENOMEM. Free with
 * offsets_free. The list's pages have been touched.
 */
int offsets_make(struct offsets *offsets, const struct params *params, uint64_t seed, struct err *err);

void offsets_free(struct offsets *offsets);

#endif
