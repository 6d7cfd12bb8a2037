/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a load of one cache line of each block, in random order, from a mapping whose page tables are full:
 *                   the TLB miss, the walk through the page table, and the cache miss.
 * Does not measure: faults: every page has been touched before the clock starts.
 * Expect:           1-5 ns while the TLB covers the working set, then 5-40 ns more a load with base pages and next to
 *                   nothing more with huge ones. What two page sizes differ by is the walk: the lines are as many, and
 *                   as far apart.
 * Source:           the processor's page-table walker; mm/memory.c set_pte_range and mm/huge_memory.c
 * map_anon_folio_pmd decide what it finds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "descriptor.h"
#include "mapping.h"
#include "smaps.h"
#include "target.h"
#include "walk.h"

enum { LINE = 64 }; /* where it is 128, two of the places share a line: as harmless as it is in every arm alike */

struct own {
    struct params params; /* with which it is mapped: anonymous memory has to be stored to */
    uint64_t list[];      /* [offset_count] */
};

/* The loop for a pattern: chained, a load waits for the one before, so that walks cannot overlap. */
WALK_SPECIALISED void visit(struct worker *worker, uint64_t blocks, bool chained)
{
    struct walk walk = walk_begin(worker);
    const unsigned char *base = worker->base;
    walk.offsets = ((const struct own *)worker->own)->list;
    for (uint64_t count; blocks; blocks -= count) {
        const uint64_t *at = walk_stretch(&walk, blocks, &count), *end = at + count;
        for (; at < end; at++) {
            uint64_t word, offset = chained ? at[walk.sum & walk.chain] : *at;
            memcpy(&word, base + offset, sizeof word);
            walk.sum += word;
        }
    }
    __asm__ volatile("" : : "r"(walk.sum));
    walk_end(worker, &walk);
}

static int run(struct worker *worker, uint64_t blocks)
{
    if (worker->params->pattern == pattern_chain)
        visit(worker, blocks, true);
    else
        visit(worker, blocks, false);
    return 0;
}

/*
 * Walks the way of the next batch once. Other arms have had the caches meanwhile; now lines and page tables are there
 * as far as the caches hold them, as they are for a program that goes on with its own work, and what differs is the
 * TLB.
 */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    uint64_t cursor = worker->cursor, sum = worker->sum;
    (void)err;
    run(worker, blocks < worker->offset_count ? blocks : worker->offset_count);
    worker->cursor = cursor;
    worker->sum = sum;
    return 0;
}

/*
 * Which line of a block: drawn from the block's number by a multiplicative hash. Always the first line of a page would
 * mean always the same few sets of the caches, which take an address's place within a page as their index: 12 lines
 * would evict each other while thousands of sets stay empty, and what is measured would not be the TLB.
 */
static uint64_t line_offset(uint64_t offset, uint64_t block_bytes)
{
    uint64_t lines = block_bytes / LINE, block = offset / block_bytes;
    return offset + (block * UINT64_C(0x9e3779b97f4a7c15) >> 32) % lines * LINE;
}

static int make_list(struct worker *worker, struct err *err)
{
    struct own *own = malloc(sizeof *own + worker->offset_count * sizeof *own->list);
    if (!own)
        return err_set(err, ENOMEM, "no memory for %llu places", (unsigned long long)worker->offset_count);
    own->params = *worker->params;
    for (uint64_t i = 0; i < worker->offset_count; i++)
        own->list[i] = line_offset(worker->offsets[i], worker->params->block_bytes);
    worker->own = own;
    return 0;
}

/* What is only loaded from is one page of zeros, wherever it is mapped: one line of it would answer every load. */
static int make_anonymous(struct worker *worker, struct err *err)
{
    struct own *own = worker->own;
    own->params.access = access_store;
    worker->params = &own->params;
    int rc = mapping_make(worker, err);
    if (rc)
        return rc;
    memset(worker->base, 1, worker->base_bytes);
    return smaps_check_pages(worker, err);
}

static int make_file_mapping(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = mapping_make(worker, err);
    if (rc == 0)
        mapping_settle(worker);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    if (worker->params->block_bytes < LINE)
        return err_set(err, EINVAL, "tlb_walk needs blocks of a cache line at least");
    int rc = make_list(worker, err);
    if (rc)
        return rc;
    return worker->params->sharing == sharing_anonymous ? make_anonymous(worker, err) : make_file_mapping(worker, err);
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
    free(worker->own);
    worker->own = NULL;
}

static uint64_t block_ns(const struct params *params)
{
    bool large = params->working_set_bytes > 16 * MIB;
    return params->pattern == pattern_chain ? (large ? 80 : 10) : large ? 15 : 4;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    uint64_t places = params->working_set_bytes / params->block_bytes;
    return block_ns(params) * (blocks < places ? blocks : places);
}

const struct method method_tlb_walk = {
    .name = "tlb_walk",
    .measures = "a load of one cache line of each block of a populated mapping: the TLB miss and the walk",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = USES_WORK | FIELD_BIT(advice) | FIELD_BIT(sharing) | FIELD_BIT(pages),
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
