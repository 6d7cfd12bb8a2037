/* SPDX-License-Identifier: MIT */
/* The whole use of a file as phases, of which one is timed: what life_map and life_read share. */
#ifndef FAULTLINE_LIFE_H
#define FAULTLINE_LIFE_H

#include "method.h"

/* The phases of one kind of use, by enum phase; NULL where it has none. Each does its part for all `blocks`: 0 or
 * -errno. */
struct life {
    int (*phases[phase_count])(struct worker *, uint64_t blocks);
    uint64_t phase_ns[phase_count]; /* rough ns a block of 4 KiB, of a MiB on ext4 */
};

/* Ends what the batch before has left, then goes through the phases that come before the timed one. -errno with text.
 */
int life_reset(const struct life *life, struct worker *worker, uint64_t blocks, struct err *err);

/* The timed phase, or all of them. 0 or -errno. */
int life_run(const struct life *life, struct worker *worker, uint64_t blocks);

/* One use a batch. */
uint64_t life_limit(const struct params *params);

/* Pages that are dirty when the sync begins. */
uint64_t life_dirties(const struct params *params);

/* Rough times of a block in the phase that is timed, and of the phases before it; for the plan's estimate. */
uint64_t life_block_ns(const struct life *life, const struct params *params);
uint64_t life_reset_ns(const struct life *life, const struct params *params, uint64_t blocks);

/* A method's setup (nothing is open yet) and teardown. */
void life_teardown(struct worker *worker);

#endif
