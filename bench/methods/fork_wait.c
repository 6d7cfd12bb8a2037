/* SPDX-License-Identifier: MIT */
/*
 * Measures:         fork, the child's end without doing anything, and waiting for it: page tables are copied and freed
 *                   again.
 * Does not measure: a program started by the child (exec), the faults that the parent takes later (fork_break).
 * Expect:           about twice fork; two process switches besides.
 * Source:           kernel/fork.c copy_process, kernel/exit.c do_exit (exit_mmap), kernel/exit.c do_wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "forked.h"

static int run(struct worker *worker, uint64_t blocks)
{
    (void)worker;
    (void)blocks;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? -errno : forked_reap(child);
}

static uint64_t block_ns(const struct params *params)
{
    return 250 * US + 140 * forked_copied_entries(params);
}

const struct method method_fork_wait = {
    .name = "fork_wait",
    .measures = "fork, the child's immediate end, and waiting for it",
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
