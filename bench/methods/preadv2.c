/* SPDX-License-Identifier: MIT */
/*
 * Measures:         preadv2 of a block at an offset, scattered into `pieces` buffers, with the flag of rwf, and its
 *                   consumption. What RWF_NOWAIT refuses, all of a block or the end of it, is read by pread, as a
 *                   program would that first looks whether it has to wait.
 * Does not measure: finding the offset, making the buffers (except buffer: fresh).
 * Expect:           without a flag pread and some ns a piece; RWF_NOWAIT the same when warm, a refused call more when
 *                   cold; RWF_DONTCACHE pread when warm, and when cold the work of dropping each page.
 * Source:           fs/read_write.c do_preadv, lib/iov_iter.c import_iovec, mm/filemap.c filemap_get_pages
 *                   (IOCB_NOWAIT) and filemap_end_dropbehind_read.
 */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "rwf.h"
#include "target.h"
#include "transfer.h"

static inline ssize_t call(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset)
{
    transfer_scatter(transfer, to, bytes);
    return preadv2(transfer->fd, transfer->pieces, (int)transfer->piece_count, (off_t)offset, transfer->flags);
}

static inline ssize_t call_nowait(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset)
{
    ssize_t done = call(transfer, to, bytes, offset);
    if (__builtin_expect(done == (ssize_t)bytes, 1))
        return done;
    if (done < 0 && errno != EAGAIN)
        return -1;
    size_t have = done < 0 ? 0 : (size_t)done;
    ssize_t rest = pread(transfer->fd, to + have, bytes - have, (off_t)(offset + have));
    return rest < 0 ? -1 : (ssize_t)have + rest;
}

static int pass(struct worker *worker, uint64_t blocks)
{
    const struct params *params = worker->params;
    struct transfer transfer = {.fd = worker->fd,
                                .flags = rwf_flags((enum rwf)params->rwf),
                                .pieces = worker->own,
                                .piece_count = (unsigned)params->pieces};
    return params->rwf == rwf_nowait ? transfer_blocks(worker, blocks, transfer, call_nowait)
                                     : transfer_blocks(worker, blocks, transfer, call);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return descriptor_passes(worker, blocks, pass);
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = rwf_try(worker->target, (enum rwf)worker->params->rwf, err);
    return rc ? rc : descriptor_setup_pieces(worker, err);
}

const struct method method_preadv2 = {
    .name = "preadv2",
    .measures = "preadv2 of one block at an offset, into several buffers and with a flag",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(pieces) |
            FIELD_BIT(rwf),
    .setup = setup,
    .run = run,
    .teardown = descriptor_teardown_pieces,
};
