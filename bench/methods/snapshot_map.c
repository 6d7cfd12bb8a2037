/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a snapshot by a private mapping of the file: mmap, a store to the pages that are written (a fault
 *                   and a copy of each), munmap. It is one only as long as nobody writes to the file: pages that have
 *                   not been broken show what is in the file.
 * Does not measure: making the file.
 * Expect:           some us for the mapping; 2-3 us for each page written.
 * Source:           mm/mmap.c do_mmap, mm/memory.c do_cow_fault and zap_pte_range.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "snapshot.h"
#include "walk.h"

static int take(struct worker *worker)
{
    const struct snapshot *snapshot = worker->own;
    unsigned char *view = mmap(NULL, snapshot->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, worker->fd, 0);
    if (view == MAP_FAILED)
        return -errno;
    worker->sum += snapshot_use(worker, view);
    return munmap(view, snapshot->bytes) ? -errno : 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return snapshot_each(worker, blocks, take);
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    return snapshot_rehearse(worker, take, err);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t map_ns = 4 * US;
    return map_ns / params->touches + (uint64_t)(2500.0 * params->written_share * (double)params->block_bytes / 4096.0);
}

const struct method method_snapshot_map = {
    .name = "snapshot_map",
    .measures = "a snapshot by a private mapping, and stores to a share of its pages",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = SNAPSHOT_USES,
    .memory = snapshot_written_bytes,
    .block_ns = block_ns,
    .setup = snapshot_begin,
    .reset = reset,
    .run = run,
    .teardown = snapshot_end,
};
