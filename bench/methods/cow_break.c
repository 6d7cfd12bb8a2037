/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first store to each block of a fresh private mapping of the file: the write fault, the new page
 *                   and the copy of the old one. prior: loaded has the page mapped read-only before, so that the fault
 *                   is one of write protection.
 * Does not measure: mmap, munmap and the earlier load: all of them before each batch, untimed.
 * Expect:           1-3 us a page, however large the file's folios are: only ever one page is copied.
 * Source:           mm/memory.c do_cow_fault (never mapped), do_wp_page and wp_page_copy (already loaded).
 */
#include <errno.h>

#include "mapping.h"

/* Preparing it is what first_touch does; it is the page that is copied which makes this another cost. */
extern const struct method method_first_touch;

static int run(struct worker *worker, uint64_t blocks)
{
    mapping_store(worker, blocks);
    return 0;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    return method_first_touch.reset(worker, blocks, err);
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    if (params->sharing != sharing_private || params->access != access_store || params->prior == prior_stored)
        return err_set(err, EINVAL, "cow_break stores to private pages that have not been stored to");
    return method_first_touch.setup(worker, err);
}

static void teardown(struct worker *worker)
{
    method_first_touch.teardown(worker);
}

static uint64_t limit(const struct params *params)
{
    return method_first_touch.limit(params);
}

static uint64_t block_ns(const struct params *params)
{
    return params->vma == vma_page ? 3400 : 2400;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    return method_first_touch.reset_ns(params, blocks);
}

const struct method method_cow_break = {
    .name = "cow_break",
    .measures = "the first store to each block of a fresh private mapping: fault and copy of a page",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | BREAKS_COPIES | PAGES_ONCE,
    .uses = USES_WORK | FIELD_BIT(sharing) | FIELD_BIT(access) | FIELD_BIT(prior) | FIELD_BIT(vma),
    .limit = limit,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
