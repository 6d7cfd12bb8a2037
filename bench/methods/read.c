/* SPDX-License-Identifier: MIT */
/*
 * Measures:         read of the next block, front to back, into the destination buffer, and its consumption; with
 *                   descriptor: per_pass also open, close and, when the pass reaches the end of the file, the last read
 *                   that returns 0 and tells a program that it is there.
 * Does not measure: going back to the start: a batch never crosses the end of the working set.
 * Expect:           pread less the cost of passing the offset, plus the lock of the file position.
 * Source:           fs/read_write.c ksys_read (fdget_pos), mm/filemap.c filemap_read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "target.h"
#include "walk.h"

static int pass(struct worker *worker, uint64_t blocks)
{
    struct walk walk = walk_begin(worker);
    int fd = worker->fd, rc = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        (void)walk_next(&walk, false);
        unsigned char *to = walk_destination(&walk);
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

/* The file position follows the cursor, which goes back to the start when the batch would cross the end. */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    const struct params *params = worker->params;
    if (params->descriptor == descriptor_per_pass) {
        worker->cursor = 0;
        return 0;
    }
    if (worker->cursor + blocks > worker->offset_count)
        worker->cursor = 0;
    if (lseek(worker->fd, (off_t)worker->offsets[worker->cursor], SEEK_SET) < 0)
        return err_sys(err, "lseek %s", worker->target->path);
    return 0;
}

static uint64_t limit(const struct params *params)
{
    return params->descriptor == descriptor_per_pass ? UINT64_MAX : params->working_set_bytes / params->block_bytes;
}

const struct method method_read = {
    .name = "read",
    .measures = "read of the next block, front to back",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME | NEEDS_ORDER,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice),
    .limit = limit,
    .setup = descriptor_setup,
    .reset = reset,
    .run = run,
    .teardown = descriptor_teardown,
};
