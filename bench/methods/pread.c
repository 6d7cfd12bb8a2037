/* SPDX-License-Identifier: MIT */
/*
 * Measures:         pread of a block at an offset into the destination buffer, and what the consumer does with it
 *                   there; with descriptor: per_pass also open and close of each pass.
 * Does not measure: finding the offset (computed before), making the buffer (except buffer: fresh).
 * Expect:           0.5-1 us for 4 KiB warm; a fresh destination 3-5 times a reused one.
 * Source:           fs/read_write.c ksys_pread64, mm/filemap.c filemap_read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "descriptor.h"
#include "walk.h"

WALK_SPECIALISED int pass_blocks(struct worker *worker, uint64_t blocks, bool chained)
{
    struct walk walk = walk_begin(worker);
    int fd = worker->fd, rc = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t offset = walk_next(&walk, chained);
        unsigned char *to = walk_destination(&walk);
        ssize_t done = pread(fd, to, walk.block_bytes, (off_t)offset);
        if (__builtin_expect(done != (ssize_t)walk.block_bytes, 0)) {
            rc = done < 0 ? -errno : -ENODATA;
            break;
        }
        walk_consume(&walk, to);
    }
    walk_end(worker, &walk);
    return rc;
}

static int pass(struct worker *worker, uint64_t blocks)
{
    return worker->params->pattern == pattern_chain ? pass_blocks(worker, blocks, true)
                                                    : pass_blocks(worker, blocks, false);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return descriptor_passes(worker, blocks, pass);
}

const struct method method_pread = {
    .name = "pread",
    .measures = "pread of one block at an offset",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice),
    .setup = descriptor_setup,
    .run = run,
    .teardown = descriptor_teardown,
};
