/* SPDX-License-Identifier: MIT */
/*
 * Measures:         ftruncate that takes the last range_bytes of a file of its own, whose pages are cached, clean and
 *                   mapped by the worker and by `mappers` other processes: each page table entry of each of them is
 *                   found and removed, twice looked for, then the pages leave the cache and the blocks the file.
 * Does not measure: making the file long again, writing and syncing the range and the touches by all, before the next
 *                   batch, untimed.
 * Expect:           as punching a hole of that size; who touches what was taken gets SIGBUS instead of zeroes.
 * Source:           mm/truncate.c truncate_pagecache (unmap_mapping_range before and after), fs/ext4/inode.c
 *                   ext4_setattr and ext4_truncate, mm/shmem.c shmem_setattr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "cut.h"

static int shorten(int fd, uint64_t offset, uint64_t bytes)
{
    (void)bytes;
    return ftruncate(fd, (off_t)offset) ? -errno : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    return cut_begin(worker, shorten, err);
}

const struct method method_truncate = {
    .name = "truncate",
    .measures = "cutting the end off a file that processes map",
    .version = 2,
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
