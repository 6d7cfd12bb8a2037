/* SPDX-License-Identifier: MIT */
/*
 * How much of everything a trial does, as pure functions of a cell and of what its operations take: measure.c and
 * passes.c do it, plan_estimate.c adds up how long that will take.
 */
#ifndef FAULTLINE_SCHEDULE_H
#define FAULTLINE_SCHEDULE_H

#include "plan.h"

enum {
    ROUNDS_MAX = 200,
    PROBE_BATCHES = 3, /* whose median calibration takes for the time of a batch */
};
#define PROBE_NS (50 * US) /* calibration believes a time only from here on */

/* Whether the arm's batches each begin with nothing of the file in memory. */
bool schedule_is_cold(const struct arm *arm);

/* Why operations of an arm cannot be timed one by one; NULL: they can. */
const char *schedule_latency_refusal(const struct params *params, bool cold);

/*
 * Most blocks of one batch, in whole granules. `places`: in the arm's list of offsets; a cold batch must not come by
 * any of them twice.
 */
uint64_t schedule_limit(const struct arm *arm, uint64_t places);

/* What all arms can share: the largest granule that is a multiple of the others, and the lowest limit. */
void schedule_common(const uint64_t *granules, const uint64_t *limits, unsigned count, uint64_t *granule,
                     uint64_t *limit);

/* Blocks that take about `aim_ns`, of `block_ns` each: whole granules, one where that is long already. */
uint64_t schedule_batch(double block_ns, uint64_t aim_ns, uint64_t granule, uint64_t limit);

/* Whether two arms are close enough in cost to hold the same number of operations. */
bool schedule_is_close(double ns, double base_ns);

/* Timed rounds of a trial whose batches take `batch_ns` in the mean: whole blocks of rounds. */
unsigned schedule_rounds(unsigned arm_count, uint64_t arm_time, uint64_t batch_ns);

/* Whether the warm-up is over: at least five rounds and 20 ms, or one block of rounds when batches are long. */
bool schedule_is_warm(unsigned done, unsigned arm_count, uint64_t elapsed_ns, uint64_t longest_batch_ns);

/* Bytes of the checksum pass, the same for all arms, and the unit in which they are summed: whole passes of each. */
uint64_t schedule_sum_bytes(const struct cell *cell, uint64_t *unit);

/* Blocks of the counting pass: whole operations, whole passes, no more than one batch may hold. */
uint64_t schedule_count_blocks(const struct params *params, uint64_t limit);

#endif
