/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first touch of each page of a mirrored ring through its second view, after each was stored to
 *                   through the first: a store, or a load. An operation is the whole ring.
 * Does not measure: the pages themselves, which are there: they are only mapped once more.
 * Expect:           a store takes a fault a page, 1.4-1.8 us; a load a sixteenth, for its fault maps what lies around
 *                   it, but for System V segments, whose faults map one page.
 * Source:           mm/memory.c do_shared_fault, do_fault_around; mm/filemap.c filemap_map_pages; ipc/shm.c shm_vm_ops,
 *                   which has no map_pages.
 */
#include "ring.h"
#include "ring_touch.h"

static int run(struct worker *worker, uint64_t count)
{
    (void)count; /* of one */
    ring_touch_view(worker, 1);
    return 0;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    return ring_touch_renew(worker, true, err);
}

static uint64_t block_ns(const struct params *params)
{
    return ring_touch_pages(params) * (params->access == access_load && params->ring_of != ring_of_sysv ? 190 : 1500);
}

/* Giving the ring back that was touched, and making another, whose pages are stored to. */
static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    (void)count;
    return 20 * US + ring_touch_pages(params) * (params->ring_of == ring_of_file ? 16 * US : 3600);
}

const struct method method_ring_touch_second = {
    .name = "ring_touch_second",
    .measures =
        "the first touch of each page of a mirrored ring through its second view, when the first has stored to it",
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
