/* SPDX-License-Identifier: MIT */
/*
 * Measures:         mremap of range_bytes to another address (MREMAP_MAYMOVE | MREMAP_FIXED) into reserved address
 *                   space: the reservation there goes, the page table entries move, the old VMA goes. Contents stay.
 * Does not measure: reserving the address. Ranges of a huge page and more begin at its multiples on both sides, where
 *                   whole page tables change hands; elsewhere each entry is moved.
 * Expect:           3-6 us, and 10-30 ns a page below the size of a huge page, next to nothing a page above it.
 * Source:           mm/mremap.c mremap_to, move_page_tables, move_normal_pmd, move_ptes.
 */
#define _GNU_SOURCE
#include "ranges.h"

static int run(struct worker *worker, uint64_t count)
{
    struct ranges *ranges = ranges_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct range *range = &ranges->items[i];
        void *moved = mremap(range->here.at, ranges->bytes, ranges->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                             range->there.at);
        rc = moved == MAP_FAILED ? -errno : 0;
        range->moved = rc == 0;
    }
    return ranges_end(worker, rc);
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    int rc = ranges_make_room(worker, count, err);
    return rc ? rc : ranges_reset(worker, count, err);
}

static int setup(struct worker *worker, struct err *err)
{
    return ranges_setup(worker, false, err);
}

static uint64_t block_ns(const struct params *params)
{
    return ranges_call_ns(params, 7500, 20);
}

/* Nothing has to be faulted in again. */
static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t reserve_ns = 5000, page_ns = 5;
    return count * (reserve_ns + ranges_pages(params) * page_ns);
}

const struct method method_mremap = {
    .name = "mremap",
    .measures = "mremap of one populated range to another address",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = USES_RANGES,
    .op_bytes = method_range_bytes,
    .limit = ranges_limit,
    .memory = ranges_memory,
    .dirties = ranges_dirties,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = ranges_teardown,
};
