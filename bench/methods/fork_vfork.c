/* SPDX-License-Identifier: MIT */
/*
 * Measures:         vfork, the child's end without doing anything, and waiting for it: the child lives in the parent's
 *                   address space, so that nothing of it is copied. What posix_spawn does, without the exec.
 * Does not measure: a program started by the child (exec).
 * Expect:           40-100 us whatever is mapped.
 * Source:           kernel/fork.c kernel_clone with CLONE_VFORK | CLONE_VM (copy_mm shares it), wait_for_vfork_done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "forked.h"

static int run(struct worker *worker, uint64_t blocks)
{
    (void)worker;
    (void)blocks;
    pid_t child = vfork(); /* it is what is measured. NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (child == 0)
        _exit(0);
    return child < 0 ? -errno : forked_reap(child);
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 100 * US;
}

/* Nothing is copied, and so nothing write-protected. */
static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    (void)params;
    (void)blocks;
    return 150 * US;
}

const struct method method_fork_vfork = {
    .name = "fork_vfork",
    .measures = "vfork, the child's immediate end, and waiting for it",
    .version = 1,
    .needs = NEEDS_FILE | FORKS,
    .uses = FORKED_USES,
    .limit = forked_limit,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = forked_setup,
    .reset = forked_reset,
    .run = run,
    .teardown = forked_teardown,
};
