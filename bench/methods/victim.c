/* SPDX-License-Identifier: MIT */
/*
 * Measures:         loads of blocks from a populated mapping by a thread that does nothing else, while siblings storm
 *                   on a mapping of their own (params->storm): what the loads lose to interrupts and to a flushed TLB.
 * Does not measure: the storm's own cost; the first touches of the mapping.
 * Expect:           with storm: none the time of the loads alone; else 1-5 us for each shootdown that comes in.
 * Source:           arch/x86/mm/tlb.c flush_tlb_func, kernel/smp.c; on arm64 and with INVLPGB there is no interrupt.
 */
#include <string.h>

#include "descriptor.h"
#include "mapping.h"
#include "sibling.h"
#include "target.h"

static int run(struct worker *worker, uint64_t blocks)
{
    struct siblings *siblings = worker->own;
    siblings_begin(siblings);
    mapping_visit(worker, blocks);
    worker->fault = siblings_end(siblings);
    return 0;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    return siblings_resume(worker->own, err);
}

static int setup(struct worker *worker, struct err *err)
{
    struct siblings *siblings = NULL;
    int rc = worker->params->sharing == sharing_anonymous ? 0 : descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = mapping_make(worker, err);
    if (rc)
        return rc;
    mapping_settle(worker);
    mapping_prepare(worker, worker->base_bytes);
    rc = siblings_start(&siblings, worker->params, err);
    worker->own = siblings;
    return rc;
}

static void teardown(struct worker *worker)
{
    siblings_stop(worker->own);
    worker->own = NULL;
    mapping_remove(worker);
    descriptor_close(worker);
}

static uint64_t block_ns(const struct params *params)
{
    return params->siblings ? 25 : 15;
}

/* Siblings begin again. */
static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    (void)blocks;
    return params->siblings ? 70 * US : 0;
}

const struct method method_victim = {
    .name = "victim",
    .measures = "loads from a mapping while siblings storm on another one of the process",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = USES_WORK | FIELD_BIT(range_bytes) | FIELD_BIT(siblings) | FIELD_BIT(sibling_work) | FIELD_BIT(storm) |
            FIELD_BIT(sharing) | FIELD_BIT(pages) | FIELD_BIT(prior),
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
