/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a store to a page of a mapping that has been stored to before, while `mappers` other processes look
 *                   at the same file (mapper_view): they come by every line before each batch, and fault on the pages
 *                   where they map them, so that the lines of a shared mapping have to come back in any case, from
 *                   another CPU where this process may use a second one.
 * Does not measure: the first stores; what the others do.
 * Expect:           a few ns, and the way of a cache line from the other CPU; no fault, however they look at it: a
 *                   private mapping that was only loaded from shares the page and does not protect it; and in a
 *                   private mapping the page is the worker's own by then. Once they have cut the file off every page
 *                   faults.
 * Source:           mm/memory.c do_read_fault: a read fault of a private mapping maps the page of the page cache
 *                   read-only for itself and changes no one else's page table; mm/filemap.c generic_perform_write.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "dirty.h"
#include "mapper.h"
#include "mapping.h"
#include "target.h"

static uint64_t dirties(const struct params *params)
{
    bool in_file = params->sharing == sharing_shared && !params_is_memory(params);
    return !in_file ? 0 : params->working_set_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
}

static int run(struct worker *worker, uint64_t blocks)
{
    mapping_store(worker, blocks);
    return 0;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    mapping_settle(worker); /* what was written back meanwhile is writable again */
    return mappers_fault(worker->own, err);
}

static int setup(struct worker *worker, struct err *err)
{
    struct mappers *mappers = NULL;
    int rc = mapping_check_steps(worker->params, err);
    if (rc)
        return rc;
    rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = mappers_start(&mappers, (unsigned)worker->params->mappers, (unsigned)worker->params->mapper_view, worker->fd,
                       worker->params->working_set_bytes, err);
    worker->own = mappers;
    if (rc == 0)
        rc = mapping_make(worker, err);
    return rc || dirties(worker->params) == 0 ? rc : dirty_try(worker, err);
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    mappers_stop(worker->own);
    worker->own = NULL;
    descriptor_close(worker);
}

/* Every page at most once a batch. */
static uint64_t limit(const struct params *params)
{
    return params->working_set_bytes / mapping_step_bytes(params);
}

static bool is_cut(const struct params *params)
{
    return params->mappers && params->mapper_view == mapper_view_cut;
}

static uint64_t block_ns(const struct params *params)
{
    if (is_cut(params))
        return 1500;
    return params->mappers ? 60 + params->block_bytes / 3 : 20 + params->block_bytes / 40;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    static const uint64_t page_ns[] = {
        [mapper_view_shared] = 120, [mapper_view_private] = 120, [mapper_view_pread] = 700,
        [mapper_view_pwrite] = 700, [mapper_view_none] = 0,      [mapper_view_cut] = 3000,
    };
    const uint64_t wake_ns = 20 * US;
    uint64_t pages = params->working_set_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
    (void)blocks;
    return params->mappers * (wake_ns + pages * page_ns[params->mapper_view]);
}

const struct method method_store_beside = {
    .name = "store_beside",
    .measures = "a store to a page of a mapping again, while other processes look at the file",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_BUFFER | PAGES_ONCE | ONLY_STORES,
    .uses = FIELD_BIT(block_bytes) | FIELD_BIT(buffer) | FIELD_BIT(surplus) | FIELD_BIT(access) | FIELD_BIT(sharing) |
            FIELD_BIT(mappers) | FIELD_BIT(mapper_view),
    .limit = limit,
    .dirties = dirties,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
