/* SPDX-License-Identifier: MIT */
/*
 * Measures:         making a page of populated memory a guard page by mprotect with PROT_NONE: its VMA is split in
 *                   three.
 * Does not measure: making it usable again, which is done for all of them before the next batch.
 * Expect:           2-5 us: two VMAs more for each.
 * Source:           mm/mprotect.c mprotect_fixup, mm/vma.c vma_modify and __split_vma.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "guard.h"

static int run(struct worker *worker, uint64_t blocks)
{
    for (uint64_t i = 0; i < blocks; i++)
        if (mprotect(guard_page(worker), worker->buffer_step, PROT_NONE))
            return -errno;
    return 0;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    worker->cursor = 0;
    return mprotect(worker->base, worker->base_bytes, PROT_READ | PROT_WRITE) ? err_sys(err, "mprotect") : 0;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 3 * US;
}

const struct method method_guard_protect = {
    .name = "guard_protect",
    .measures = "making a page of populated memory a guard page, by mprotect(PROT_NONE)",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .limit = guard_limit,
    .memory = guard_memory,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = guard_reset_ns,
    .setup = guard_begin,
    .reset = reset,
    .run = run,
    .teardown = guard_end,
};
