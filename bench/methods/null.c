/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the harness's own loop: find the next offset, do nothing with it.
 * Does not measure: anything else; it is the floor of every other figure.
 * Expect:           at most 1 ns an operation.
 * Source:           none; the idea of a null engine is fio's.
 */
#include "walk.h"

static int run(struct worker *worker, uint64_t blocks)
{
    struct walk walk = walk_begin(worker);
    for (uint64_t count; blocks; blocks -= count)
        for (const uint64_t *at = walk_stretch(&walk, blocks, &count), *end = at + count; at < end; at++)
            __asm__ volatile("" : : "r"(*at));
    walk_end(worker, &walk);
    return 0;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 1;
}

const struct method method_null = {
    .name = "null",
    .measures = "the harness's own loop, with nothing done in it",
    .version = 1,
    .uses = USES_WORK,
    .memory = method_no_memory,
    .block_ns = block_ns,
    .run = run,
};
