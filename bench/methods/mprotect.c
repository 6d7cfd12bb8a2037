/* SPDX-License-Identifier: MIT */
/*
 * Measures:         mprotect of range_bytes, one whole VMA, from readable and writable to readable: every page table
 *                   entry is rewritten, no page is lost.
 * Does not measure: making it writable again, and the stores after that, before the next batch, untimed.
 * Expect:           0.5-1.5 us, and 5-70 ns a page; 5-15 us more where other threads run and pages were stored to
 *                   (entries that were not writable need no shootdown).
 * Source:           mm/mprotect.c mprotect_fixup, change_pte_range; arch/x86/include/asm/tlbflush.h pte_needs_flush.
 */
#include "ranges.h"

static int run(struct worker *worker, uint64_t count)
{
    struct ranges *ranges = ranges_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = mprotect(ranges->items[i].here.at, ranges->bytes, PROT_READ) ? -errno : 0;
    return ranges_end(worker, rc);
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    const struct ranges *ranges = worker->own;
    for (uint64_t i = 0; i < count; i++)
        if (ranges->items[i].mapped && mprotect(ranges->items[i].here.at, ranges->bytes, PROT_READ | PROT_WRITE))
            return err_sys(err, "mprotect of %zu bytes", ranges->bytes);
    return ranges_reset(worker, count, err);
}

static int setup(struct worker *worker, struct err *err)
{
    return ranges_setup(worker, true, err);
}

static uint64_t block_ns(const struct params *params)
{
    return ranges_call_ns(params, 1300, 75);
}

/* Nothing has to be faulted in again. */
static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t call_ns = 1000, page_ns = 150;
    return count * (call_ns + ranges_pages(params) * page_ns);
}

const struct method method_mprotect = {
    .name = "mprotect",
    .measures = "mprotect of one populated range to read-only",
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
