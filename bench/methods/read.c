/* SPDX-License-Identifier: MIT */
/*
 * Measures:         read of the next block, front to back, into the destination buffer, and its consumption; with
 *                   descriptor: per_pass also open, close and, when the pass reaches the end of the file, the last read
 *                   that returns 0 and tells a program that it is there.
 * Does not measure: going back to the start: a batch never crosses the end of the working set.
 * Expect:           pread less the cost of passing the offset, plus the lock of the file position, which several
 *                   workers with one open file description (descriptor_of: crew) take in turns.
 * Source:           fs/read_write.c ksys_read (fdget_pos), fs/file.c file_needs_f_pos_lock, mm/filemap.c filemap_read.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "descriptor.h"
#include "target.h"
#include "transfer.h"

static inline ssize_t call(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset)
{
    (void)offset;
    return read(transfer->fd, to, bytes);
}

static int pass(struct worker *worker, uint64_t blocks)
{
    int rc = transfer_each(worker, blocks, (struct transfer){.fd = worker->fd}, false, call);
    worker->cursor += blocks * (worker->sharers - 1); /* what the others have read meanwhile */
    return rc;
}

/* One pass of a freshly opened descriptor. */
static int whole_pass(struct worker *worker, uint64_t blocks)
{
    int rc = pass(worker, blocks);
    if (rc || blocks * worker->params->block_bytes < worker->target->file_bytes)
        return rc;
    ssize_t done = read(worker->fd, worker->buffer, worker->params->block_bytes);
    return done < 0 ? -errno : 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    if (worker->params->descriptor == descriptor_per_pass)
        return descriptor_passes(worker, blocks, whole_pass);
    return pass(worker, blocks);
}

const struct method method_read = {
    .name = "read",
    .measures = "read of the next block, front to back",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME | NEEDS_ORDER,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(open_as) |
            FIELD_BIT(descriptor_of),
    .limit = descriptor_stretch,
    .setup = descriptor_setup,
    .reset = descriptor_position,
    .run = run,
    .teardown = descriptor_teardown,
};
