/* SPDX-License-Identifier: MIT */
/*
 * Measures:         pread of no byte: entry to the kernel, finding the open file from the descriptor, its checks, and
 *                   the filesystem's read function, which has nothing to do.
 * Does not measure: page cache look-up or copying: none takes place.
 * Expect:           some tens of ns above syscall_floor; what a pread of one byte takes more is the look-up.
 * Source:           fs/read_write.c ksys_pread64 and vfs_read; fs/ext4/file.c ext4_file_read_iter returns at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "descriptor.h"

static int run(struct worker *worker, uint64_t blocks)
{
    unsigned char nothing;
    for (uint64_t i = 0; i < blocks; i++)
        if (pread(worker->fd, &nothing, 0, 0) != 0)
            return errno ? -errno : -EIO;
    return 0;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 290;
}

const struct method method_pread_empty = {
    .name = "pread_empty",
    .measures = "pread of no byte: a system call that finds an open file, and nothing more",
    .version = 1,
    .needs = NEEDS_FILE,
    .block_ns = block_ns,
    .setup = descriptor_setup,
    .run = run,
    .teardown = descriptor_teardown,
};
