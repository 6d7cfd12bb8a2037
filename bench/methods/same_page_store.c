/* SPDX-License-Identifier: MIT */
/*
 * Measures:         finding out whether two addresses are one physical page by a store through one and a load through
 *                   the other, after which the word is as it was. What it answers is the counter `occurred`: each
 *                   operation with through: other, none with through: copy, whose page has the same contents.
 * Does not measure: mapping the two views.
 * Expect:           some ns: the store is forwarded to no load through another address before it has reached the cache.
 * Source:           no kernel function.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "counter.h"
#include "views.h"

static int run(struct worker *worker, uint64_t blocks)
{
    const struct twin *twin = worker->own;
    unsigned second = worker->params->through != through_same;
    volatile uint64_t *one = (void *)twin_at(twin, 0, 0);
    const volatile uint64_t *other = (void *)twin_at(twin, second, 0);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < blocks; i++)
        seen += twin_shows(one, other);
    counter_method.occurred += seen;
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    return views_begin(worker, (size_t)sysconf(_SC_PAGESIZE), sizeof(struct twin), err);
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 5;
}

const struct method method_same_page_store = {
    .name = "same_page_store",
    .measures = "whether two addresses are one physical page, by a store through one and a load through the other",
    .version = 1,
    .uses = VIEWS_USES,
    .memory = method_no_memory,
    .tells = COUNTER_BIT(occurred),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = views_end,
};
