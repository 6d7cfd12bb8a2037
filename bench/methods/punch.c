/* SPDX-License-Identifier: MIT */
/*
 * Measures:         fallocate(FALLOC_FL_PUNCH_HOLE) of range_bytes of a file of its own, whose pages are cached, clean
 *                   and mapped by the worker and by `mappers` other processes: each page table entry of each of them
 *                   is found and removed, then the pages leave the cache and the blocks the file.
 * Does not measure: writing the range again, its sync and the touches by all, before the next batch, untimed.
 * Expect:           10-100 us for the filesystem (journal, extents), and some us for every process that maps the range.
 * Source:           mm/truncate.c truncate_pagecache_range, mm/memory.c unmap_mapping_range; fs/ext4/inode.c
 *                   ext4_punch_hole, mm/shmem.c shmem_fallocate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "cut.h"

static int punch_hole(int fd, uint64_t offset, uint64_t bytes)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) ? -errno : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    return cut_begin(worker, punch_hole, err);
}

const struct method method_punch = {
    .name = "punch",
    .measures = "punching a hole into a file that processes map",
    .version = 3,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(mappers) | FIELD_BIT(surplus),
    .op_bytes = method_range_bytes,
    .limit = cut_limit,
    .block_ns = cut_ns,
    .reset_ns = cut_reset_ns,
    .setup = setup,
    .reset = cut_reset,
    .run = cut_run,
    .teardown = cut_end,
};
