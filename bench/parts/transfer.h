/* SPDX-License-Identifier: MIT */
/*
 * The loop of every method that brings a block to the destination buffer by a call: next offset, next destination, the
 * call, the consumption. A method gives the call; it is compiled into the loop.
 */
#ifndef FAULTLINE_TRANSFER_H
#define FAULTLINE_TRANSFER_H

#include <errno.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "walk.h"

/* What a call needs besides the block. A local copy, so that it stays in registers. */
struct transfer {
    int fd;
    int flags;            /* RWF_… */
    struct iovec *pieces; /* [piece_count] of a call that scatters; else NULL */
    unsigned piece_count;
};

/* Reads the block at `offset` to `to`. Bytes that came, or -1 with errno. */
typedef ssize_t transfer_call(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset);

/* 0; the call's -errno; -ENODATA when it brought less than the block. */
WALK_SPECIALISED int transfer_each(struct worker *worker, uint64_t blocks, struct transfer transfer, bool chained,
                                   transfer_call *call)
{
    struct walk walk = walk_begin(worker);
    int rc = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t offset = walk_next(&walk, chained);
        unsigned char *to = walk_destination(&walk);
        ssize_t done = call(&transfer, to, walk.block_bytes, offset);
        if (__builtin_expect(done != (ssize_t)walk.block_bytes, 0)) {
            rc = done < 0 ? -errno : -ENODATA;
            break;
        }
        walk_consume(&walk, to);
    }
    walk_end(worker, &walk);
    return rc;
}

/* The same in the order that the pattern demands. */
WALK_SPECIALISED int transfer_blocks(struct worker *worker, uint64_t blocks, struct transfer transfer,
                                     transfer_call *call)
{
    if (worker->params->pattern == pattern_chain)
        return transfer_each(worker, blocks, transfer, true, call);
    return transfer_each(worker, blocks, transfer, false, call);
}

/* Points the pieces at `bytes` from `to` on, side by side: a block that was scattered is consumed as one. */
static inline void transfer_scatter(const struct transfer *transfer, unsigned char *to, uint64_t bytes)
{
    uint64_t piece_bytes = bytes / transfer->piece_count;
    for (unsigned i = 0; i < transfer->piece_count; i++) {
        transfer->pieces[i].iov_base = to + i * piece_bytes;
        transfer->pieces[i].iov_len = piece_bytes;
    }
}

#endif
