/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first visit to each block of a fresh mapping: the minor (or, when cold, major) fault, shared by
 *                   all pages that fault-around and the folios map at once, and the consumption of the block.
 * Does not measure: mmap and munmap: the mapping is made anew before each batch, untimed.
 * Expect:           10-300 ns a page by recipe; 1-1.5 us a page where each page is a VMA of its own.
 * Source:           mm/memory.c do_read_fault and do_fault_around, mm/filemap.c filemap_map_pages.
 */
#include <errno.h>
#include <string.h>

#include "descriptor.h"
#include "mapping.h"
#include "target.h"

static int run(struct worker *worker, uint64_t blocks)
{
    mapping_visit(worker, blocks);
    return 0;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    int rc = mapping_remove(worker);
    if (rc == 0)
        rc = mapping_make(worker);
    return rc ? err_set(err, -rc, "mmap %s: %s", worker->target->path, strerror(-rc)) : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    uint64_t step = params->pattern == pattern_stride ? params->stride_bytes : params->block_bytes;
    int rc = mapping_check(worker, err);
    if (rc)
        return rc;
    if (step % worker->target->page_bytes)
        return err_set(err, EINVAL, "first_touch needs blocks or strides of whole pages: a page is touched once");
    worker->fd = target_reopen(worker->target); /* no advice: that is for the mapping */
    return worker->fd < 0 ? err_set(err, -worker->fd, "open %s: %s", worker->target->path, strerror(-worker->fd)) : 0;
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

/* Every page at most once a batch: later blocks of the same page would not be first touches. */
static uint64_t limit(const struct params *params)
{
    uint64_t step = params->pattern == pattern_stride ? params->stride_bytes : params->block_bytes;
    return params->working_set_bytes / step;
}

const struct method method_first_touch = {
    .name = "first_touch",
    .measures = "the first visit to each block of a fresh mapping, map and unmap outside the clock",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = USES_WORK | FIELD_BIT(advice) | FIELD_BIT(sharing) | FIELD_BIT(populate) | FIELD_BIT(vma),
    .limit = limit,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
