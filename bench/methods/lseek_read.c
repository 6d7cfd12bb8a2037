/* SPDX-License-Identifier: MIT */
/*
 * Measures:         lseek to an offset, then read of a block into the destination buffer, and its consumption.
 * Does not measure: finding the offset, making the buffer (except buffer: fresh).
 * Expect:           pread and one system call more.
 * Source:           fs/read_write.c ksys_lseek, ksys_read (fdget_pos).
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
        if (__builtin_expect(lseek(fd, (off_t)offset, SEEK_SET) < 0, 0)) {
            rc = -errno;
            break;
        }
        ssize_t done = read(fd, to, walk.block_bytes);
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

const struct method method_lseek_read = {
    .name = "lseek_read",
    .measures = "lseek to an offset and read of one block",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice),
    .setup = descriptor_setup,
    .run = run,
    .teardown = descriptor_teardown,
};
