/* SPDX-License-Identifier: MIT */
/*
 * Measures:         entry to the kernel and back with next to nothing done there (getppid).
 * Does not measure: descriptor look-up, page cache look-up or copying.
 * Expect:           70-250 ns, more with mitigations on.
 * Source:           kernel/sys.c getppid; lmbench's lat_syscall uses the same call.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "walk.h"

static int run(struct worker *worker, uint64_t blocks)
{
    (void)worker;
    for (uint64_t i = 0; i < blocks; i++)
        (void)syscall(SYS_getppid);
    return 0;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 240;
}

const struct method method_syscall_floor = {
    .name = "syscall_floor",
    .measures = "one system call that does next to nothing (getppid)",
    .version = 1,
    .uses = USES_WORK,
    .memory = method_no_memory,
    .block_ns = block_ns,
    .run = run,
};
