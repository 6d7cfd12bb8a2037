/* SPDX-License-Identifier: MIT */
/*
 * Measures:         making a page of populated memory a guard page by MADV_GUARD_INSTALL (Linux 6.13): its page is
 *                   given back and its page-table entry marked; no VMA changes.
 * Does not measure: making it usable again, which is done for all of them before the next batch.
 * Expect:           about 1 us, a third of it the freed page.
 * Source:           mm/madvise.c madvise_guard_install and guard_install_set_pte.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "anonymous.h"
#include "guard.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

static int run(struct worker *worker, uint64_t blocks)
{
    for (uint64_t i = 0; i < blocks; i++)
        if (madvise(guard_page(worker), worker->buffer_step, MADV_GUARD_INSTALL))
            return -errno;
    return 0;
}

/* Pages under a guard have been given back: they are touched again. */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    worker->cursor = 0;
    if (madvise(worker->base, worker->base_bytes, MADV_GUARD_REMOVE))
        return err_sys(err, "MADV_GUARD_REMOVE");
    anonymous_touch(worker->base, worker->base_bytes);
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = guard_begin(worker, err);
    if (rc == 0 && madvise(worker->base, worker->buffer_step, MADV_GUARD_INSTALL))
        rc = err_set(err, errno == EINVAL ? EOPNOTSUPP : errno, "this kernel does not have MADV_GUARD_INSTALL: %s",
                     strerror(errno));
    return rc;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 1 * US;
}

const struct method method_guard_install = {
    .name = "guard_install",
    .measures = "making a page of populated memory a guard page, by MADV_GUARD_INSTALL",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .limit = guard_limit,
    .memory = guard_memory,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = guard_reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = guard_end,
};
