/* SPDX-License-Identifier: MIT */
/*
 * Measures:         an addition by each of two or more workers to one word of a shared mapping, by one atomic addition
 *                   (LOCK XADD, LDADD) or by a loop that compares and swaps until nobody has come in between. With
 *                   apart_bytes each has a word of its own, to compare with.
 * Does not measure: a worker alone: who is done goes on, uncounted, until all are. The batch is as long as the slowest
 *                   took; each one's own time is told beside it, and how far they are apart is how fair it was.
 * Expect:           an addition 10-50 ns for two workers under one cache, more with each that comes; the loop more, by
 *                   its retries, and less fairly shared.
 * Source:           the processor's coherence protocol; no kernel function.
 */
#include "adding.h"
#include "counter.h"

static int run(struct worker *worker, uint64_t count)
{
    return adding_run(worker, count, (enum update)worker->params->update);
}

static uint64_t block_ns(const struct params *params)
{
    uint64_t alone = 4, met = params->update == update_cas ? 60 : 20;
    return params->apart_bytes < 64 ? met * params->workers : alone;
}

const struct method method_write_write = {
    .name = "write_write",
    .measures = "additions by several workers to one word of a shared mapping, and how fairly they share it",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_CROWD,
    .tells = COUNTER_BIT(retries),
    .uses = USES_SHARED | FIELD_BIT(apart_bytes) | FIELD_BIT(update),
    .block_ns = block_ns,
    .setup = shared_setup,
    .reset = adding_reset,
    .run = run,
    .teardown = shared_teardown,
};
