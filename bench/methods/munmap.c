/* SPDX-License-Identifier: MIT */
/*
 * Measures:         munmap of range_bytes that are one VMA: its pages leave the page table (of a file each gives up its
 *                   mapping, anonymous ones are freed), then empty page tables and the VMA itself.
 * Does not measure: mapping and touching the range before, untimed.
 * Expect:           1-4 us, and a page 1 ns (2 MiB folios) to 130 ns (4 KiB folios), 50-200 ns where it is freed; a
 *                   shootdown of some us with other threads running.
 * Source:           mm/vma.c do_vmi_align_munmap, mm/memory.c zap_pte_range, mm/rmap.c folio_remove_rmap_ptes,
 *                   mm/mmu_gather.c tlb_finish_mmu.
 */
#include "ranges.h"

static int run(struct worker *worker, uint64_t count)
{
    struct ranges *ranges = ranges_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        rc = munmap(ranges->items[i].here.at, ranges->bytes) ? -errno : 0;
        ranges->items[i].mapped = rc != 0;
    }
    return ranges_end(worker, rc);
}

static int setup(struct worker *worker, struct err *err)
{
    return ranges_setup(worker, false, err);
}

static uint64_t block_ns(const struct params *params)
{
    return ranges_call_ns(params, 2000, ranges_zap_ns(params));
}

const struct method method_munmap = {
    .name = "munmap",
    .measures = "munmap of one populated range",
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
