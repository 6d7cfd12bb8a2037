/* SPDX-License-Identifier: MIT */
/*
 * Measures:         gathering a range of memory in base pages into huge pages by MADV_COLLAPSE (Linux 6.1): a huge page
 *                   is found, the pages are copied into it, the page table is replaced by one entry.
 * Does not measure: filling the base pages, which are made anew before each batch.
 * Expect:           100-500 us for a huge page of 2 MiB: the copy, and the search for free memory.
 * Source:           mm/khugepaged.c madvise_collapse and collapse_huge_page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "anonymous.h"
#include "collapse.h"

/* EAGAIN: somebody holds one of the pages just now (madvise(2)). That batch does not count. */
static int run(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    int rc = madvise(worker->base, worker->base_bytes, MADV_COLLAPSE) ? -errno : 0;
    worker->fault = rc == -EAGAIN ? "MADV_COLLAPSE found a page that was held by somebody" : NULL;
    return worker->fault ? 0 : rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = collapse_begin(worker, err);
    return rc ? rc : collapse_try(worker->base, worker->base_bytes, err);
}

const struct method method_collapse = {
    .name = "collapse",
    .measures = "gathering a range of memory in base pages into huge pages, by MADV_COLLAPSE",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .limit = collapse_limit,
    .block_ns = collapse_ns,
    .reset_ns = collapse_reset_ns,
    .setup = setup,
    .reset = collapse_reset,
    .run = run,
    .teardown = collapse_end,
};
