/* SPDX-License-Identifier: MIT */
/*
 * Measures:         what a program can do itself to have memory in huge pages: copy the range into fresh memory advised
 *                   to be huge, and unmap the old.
 * Does not measure: filling the base pages, which are made anew before each batch; mending the pointers into them.
 * Expect:           150-300 us for a huge page of 2 MiB: it is cleared first and then overwritten.
 * Source:           mm/huge_memory.c do_huge_pmd_anonymous_page; memcpy; mm/memory.c zap_pte_range.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "anonymous.h"
#include "collapse.h"

/* The destination hangs on worker->buffer. */
static int run(struct worker *worker, uint64_t blocks)
{
    unsigned char *old = worker->base;
    (void)blocks;
    memcpy(worker->buffer, old, worker->base_bytes);
    worker->base = NULL;
    return munmap(old, worker->base_bytes) ? -errno : 0;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    anonymous_remove(worker->buffer, worker->base_bytes);
    worker->buffer = NULL;
    int rc = collapse_reset(worker, blocks, err);
    return rc ? rc : anonymous_make(&worker->buffer, worker->base_bytes, true, err);
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = collapse_begin(worker, err);
    if (rc == 0)
        rc = anonymous_make(&worker->buffer, worker->base_bytes, true, err);
    if (rc)
        return rc;
    memcpy(worker->buffer, worker->base, worker->base_bytes);
    return collapse_check(worker->buffer, worker->base_bytes, err);
}

static void teardown(struct worker *worker)
{
    anonymous_remove(worker->buffer, worker->base_bytes);
    worker->buffer = NULL;
    collapse_end(worker);
}

const struct method method_collapse_copy = {
    .name = "collapse_copy",
    .measures = "copying a range of memory in base pages into huge pages, and unmapping the old",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .limit = collapse_limit,
    .block_ns = collapse_ns,
    .reset_ns = collapse_reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
