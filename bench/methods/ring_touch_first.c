/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first touch of each page of a new mirrored ring, through its first view: a store, or a load. An
 *                   operation is the whole ring.
 * Does not measure: making the ring, which happens before each batch (ring_setup).
 * Expect:           a page is made and filled with zeros by its fault: 1-3.5 us on memory, 4 us in a file, where the
 *                   first of them also brings the others into the page cache.
 * Source:           mm/shmem.c shmem_fault, mm/memory.c do_shared_fault; mm/filemap.c filemap_fault, fs/ext4/inode.c
 *                   ext4_page_mkwrite.
 */
#include "ring.h"
#include "ring_touch.h"

static int run(struct worker *worker, uint64_t count)
{
    (void)count; /* of one */
    ring_touch_view(worker, 0);
    return 0;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    return ring_touch_renew(worker, false, err);
}

static uint64_t block_ns(const struct params *params)
{
    return ring_touch_pages(params) * (params->ring_of == ring_of_file ? 4200 : 3400);
}

/* Giving the ring back that was touched, and making another. */
static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    (void)count;
    return 20 * US + ring_touch_pages(params) * (params->ring_of == ring_of_file ? 12 * US : 200);
}

const struct method method_ring_touch_first = {
    .name = "ring_touch_first",
    .measures = "the first touch of each page of a new mirrored ring, through its first view",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(ring_bytes) | FIELD_BIT(ring_of) | FIELD_BIT(access),
    .memory = ring_memory,
    .limit = ring_touch_limit,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = ring_touch_setup,
    .reset = reset,
    .run = run,
    .teardown = ring_touch_teardown,
};
