/* SPDX-License-Identifier: MIT */
/*
 * Measures:         finding out which pages of a range of memory have been touched by the ioctl PAGEMAP_SCAN (Linux
 *                   6.7), which answers with ranges of pages: a share `written_share` of them, in one piece.
 * Does not measure: opening /proc/self/pagemap, on which it is called.
 * Expect:           a system call and 2-10 ns a page; nothing is copied for a page that is alike the one before.
 * Source:           fs/proc/task_mmu.c do_pagemap_scan and pagemap_scan_pmd_entry.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pagemap.h"

/* As in linux/fs.h from Linux 6.7 on. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan_request {
    uint64_t size, flags, start, end, walk_end, regions, region_count, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_REQUEST _IOWR('f', 16, struct scan_request)
enum { REGIONS = 64, PAGE_IS_PRESENT = 1 << 3 };

static int scan(struct worker *worker)
{
    const struct pagemap *pagemap = worker->own;
    struct scan_region regions[REGIONS];
    struct scan_request request = {.size = sizeof request,
                                   .start = (uintptr_t)worker->base,
                                   .end = (uintptr_t)worker->base + worker->base_bytes,
                                   .regions = (uintptr_t)regions,
                                   .region_count = REGIONS,
                                   .category_mask = PAGE_IS_PRESENT,
                                   .return_mask = PAGE_IS_PRESENT};
    while (request.start < request.end) {
        int found = ioctl(worker->fd, SCAN_REQUEST, &request);
        if (found < 0)
            return -errno;
        for (int i = 0; i < found; i++)
            worker->sum += (regions[i].end - regions[i].start) / pagemap->page_bytes;
        request.start = request.walk_end;
    }
    return 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++)
        rc = scan(worker);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = pagemap_begin(worker, err);
    if (rc)
        return rc;
    rc = scan(worker);
    worker->sum = 0;
    return rc ? err_set(err, rc == -ENOTTY || rc == -EINVAL ? EOPNOTSUPP : -rc,
                        "this kernel does not have PAGEMAP_SCAN: %s", strerror(-rc))
              : 0;
}

static uint64_t block_ns(const struct params *params)
{
    return 500 + params->range_bytes / 800;
}

const struct method method_pagemap_scan = {
    .name = "pagemap_scan",
    .measures = "which pages of a range of memory have been touched, by PAGEMAP_SCAN",
    .version = 1,
    .uses = PAGEMAP_USES,
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = pagemap_end,
};
