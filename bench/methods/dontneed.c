/* SPDX-License-Identifier: MIT */
/*
 * Measures:         madvise(MADV_DONTNEED) over range_bytes: its pages leave the page table, anonymous ones are freed;
 *                   the VMA and the page tables stay.
 * Does not measure: the faults that bring the pages back, before the next batch, untimed.
 * Expect:           0.5-1.5 us, and a page as with munmap; 5-15 us more where other threads run.
 * Source:           mm/madvise.c madvise_dontneed_single_vma, mm/memory.c zap_pte_range, mm/mmu_gather.c
 *                   tlb_finish_mmu.
 */
#include "ranges.h"

static int run(struct worker *worker, uint64_t count)
{
    struct ranges *ranges = ranges_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = madvise(ranges->items[i].here.at, ranges->bytes, MADV_DONTNEED) ? -errno : 0;
    return ranges_end(worker, rc);
}

static int setup(struct worker *worker, struct err *err)
{
    return ranges_setup(worker, false, err);
}

static uint64_t block_ns(const struct params *params)
{
    return ranges_call_ns(params, 1300, ranges_zap_ns(params));
}

const struct method method_dontneed = {
    .name = "dontneed",
    .measures = "madvise(MADV_DONTNEED) of one populated range",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = USES_RANGES,
    .op_bytes = method_range_bytes,
    .limit = ranges_limit,
    .memory = ranges_memory,
    .dirties = ranges_dirties,
    .block_ns = block_ns,
    .reset_ns = ranges_reset_ns,
    .setup = setup,
    .reset = ranges_reset,
    .run = run,
    .teardown = ranges_teardown,
};
