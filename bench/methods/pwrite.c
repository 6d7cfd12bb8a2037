/* SPDX-License-Identifier: MIT */
/*
 * Measures:         pwrite of a block at an offset from the buffer; with descriptor: per_pass also open and close of
 *                   each pass; with sync the sync call that ends each pass.
 * Does not measure: finding the offset (computed before), making the buffer, growing the file: its blocks are there.
 * Expect:           1-2 us for 4 KiB into a page that is resident, dirty or not.
 * Source:           fs/read_write.c ksys_pwrite64, mm/filemap.c generic_perform_write, fs/iomap/buffered-io.c, and
 *                   mm/page-writeback.c balance_dirty_pages_ratelimited_flags.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "descriptor.h"
#include "storage.h"
#include "sync.h"
#include "walk.h"

static int write_blocks(struct worker *worker, uint64_t blocks)
{
    struct walk walk = walk_begin(worker);
    int fd = worker->fd, rc = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t offset = walk_next(&walk, false);
        ssize_t done = pwrite(fd, walk_destination(&walk), walk.block_bytes, (off_t)offset);
        if (__builtin_expect(done != (ssize_t)walk.block_bytes, 0)) {
            rc = done < 0 ? -errno : -ENOSPC; /* a short write: no more of it would fit */
            break;
        }
    }
    walk_end(worker, &walk);
    return rc;
}

static int pass(struct worker *worker, uint64_t blocks)
{
    const struct params *params = worker->params;
    uint64_t step = params->sync == sync_none ? blocks : params->touches;
    int rc = 0;
    for (uint64_t done = 0; done < blocks && rc == 0; done += step) {
        rc = write_blocks(worker, step);
        if (rc == 0)
            rc = sync_apply(worker, (enum sync)params->sync, 0, params->working_set_bytes);
    }
    return rc;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return descriptor_passes(worker, blocks, pass);
}

static uint64_t block_ns(const struct params *params)
{
    uint64_t call = params->open_as == open_as_direct ? (uint64_t)storage_rates()->fetch_ns
                    : params->cache == cache_dirty    ? 700
                                                      : 1700;
    return call + params->block_bytes / 8 + sync_pass_ns(params) / params->touches;
}

const struct method method_pwrite = {
    .name = "pwrite",
    .measures = "pwrite of one block at an offset",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME | NEEDS_WRITE,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(open_as) | FIELD_BIT(sync),
    .block_ns = block_ns,
    .reset_ns = sync_restore_ns,
    .setup = descriptor_setup,
    .run = run,
    .teardown = descriptor_teardown,
};
