/* SPDX-License-Identifier: MIT */
/*
 * Measures:         asking which pages of a range of the file are in the page cache by mincore, a byte a page, and
 *                   counting them.
 * Does not measure: mapping the range, which mincore needs.
 * Expect:           a system call and 5-60 ns a page.
 * Source:           mm/mincore.c do_mincore (__mincore_unmapped_range where no page table is there).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptor.h"
#include "target.h"
#include "walk.h"

static uint64_t page_count(const struct worker *worker)
{
    return (worker->base_bytes + worker->target->page_bytes - 1) / worker->target->page_bytes;
}

static int run(struct worker *worker, uint64_t blocks)
{
    const unsigned char *vector = worker->own;
    uint64_t pages = page_count(worker);
    for (uint64_t i = 0; i < blocks; i++) {
        if (mincore(worker->base, worker->base_bytes, worker->own))
            return -errno;
        for (uint64_t page = 0; page < pages; page++)
            worker->sum += vector[page] & 1;
    }
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    worker->base_bytes = worker->params->range_bytes;
    worker->base = mmap(NULL, worker->base_bytes, PROT_READ, MAP_SHARED, worker->fd, 0);
    if (worker->base == MAP_FAILED) {
        worker->base = NULL;
        return err_sys(err, "mmap %s", worker->target->path);
    }
    worker->own = calloc(page_count(worker), 1);
    return worker->own ? 0 : err_set(err, ENOMEM, "no memory for a byte a page");
}

static void teardown(struct worker *worker)
{
    free(worker->own);
    worker->own = NULL;
    if (worker->base)
        munmap(worker->base, worker->base_bytes);
    worker->base = NULL;
    descriptor_close(worker);
}

static uint64_t block_ns(const struct params *params)
{
    return 1300 + params->range_bytes / 60;
}

const struct method method_residency_mincore = {
    .name = "residency_mincore",
    .measures = "asking which pages of a range are in the page cache, by mincore",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
