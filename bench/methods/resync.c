/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a store to a page that was stored to before and then synced (params->sync): writing a page back
 *                   takes the right to write to it out of the page tables, so the store faults again (write-notify).
 * Does not measure: the first stores, the sync. With sync: none nothing is synced, and the store is only a store.
 * Expect:           1-8 us a page by folio size, one fault a page, or one for each huge page where the page table holds
 *                   such; no fault on tmpfs, after MS_ASYNC, or in a private mapping.
 * Source:           mm/rmap.c folio_mkclean, mm/memory.c do_wp_page and do_page_mkwrite, fs/ext4/inode.c
 *                   ext4_page_mkwrite, fs/iomap/buffered-io.c iomap_page_mkwrite.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "dirty.h"
#include "mapping.h"
#include "storage.h"
#include "sync.h"
#include "target.h"

static bool stays_dirty(const struct params *params)
{
    return params->sharing == sharing_shared && !params_is_memory(params) &&
           (params->sync == sync_none || params->sync == sync_msync_async);
}

static uint64_t dirties(const struct params *params)
{
    return stays_dirty(params) ? params->working_set_bytes / (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    mapping_store(worker, blocks);
    return 0;
}

/* Every page of the working set, whichever of them the batch comes to. */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    enum sync kind = (enum sync)worker->params->sync;
    (void)blocks;
    mapping_settle(worker);
    int rc = sync_apply(worker, kind, 0, worker->params->working_set_bytes);
    return rc ? err_set(err, -rc, "sync %s: %s", worker->target->path, strerror(-rc)) : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = mapping_check_steps(worker->params, err);
    if (rc)
        return rc;
    rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = mapping_make(worker, err);
    return rc || !stays_dirty(worker->params) ? rc : dirty_try(worker, err);
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

/* Every page at most once a batch: it faults again only once. */
static uint64_t limit(const struct params *params)
{
    return params->working_set_bytes / mapping_step_bytes(params);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t store_ns = 20, fault_ns = 2000;
    bool faults = params->sync != sync_none && params->sync != sync_msync_async && params->sharing == sharing_shared;
    return faults && !params_is_memory(params) ? fault_ns : store_ns;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    const uint64_t fault_ns = 3200; /* stored to, and write-protected by the sync */
    uint64_t pages = params->working_set_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
    (void)blocks;
    return pages + (params_is_memory(params)
                        ? 0
                        : pages * fault_ns + (uint64_t)storage_write_back_ns(params, (double)pages, false));
}

const struct method method_resync = {
    .name = "resync",
    .measures = "a store to a page again, after it was stored to and synced",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | PAGES_ONCE | ONLY_STORES,
    .uses = FIELD_BIT(block_bytes) | FIELD_BIT(buffer) | FIELD_BIT(surplus) | FIELD_BIT(access) | FIELD_BIT(sharing) |
            FIELD_BIT(advice) | FIELD_BIT(sync),
    .limit = limit,
    .dirties = dirties,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
