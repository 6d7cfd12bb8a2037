/* SPDX-License-Identifier: MIT */
/*
 * Measures:         readv of the next block, front to back, scattered into `pieces` buffers, and its consumption; with
 *                   descriptor: per_pass also open and close of each pass.
 * Does not measure: going back to the start: a batch never crosses the end of the working set.
 * Expect:           read, and some ns a piece: the list is copied in and each piece is copied to on its own.
 * Source:           fs/read_write.c do_readv and vfs_readv, lib/iov_iter.c import_iovec, mm/filemap.c filemap_read.
 */
#define _GNU_SOURCE
#include "descriptor.h"
#include "transfer.h"

static inline ssize_t call(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset)
{
    (void)offset;
    transfer_scatter(transfer, to, bytes);
    return readv(transfer->fd, transfer->pieces, (int)transfer->piece_count);
}

static int pass(struct worker *worker, uint64_t blocks)
{
    struct transfer transfer = {
        .fd = worker->fd, .pieces = worker->own, .piece_count = (unsigned)worker->params->pieces};
    return transfer_each(worker, blocks, transfer, false, call);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return descriptor_passes(worker, blocks, pass);
}

const struct method method_readv = {
    .name = "readv",
    .measures = "readv of the next block into several buffers, front to back",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME | NEEDS_ORDER,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(pieces),
    .limit = descriptor_stretch,
    .setup = descriptor_setup_pieces,
    .reset = descriptor_position,
    .run = run,
    .teardown = descriptor_teardown_pieces,
};
