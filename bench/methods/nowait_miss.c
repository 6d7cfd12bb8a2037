/* SPDX-License-Identifier: MIT */
/*
 * Measures:         preadv2 with RWF_NOWAIT of a block that is not in the page cache: the refusal alone. On filesystems
 *                   that start readahead before they refuse, handing the request to the device is part of it.
 * Does not measure: reading the block; what is fetched on the quiet is dropped again before the next batch.
 * Expect:           next to nothing where the refusal is all; some us where readahead is started.
 * Source:           mm/filemap.c filemap_get_pages (IOCB_NOWAIT), mm/readahead.c page_cache_sync_ra.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "descriptor.h"
#include "rwf.h"
#include "transfer.h"

/* A refusal is what is asked for; bytes that come are a hit where a miss is demanded. */
static int run(struct worker *worker, uint64_t blocks)
{
    struct walk walk = walk_begin(worker);
    uint64_t hits = 0;
    int fd = worker->fd, rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        struct iovec piece = {walk_destination(&walk), walk.block_bytes};
        ssize_t done = preadv2(fd, &piece, 1, (off_t)walk_next(&walk, false), RWF_NOWAIT);
        hits += done >= 0;
        rc = done >= 0 || errno == EAGAIN ? 0 : -errno;
    }
    walk_end(worker, &walk);
    worker->fault = hits ? "a block was in memory where RWF_NOWAIT was to be refused" : NULL;
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = rwf_try(worker->target, rwf_nowait, err);
    return rc ? rc : descriptor_setup(worker, err);
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 5000;
}

const struct method method_nowait_miss = {
    .name = "nowait_miss",
    .measures = "preadv2 with RWF_NOWAIT, refused because the block is not in memory",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | MOVES_NOTHING,
    .uses = USES_WORK | FIELD_BIT(advice),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = descriptor_teardown,
};
