/* SPDX-License-Identifier: MIT */
/*
 * Measures:         making a file without a name to hold memory, by made_by on made_on, and removing it: open (and
 *                   unlink), ftruncate to range_bytes, mmap, munmap, close. Nothing is stored to it.
 * Does not measure: pages: there are none (memory_file_touch).
 * Expect:           3-8 us in memory, 10-20 us on ext4, whose journal has to know of the inode.
 * Source:           mm/memfd.c memfd_create, mm/shmem.c shmem_get_inode and shmem_tmpfile, fs/namei.c do_tmpfile,
 *                   fs/ext4/namei.c ext4_create, ext4_unlink and ext4_tmpfile.
 */
#include <errno.h>
#include <stdlib.h>

#include "making.h"

static int run(struct worker *worker, uint64_t blocks)
{
    const struct making *making = worker->own;
    uint64_t bytes = worker->params->range_bytes;
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        unsigned char *base;
        int fd = making_map(making, bytes, &base);
        rc = fd < 0 ? fd : making_unmap(fd, bytes, base);
    }
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    struct making *making = worker->own = calloc(1, sizeof *making);
    return making ? making_begin(making, worker, err) : err_set(err, ENOMEM, "no memory for a path");
}

static void teardown(struct worker *worker)
{
    free(worker->own);
    worker->own = NULL;
}

static uint64_t block_ns(const struct params *params)
{
    return params->made_on == made_on_target ? 50 * US : 14 * US;
}

const struct method method_memory_file_make = {
    .name = "memory_file_make",
    .measures = "making a file without a name to hold memory, mapping it, and removing it",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = MAKING_USES,
    .memory = method_no_memory,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
