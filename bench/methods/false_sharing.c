/* SPDX-License-Identifier: MIT */
/*
 * Measures:         an atomic addition (LOCK XADD, LDADD) by each of two workers to a word of a shared mapping, apart
 *                   by apart_bytes: 0 is one word for both, less than a cache line is false sharing.
 * Does not measure: a worker alone: who is done first goes on, uncounted, until the other is done as well. The batch is
 *                   as long as the slower of the two took; each one's own time is told beside it.
 * Expect:           2-10 ns where the words lie on lines of their own, several times that on one line.
 * Source:           the processor's coherence protocol; no kernel function.
 */
#include "adding.h"

static int run(struct worker *worker, uint64_t count)
{
    return adding_run(worker, count, update_fetch_add);
}

static uint64_t block_ns(const struct params *params)
{
    return params->apart_bytes < 64 ? 20 : 4;
}

const struct method method_false_sharing = {
    .name = "false_sharing",
    .measures = "atomic additions by two workers to words that lie apart_bytes apart in a shared mapping",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_PAIR,
    .uses = USES_SHARED | FIELD_BIT(apart_bytes),
    .block_ns = block_ns,
    .setup = shared_setup,
    .reset = adding_reset,
    .run = run,
    .teardown = shared_teardown,
};
