/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first visit to each block of a fresh mapping: the minor (or, when cold, major) fault, shared by
 *                   all pages that fault-around, the folios and huge pages map at once, and the load or the store. With
 *                   prior: loaded a store to pages that are mapped for reading: the fault that makes them writable.
 * Does not measure: mmap, munmap and what prior does: the mapping is made anew before each batch, untimed; nor how a
 *                   store reaches the disk: what is dirty is written back before the next batch, untimed too.
 * Expect:           load of a file 10-300 ns a page by recipe, 1-1.5 us a page in VMAs of one page; store to a shared
 *                   one 0.1-2.5 us by recipe and filesystem; anonymous 0.6 us loaded, 1.5 stored, 100 us a huge page.
 * Source:           mm/memory.c do_read_fault and do_fault_around, do_shared_fault and do_page_mkwrite, do_wp_page,
 *                   do_anonymous_page; mm/filemap.c filemap_map_pages; mm/huge_memory.c do_huge_pmd_anonymous_page.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "counter.h"
#include "descriptor.h"
#include "dirty.h"
#include "mapping.h"
#include "smaps.h"
#include "storage.h"
#include "target.h"

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int run(struct worker *worker, uint64_t blocks)
{
    mapping_visit(worker, blocks);
    return 0;
}

/* A hole that has been stored to has blocks: it is emptied again. */
static int restore_file(const struct worker *worker, struct err *err)
{
    bool fills = worker->params->recipe == recipe_hole && worker->writes;
    return fills ? target_hollow(worker->target, err) : 0;
}

/*
 * Does what prior says to the pages that the next batch visits, and to no others: each of them would have its price,
 * when it is written back too. The page's first byte: the line that the batch visits stays as cold as it was.
 */
static void prepare(const struct worker *worker, uint64_t blocks)
{
    uint64_t page = page_bytes();
    if (worker->params->prior == prior_never)
        return;
    if (worker->params->vma == vma_page) { /* which lie elsewhere */
        mapping_prepare(worker, worker->base_bytes);
        return;
    }
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t offset = worker->offsets[(worker->cursor + i) % worker->offset_count];
        volatile unsigned char *byte = worker->base + offset / page * page;
        unsigned char found = *byte;
        if (worker->params->prior == prior_stored)
            *byte = found;
    }
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    int rc = smaps_check_pages(worker, err); /* of the batch before, as it left them */
    int rc_remove = mapping_remove(worker);
    if (rc == 0 && rc_remove)
        rc = err_set(err, -rc_remove, "munmap: %s", strerror(-rc_remove));
    if (rc == 0)
        rc = restore_file(worker, err);
    if (rc == 0)
        rc = mapping_make(worker, err);
    if (rc == 0)
        prepare(worker, blocks);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = mapping_check(worker, err);
    if (rc == 0)
        rc = mapping_check_steps(worker->params, err);
    if (rc)
        return rc;
    if (worker->params->sharing == sharing_anonymous)
        return 0;
    rc = descriptor_open_plain(worker); /* no advice: that is for the mapping */
    return rc ? err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc)) : 0;
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

/* Every page at most once a batch: later blocks of the same page would not be first touches. */
static uint64_t limit(const struct params *params)
{
    return params->working_set_bytes / mapping_step_bytes(params);
}

static bool is_shared_store(const struct params *params)
{
    return params->access == access_store && (params->sharing == sharing_shared || params->sharing == sharing_sync);
}

/* Filling page tables for writing is a store to every page as far as the filesystem is concerned; prior: stored is one
 * to at least a page. */
static uint64_t dirties(const struct params *params)
{
    if (is_shared_store(params) && params->prior == prior_stored)
        return 1;
    return is_shared_store(params) && params->populate == populate_populate_write
               ? params->working_set_bytes / page_bytes()
               : 0;
}

static uint64_t block_ns(const struct params *params)
{
    bool store = params->access == access_store, anonymous = params->sharing == sharing_anonymous;
    bool memory = params_is_memory(params), loaded_first = params->prior == prior_loaded && is_shared_store(params);
    bool small_folios = memory || params->recipe == recipe_write_4KiB || params->recipe == recipe_refill_map ||
                        params->recipe == recipe_hole;
    if (params->cache == cache_cold && !anonymous)
        return (uint64_t)storage_rates()->fetch_ns;
    if (params->recipe == recipe_hole && store && !anonymous && !(memory && loaded_first))
        return 3200;
    if (params->populate != populate_none || params->prior == prior_stored || (memory && loaded_first))
        return 20; /* no fault: in memory what is loaded from is mapped writable at once */
    if (anonymous)
        return params->pages != pages_small ? 150 : store ? 1900 : 750;
    if (store)
        return is_shared_store(params) && !small_folios && params->prior == prior_never ? 200 : 2200;
    if (params->vma == vma_page || mapping_step_bytes(params) >= 64 * KIB)
        return 2000;
    return small_folios ? 250 * (1 + mapping_step_bytes(params) / page_bytes()) / 2 : 65;
}

/* Mapping, what prior and populate do to every page of it, unmapping, and writing back what was stored. */
static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    bool anonymous = params->sharing == sharing_anonymous;
    const uint64_t around = 16; /* pages that a fault maps, and that are unmapped again */
    uint64_t pages = params->working_set_bytes / page_bytes(),
             mapped = blocks * around < pages ? blocks * around : pages;
    uint64_t ns = 15 * US + (storage_folio_bytes(params) < 64 * KIB ? 85 * mapped : 0);
    if (anonymous)
        ns += 100 * US + 180 * blocks; /* to see which pages were given, and to give them back */
    if (params->vma == vma_page)
        ns += 3500 * pages;
    if (params->populate != populate_none)
        ns += 100 * pages;
    if (params->prior != prior_never)
        ns += (anonymous ? (blocks > 1024 ? 3500 : 1300) : params->prior == prior_stored ? 1500 : 150) * blocks;
    if (is_shared_store(params) && (params->cache == cache_warm || params->cache == cache_clean))
        ns += (uint64_t)(0.85 * storage_write_back_ns(params, (double)blocks, false)); /* part is under way by then */
    return ns;
}

const struct method method_first_touch = {
    .name = "first_touch",
    .measures = "the first load from, or store to, each block of a fresh mapping, map and unmap outside the clock",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | PAGES_ONCE,
    /* recipe: holes are made anew before each batch that fills them. */
    .uses = USES_WORK | FIELD_BIT(advice) | FIELD_BIT(sharing) | FIELD_BIT(populate) | FIELD_BIT(vma) |
            FIELD_BIT(access) | FIELD_BIT(pages) | FIELD_BIT(prior) | FIELD_BIT(recipe) | FIELD_BIT(protection),
    .tells = COUNTER_BIT(rss_bytes),
    .limit = limit,
    .dirties = dirties,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
