/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a store to each page of a fresh file without a name, made by made_by on made_on and mapped shared:
 *                   the first one, which allocates the page (prior: never), or another one, over and over (stored).
 * Does not measure: making the file (memory_file_make); writing it back, which happens to files on a disk alone.
 * Expect:           never: 0.6-1.5 us in memory, more on a disk, where room is set aside for it. stored: some ns
 *                   wherever it lies, for a TLB entry and a cache line.
 * Source:           mm/shmem.c shmem_fault; fs/ext4/inode.c ext4_page_mkwrite and ext4_da_get_block_prep.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hugepage.h"
#include "making.h"
#include "smaps.h"

struct own {
    struct making making;
    uint64_t pages, page_bytes;
    uint64_t stored; /* leading pages that hold `value` */
    unsigned char value;
};

/* The byte of a page that is stored to: always the first would mean always the same few sets of the caches. */
static size_t byte_of(const struct own *own, uint64_t page)
{
    return page * own->page_bytes + (page * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (own->page_bytes - 1));
}

/* Page by page, from the first again after the last. */
static void store_pages(const struct worker *worker, uint64_t count)
{
    const struct own *own = worker->own;
    for (uint64_t now; count; count -= now) {
        now = count < own->pages ? count : own->pages;
        for (uint64_t i = 0; i < now; i++)
            *(volatile unsigned char *)(worker->base + byte_of(own, i)) = own->value;
    }
}

static int run(struct worker *worker, uint64_t blocks)
{
    struct own *own = worker->own;
    store_pages(worker, blocks);
    own->stored = blocks < own->pages ? blocks : own->pages;
    return 0;
}

/* What the batch before has stored is in the file: read by another way than it was stored. */
static int check_stored(const struct worker *worker, struct err *err)
{
    const struct own *own = worker->own;
    for (uint64_t i = 0; i < own->stored; i++) {
        unsigned char found;
        if (pread(worker->fd, &found, 1, (off_t)byte_of(own, i)) != 1 || found != own->value)
            return err_set(err, EPROTO, "page %llu of the file does not hold what was stored", (unsigned long long)i);
    }
    return 0;
}

static void remove_file(struct worker *worker)
{
    if (worker->base)
        making_unmap(worker->fd, worker->base_bytes, worker->base);
    worker->base = NULL;
    worker->fd = -1;
}

static int make_file(struct worker *worker, struct err *err)
{
    struct own *own = worker->own;
    int fd = making_map(&own->making, worker->base_bytes, &worker->base);
    worker->fd = fd < 0 ? -1 : fd;
    if (fd < 0)
        return err_set(err, -fd, "a file of %zu bytes: %s", worker->base_bytes, strerror(-fd));
    int rc = hugepage_avoid(worker->base, worker->base_bytes);
    return rc ? err_set(err, -rc, "madvise(MADV_NOHUGEPAGE): %s", strerror(-rc)) : 0;
}

/* Pages that were stored to stay: of first touches each batch has a file of its own. */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    struct own *own = worker->own;
    bool anew = worker->params->prior == prior_never || !worker->base;
    int rc = check_stored(worker, err);
    (void)blocks;
    if (rc)
        return rc;
    own->stored = 0;
    own->value = (unsigned char)(own->value % 255 + 1);
    if (anew) {
        remove_file(worker);
        rc = make_file(worker, err);
    }
    if (rc == 0 && worker->params->prior == prior_stored)
        store_pages(worker, own->pages);
    return rc;
}

/* By a store to each page of a first file. */
static int prove_pages(struct worker *worker, struct err *err)
{
    const struct own *own = worker->own;
    int rc = make_file(worker, err);
    if (rc)
        return rc;
    store_pages(worker, own->pages);
    return smaps_check_small(worker->base, worker->base_bytes, err);
}

static int setup(struct worker *worker, struct err *err)
{
    struct own *own = worker->own = calloc(1, sizeof *own);
    worker->fd = -1;
    if (!own)
        return err_set(err, ENOMEM, "no memory for a path");
    own->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    own->pages = worker->params->range_bytes / own->page_bytes;
    worker->base_bytes = own->pages * own->page_bytes;
    int rc = making_begin(&own->making, worker, err);
    return rc ? rc : prove_pages(worker, err);
}

static void teardown(struct worker *worker)
{
    remove_file(worker);
    free(worker->own);
    worker->own = NULL;
}

static uint64_t limit(const struct params *params)
{
    return params->prior == prior_stored ? UINT64_MAX : params->range_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t op_bytes(const struct params *params)
{
    (void)params;
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t memory(const struct params *params)
{
    return params->range_bytes;
}

static uint64_t block_ns(const struct params *params)
{
    return params->prior == prior_stored ? 5 : params->made_on == made_on_target ? 8 * US : 3500;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    uint64_t pages = params->range_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t checked = blocks < pages ? blocks : pages;
    return params->prior == prior_stored ? pages * 5 + checked * 400 : 20 * US + checked * 1200;
}

const struct method method_memory_file_touch = {
    .name = "memory_file_touch",
    .measures = "a store to each page of a file without a name: the first, or one of the many after it",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = MAKING_USES | FIELD_BIT(prior),
    .limit = limit,
    .op_bytes = op_bytes,
    .memory = memory,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
