/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a load whose address is what the load before it has found, from one cache line that is reached in
 *                   turns through two views alias_bytes apart (through: other), or through one of them (same); or from
 *                   two lines of two pages at addresses that lie just so (copy): what taking turns costs by itself.
 * Does not measure: faults, TLB misses or memory: both pages have been stored to, and all of it stays in the caches.
 * Expect:           an L1 hit (4-5 cycles) through one view. Through two the same on most CPUs. On AMD Zen the way
 *                   predictor knows a line by a hash of its linear address: the time of an L2 hit where the hashes
 *                   differ. With through: copy it is the other way round: two lines with equal hashes take each
 *                   other's place. The counter `occurred` has the loads between addresses of equal hash.
 * Source:           no kernel function; Lipp et al., "Take A Way" (AsiaCCS 2020), section 3.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "counter.h"
#include "views.h"
#include "way_hash.h"

struct own {
    struct twin twin;
    void *ends[2]; /* the words hold each other's address */
    unsigned at;   /* which of them is loaded from next */
    bool equal;    /* the way hashes of their addresses are */
};

static int run(struct worker *worker, uint64_t blocks)
{
    struct own *own = worker->own;
    void *at = own->ends[own->at];
    for (uint64_t i = 0; i < blocks; i++)
        at = *(void *volatile *)at;
    own->at = (unsigned)(own->at + blocks) % 2;
    if (at != own->ends[own->at])
        worker->fault = "a load has found what nobody has stored";
    counter_method.occurred += own->equal ? blocks : 0;
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = views_begin(worker, (size_t)sysconf(_SC_PAGESIZE), sizeof(struct own), err);
    if (rc)
        return rc;
    struct own *own = worker->own;
    unsigned second = worker->params->through != through_same;
    own->ends[0] = twin_at(&own->twin, 0, 0);
    own->ends[1] = twin_at(&own->twin, second, sizeof(void *));
    for (unsigned i = 0; i < 2; i++)
        *(void **)own->ends[i] = own->ends[!i];
    own->equal = way_hash((uintptr_t)own->ends[0]) == way_hash((uintptr_t)own->ends[1]);
    worker->untold = way_hash_is_used() ? 0 : COUNTER_BIT(occurred);
    return 0;
}

static uint64_t block_ns(const struct params *params)
{
    return params->through == through_same ? 2 : 6;
}

const struct method method_alias_load = {
    .name = "alias_load",
    .measures = "dependent loads of one cache line in turns through two views of it",
    .version = 1,
    .uses = VIEWS_USES,
    .memory = method_no_memory,
    .tells = COUNTER_BIT(occurred),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = views_end,
};
