/* SPDX-License-Identifier: MIT */
/*
 * Measures:         moving a range of memory by copying it into pages touched for the first time, and giving the old
 *                   ones back with MADV_DONTNEED.
 * Does not measure: mapping the two places.
 * Expect:           1-2 us a page, nearly all of it the new page's fault.
 * Source:           mm/memory.c do_anonymous_page and zap_pte_range; memcpy.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"

static int once(struct worker *worker, unsigned char *to, unsigned char *from, uint64_t bytes)
{
    (void)worker;
    memcpy(to, from, bytes);
    return madvise(from, bytes, MADV_DONTNEED) ? -errno : 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return move_each(worker, blocks, once);
}

static uint64_t block_ns(const struct params *params)
{
    return 1 * US + params->range_bytes / 4;
}

const struct method method_move_copy = {
    .name = "move_copy",
    .measures = "moving a range of memory by copying it and giving the old pages back",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = move_begin,
    .run = run,
    .teardown = move_end,
};
