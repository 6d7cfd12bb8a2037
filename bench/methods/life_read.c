/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the whole use of a file through system calls, or one phase of it (`phase`): open, the first pread
 *                   of every block into memory of its own, the second into the same; with access: store also a pwrite
 *                   of every block and fsync; close. The phases before the timed one happen in the reset.
 * Does not measure: what fills the page cache: the file is warm and clean before the first phase.
 * Expect:           with buffer: fresh the first reads cost the destination's first touches as well.
 * Source:           mm/filemap.c filemap_read, lib/iov_iter.c copy_to_iter, mm/filemap.c generic_perform_write.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "descriptor.h"
#include "life.h"
#include "walk.h"

static int open_file(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return descriptor_open(worker);
}

static int read_blocks(struct worker *worker, uint64_t blocks)
{
    struct walk walk = walk_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        uint64_t offset = walk_next(&walk, false);
        unsigned char *to = walk_destination(&walk);
        ssize_t done = pread(worker->fd, to, walk.block_bytes, (off_t)offset);
        if (__builtin_expect(done != (ssize_t)walk.block_bytes, 0))
            rc = done < 0 ? -errno : -ENODATA;
        else
            walk_consume(&walk, to);
    }
    walk_end(worker, &walk);
    return rc;
}

static int write_blocks(struct worker *worker, uint64_t blocks)
{
    struct walk walk = walk_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        uint64_t offset = walk_next(&walk, false);
        ssize_t done = pwrite(worker->fd, walk_destination(&walk), walk.block_bytes, (off_t)offset);
        if (__builtin_expect(done != (ssize_t)walk.block_bytes, 0))
            rc = done < 0 ? -errno : -EIO;
    }
    walk_end(worker, &walk);
    return rc;
}

static int sync_file(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return fsync(worker->fd) ? -errno : 0;
}

static int close_file(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return descriptor_close(worker);
}

static const struct life life = {.phases =
                                     {
                                         [phase_open] = open_file,
                                         [phase_first] = read_blocks,
                                         [phase_second] = read_blocks,
                                         [phase_write] = write_blocks,
                                         [phase_sync] = sync_file,
                                         [phase_close] = close_file,
                                     },
                                 .phase_ns = {[phase_open] = 50,
                                              [phase_first] = 3500,
                                              [phase_second] = 830,
                                              [phase_write] = 3300,
                                              [phase_sync] = 2300,
                                              [phase_close] = 15}};

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    return life_reset(&life, worker, blocks, err);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return life_run(&life, worker, blocks);
}

/* Into fresh memory; with access: load a buffer that is used again makes it a third. */
static uint64_t block_ns(const struct params *params)
{
    bool again = params->buffer != buffer_fresh && params->access == access_load;
    return life_block_ns(&life, params) / (again ? 3 : 1);
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    return life_reset_ns(&life, params, blocks);
}

const struct method method_life_read = {
    .name = "life_read",
    .measures = "the whole use of a file through pread and pwrite, or one phase of it",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(phase) | FIELD_BIT(access) | FIELD_BIT(buffer) | FIELD_BIT(advice),
    .limit = life_limit,
    .dirties = life_dirties,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .reset = reset,
    .run = run,
    .teardown = life_teardown,
};
