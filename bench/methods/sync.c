/* SPDX-License-Identifier: MIT */
/*
 * Measures:         one call that makes a file durable, as params->sync names it: msync over range_bytes of a shared
 *                   mapping, sync_file_range over the same bytes, fsync and fdatasync over the whole file. Before it,
 *                   dirty_share of the range's pages were stored to; all else of the file is clean.
 * Does not measure: those stores and their faults, mapping the file.
 * Expect:           MS_ASYNC below 1 us, for it starts nothing; a clean file some us to a flush of the device's cache;
 *                   a dirty page 60-400 us, most of it the device and the journal.
 * Source:           mm/msync.c, fs/sync.c, mm/filemap.c file_write_and_wait_range, mm/page-writeback.c
 *                   folio_clear_dirty_for_io, mm/rmap.c folio_mkclean; ext4: fs/ext4/fsync.c ext4_sync_file.
 */
#include <errno.h>
#include <unistd.h>

#include "dirty.h"
#include "mapper.h"
#include "storage.h"
#include "sync.h"
#include "target.h"

/* Whether a call leaves less to do for the next one. */
static bool consumes(const struct params *params)
{
    return params->sync != sync_msync_async && params->dirty_share > 0;
}

/*
 * One call a batch where it consumes the dirty pages: a second range would find the journal's transaction committed and
 * the device's cache flushed by the call before, and be another operation.
 */
static uint64_t limit(const struct params *params)
{
    return consumes(params) ? 1 : UINT64_MAX;
}

static uint64_t dirties(const struct params *params)
{
    return params_is_memory(params) ? 0 : dirty_pages(params);
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    int rc = target_settle(worker->target, err);
    if (rc == 0)
        dirty_store(worker);
    return rc;
}

static int run(struct worker *worker, uint64_t blocks)
{
    enum sync kind = (enum sync)worker->params->sync;
    uint64_t bytes = worker->params->range_bytes;
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++)
        rc = sync_apply(worker, kind, 0, bytes);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    struct mappers *mappers = NULL;
    int rc = dirty_map(worker, err);
    if (rc == 0)
        rc = mappers_start(&mappers, (unsigned)worker->params->mappers, mapper_view_shared, worker->fd,
                           worker->base_bytes, err);
    worker->own = mappers;
    return rc || dirties(worker->params) == 0 ? rc : dirty_try(worker, err);
}

static void teardown(struct worker *worker)
{
    mappers_stop(worker->own);
    worker->own = NULL;
    dirty_unmap(worker);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t call_ns = 300;
    uint64_t pages = dirty_pages(params),
             flush_ns = (uint64_t)storage_rates()->sync_ns / 2; /* no page, but the journal and the device */
    if (params->sync == sync_msync_async || params_is_memory(params))
        return call_ns;
    return pages ? (uint64_t)storage_write_back_ns(params, (double)pages, params->dirty_order == dirty_order_scattered)
                 : flush_ns;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    const uint64_t settle_ns = 60 * US, fault_ns = 2100;
    (void)blocks;
    return settle_ns + dirty_pages(params) * fault_ns;
}

const struct method method_sync = {
    .name = "sync",
    .measures = "one msync, fsync, fdatasync or sync_file_range over pages stored to before",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE,
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(dirty_share) | FIELD_BIT(dirty_order) | FIELD_BIT(sync) |
            FIELD_BIT(mappers),
    .op_bytes = method_range_bytes,
    .limit = limit,
    .dirties = dirties,
    .maps = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
