/* SPDX-License-Identifier: MIT */
/*
 * Measures:         fork, until it returns in the parent: the child's copy of the page tables and the parent's
 *                   write-protection of its private pages.
 * Does not measure: the child's life and end (fork_wait), the faults that come later (fork_break).
 * Expect:           60-150 us for a small process; 10-30 us more for each MiB of private memory in base pages; next to
 *                   nothing for a mapped file of which no page is private, and for huge pages.
 * Source:           kernel/fork.c copy_process and dup_mmap, mm/memory.c copy_page_range (vma_needs_copy: page tables
 *                   that a fault can fill again are left out).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "forked.h"

/* The child waits to be ended before the next fork: its end is not to disturb what else is timed. */
static int run(struct worker *worker, uint64_t blocks)
{
    struct forking *own = worker->own;
    (void)blocks;
    own->child = fork();
    if (own->child == 0) {
        forked_follow(own->parent);
        forked_wait_for_end();
    }
    return own->child < 0 ? -errno : 0;
}

static uint64_t block_ns(const struct params *params)
{
    return 100 * US + 80 * forked_copied_entries(params);
}

const struct method method_fork = {
    .name = "fork",
    .measures = "fork of a process with the working set mapped, until it returns in the parent",
    .version = 1,
    .needs = NEEDS_FILE | FORKS,
    .uses = FORKED_USES,
    .limit = forked_limit,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = forked_reset_ns,
    .setup = forked_setup,
    .reset = forked_reset,
    .run = run,
    .teardown = forked_teardown,
};
