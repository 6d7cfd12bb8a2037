/* SPDX-License-Identifier: MIT */
/*
 * Measures:         loads from memory that has been filled in base pages and, with advice: collapse, then been gathered
 *                   into huge ones: what collapsing buys.
 * Does not measure: collapsing (collapse).
 * Expect:           where the working set is beyond the TLB's reach, random loads some 10 % to 50 % quicker.
 * Source:           no kernel function: the processor's page walks, one level shorter and far fewer.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "anonymous.h"
#include "collapse.h"
#include "mapping.h"

static int run(struct worker *worker, uint64_t blocks)
{
    mapping_load(worker, blocks);
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    worker->base_bytes = worker->params->working_set_bytes;
    int rc = anonymous_make(&worker->base, worker->base_bytes, false, err);
    if (rc)
        return rc;
    anonymous_touch(worker->base, worker->base_bytes);
    return worker->params->advice == advice_collapse ? collapse_try(worker->base, worker->base_bytes, err) : 0;
}

static uint64_t block_ns(const struct params *params)
{
    return params->working_set_bytes > 16 * MIB ? 17 : 4;
}

const struct method method_collapse_loads = {
    .name = "collapse_loads",
    .measures = "loads from memory filled in base pages, with advice: collapse gathered into huge ones",
    .version = 1,
    .uses = USES_WORK | FIELD_BIT(advice) | FIELD_BIT(sharing) | FIELD_BIT(pages),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = collapse_end,
};
