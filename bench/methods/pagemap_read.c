/* SPDX-License-Identifier: MIT */
/*
 * Measures:         finding out which pages of a range of memory have been touched by reading /proc/self/pagemap, eight
 *                   bytes a page, and counting those that are there: a share `written_share` of them, in one piece.
 * Does not measure: opening it.
 * Expect:           a system call and 10-30 ns a page, touched or not.
 * Source:           fs/proc/task_mmu.c pagemap_read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pagemap.h"

static int run(struct worker *worker, uint64_t blocks)
{
    const struct pagemap *pagemap = worker->own;
    uint64_t bytes = pagemap->pages * sizeof *pagemap->entries;
    for (uint64_t i = 0; i < blocks; i++) {
        ssize_t done = pread(worker->fd, pagemap->entries, bytes, pagemap->at);
        if (done != (ssize_t)bytes)
            return done < 0 ? -errno : -ENODATA;
        for (uint64_t page = 0; page < pagemap->pages; page++)
            worker->sum += pagemap->entries[page] >> 63;
    }
    return 0;
}

static uint64_t block_ns(const struct params *params)
{
    return 500 + params->range_bytes / 200;
}

const struct method method_pagemap_read = {
    .name = "pagemap_read",
    .measures = "which pages of a range of memory have been touched, by reading /proc/self/pagemap",
    .version = 1,
    .uses = PAGEMAP_USES,
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = pagemap_begin,
    .run = run,
    .teardown = pagemap_end,
};
