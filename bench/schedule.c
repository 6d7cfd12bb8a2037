/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include "work.h"

enum {
    SAME_OPS_WITHIN = 4, /* arms this close in cost share their number of operations */
    WARMUP_ROUNDS = 5,
    SUM_BLOCKS = 4096, /* of the checksum pass */
    SUM_COLD = 256,    /* of it where each has to be fetched */
    SUM_PASSES = 16,   /* of it where passes cannot be split, when they are that short */
    SUM_MESSAGES = 64, /* of it where blocks are none of the file's: the first of them reaches over a ring's end */
    SUM_LIMITED = 32,  /* of it under a memory limit, where a block may cost a read-around of megabytes */
};
#define BATCH_MAX_NS (500 * US) /* longer operations are batches of their own */
#define WARMUP_NS (20 * MS)
#define LONG_BATCH_NS (5 * MS)
#define SUM_BYTES (16 * MIB) /* large blocks: as many as show that the same bytes are read */

bool schedule_is_cold(const struct arm *arm)
{
    return arm->params.cache == cache_cold && method_needs_file(arm->method, &arm->params);
}

/* A surplus has to fit as well. */
const char *schedule_latency_refusal(const struct params *params, bool cold)
{
    if (params_granule(params) > params_blocks_per_op(params))
        return "the operations of one pass cannot be timed apart";
    if (cold && params->latency == latency_open)
        return "cold operations cannot be due at fixed times: each waits for an eviction";
    return NULL;
}

uint64_t schedule_limit(const struct arm *arm, uint64_t places)
{
    uint64_t limit = work_limit(arm), granule = work_granule(arm);
    if (schedule_is_cold(arm) && places < limit)
        limit = places;
    if (arm->params.surplus > 0 && limit != UINT64_MAX)
        limit = (uint64_t)((double)limit / (1 + arm->params.surplus));
    limit = limit / granule * granule;
    return limit ? limit : granule;
}

void schedule_common(const uint64_t *granules, const uint64_t *limits, unsigned count, uint64_t *granule,
                     uint64_t *limit)
{
    *granule = 1;
    *limit = UINT64_MAX;
    for (unsigned a = 0; a < count; a++) {
        if (granules[a] % *granule == 0)
            *granule = granules[a];
        if (limits[a] < *limit)
            *limit = limits[a];
    }
    *limit = *limit / *granule * *granule;
    *limit = *limit ? *limit : *granule;
}

uint64_t schedule_batch(double block_ns, uint64_t aim_ns, uint64_t granule, uint64_t limit)
{
    double granule_ns = block_ns * (double)granule;
    if (granule_ns >= (double)BATCH_MAX_NS)
        return granule;
    double granules = (double)aim_ns / granule_ns + 0.5, most = (double)limit / (double)granule;
    if (granules >= most)
        return limit;
    return granules < 1 ? granule : (uint64_t)granules * granule;
}

bool schedule_is_close(double ns, double base_ns)
{
    return ns <= SAME_OPS_WITHIN * base_ns && ns * SAME_OPS_WITHIN >= base_ns;
}

unsigned schedule_rounds(unsigned arm_count, uint64_t arm_time, uint64_t batch_ns)
{
    uint64_t rounds = arm_time / (batch_ns ? batch_ns : 1);
    rounds = rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX;
    /* Whole blocks: an odd number of arms is balanced over two squares, and gets both where there is time for them. */
    unsigned block = arm_count % 2 && rounds >= 2 * (uint64_t)arm_count ? 2 * arm_count : arm_count;
    rounds = (rounds + block / 2) / block * block;
    while (rounds > ROUNDS_MAX)
        rounds -= block;
    return rounds < arm_count ? arm_count : (unsigned)rounds;
}

bool schedule_is_warm(unsigned done, unsigned arm_count, uint64_t elapsed_ns, uint64_t longest_batch_ns)
{
    return (longest_batch_ns > LONG_BATCH_NS && done >= arm_count) ||
           (done >= WARMUP_ROUNDS && elapsed_ns >= WARMUP_NS);
}

static uint64_t least_common_multiple(uint64_t a, uint64_t b)
{
    uint64_t x = a, y = b;
    while (y) {
        uint64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Passes can be dear (a whole mapping for one touch), so there are few of them; single blocks are cheap. */
uint64_t schedule_sum_bytes(const struct cell *cell, uint64_t *unit)
{
    uint64_t block = UINT64_MAX;
    bool passes = false, messages = false;
    *unit = 1;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        const struct params *params = &cell->arms[a].params;
        if (!method_sums(cell->arms[a].method, params))
            continue;
        *unit = least_common_multiple(*unit, params_granule(params) * params->block_bytes);
        block = params->block_bytes < block ? params->block_bytes : block;
        passes |= params_has_passes(params);
        messages |= (cell->arms[a].method->needs & ADDS_UP) != 0;
    }
    uint64_t blocks = passes                             ? SUM_PASSES
                      : messages                         ? SUM_MESSAGES
                      : cell->params.memory_limit        ? SUM_LIMITED
                      : cell->params.cache == cache_cold ? SUM_COLD
                                                         : SUM_BLOCKS;
    uint64_t wanted = block < SUM_BYTES / blocks ? blocks * block : SUM_BYTES;
    return *unit >= wanted ? *unit : wanted / *unit * *unit;
}

uint64_t schedule_count_blocks(const struct params *params, uint64_t limit)
{
    uint64_t wanted = params->count_ops * params_blocks_per_op(params), granule = params_granule(params);
    uint64_t blocks = (wanted + granule - 1) / granule * granule;
    return blocks < limit ? blocks : limit;
}
