/* SPDX-License-Identifier: MIT */
/* How much an arm does and for how long; whether the arms of a cell do the same. */
#include "plan_site.h"

#include <inttypes.h>

enum { TOUCHES_MAX = 1 << 20 };

int check_above_zero(struct site *site)
{
    static const enum field_index fields[] = {
        FIELD_file_bytes, FIELD_working_set_bytes, FIELD_workers, FIELD_batch_time,
        FIELD_count_ops,  FIELD_block_bytes,       FIELD_touches,
    };
    struct params zero = {0};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (field_equal(&field_table[fields[i]], site->params, &zero))
            return refuse(site, fields[i], "%s must be above 0", field_table[fields[i]].name);
    return 0;
}

int check_times(struct site *site)
{
    const struct params *params = site->params;
    if (params->arm_time < params->batch_time)
        return refuse(site, FIELD_arm_time, "arm_time %s is shorter than one batch of %s",
                      size_text(params, FIELD_arm_time), size_text(params, FIELD_batch_time));
    if (params->latency != latency_none && params->latency_ops == 0)
        return refuse(site, FIELD_latency_ops, "a latency pass of no operation: write latency: none");
    if (params->latency != latency_none && params->latency_time == 0)
        return refuse(site, FIELD_latency_time, "a latency pass of no time: write latency: none");
    if (params->latency == latency_open && params->latency_interval == 0)
        return refuse(site, FIELD_latency_interval, "an open latency pass needs a time between operations");
    return 0;
}

int check_touches(struct site *site)
{
    const struct params *params = site->params;
    if (!params_has_passes(params))
        return is_own(site, FIELD_touches)
                   ? refuse(site, FIELD_touches, "touches means nothing where nothing lives per pass and per is block")
                   : 0;
    if (params->touches > TOUCHES_MAX)
        return refuse(site, FIELD_touches, "%" PRIu64 " touches a pass: at most %d", params->touches, TOUCHES_MAX);
    bool larger = params->touches * params->block_bytes > params->working_set_bytes;
    if (larger && needs(site, NEEDS_ORDER))
        return refuse(site, FIELD_touches,
                      "a pass of %" PRIu64 " blocks of %s is larger than the working set of %s, and "
                      "%s cannot cross the end of the file",
                      params->touches, size_text(params, FIELD_block_bytes), size_text(params, FIELD_working_set_bytes),
                      site->arm->method->name);
    uint64_t most = site->arm->method->limit ? site->arm->method->limit(params) : UINT64_MAX;
    if (most < params_granule(params))
        return refuse(site, FIELD_touches,
                      "a pass of %" PRIu64 " blocks is more than the %" PRIu64 " that %s can visit once",
                      params->touches, most, site->arm->method->name);
    if (larger && params->cache == cache_cold)
        return refuse(site, FIELD_touches,
                      "a cold pass of %" PRIu64 " blocks of %s is larger than the working set of %s: "
                      "it would meet pages that it has warmed itself",
                      params->touches, size_text(params, FIELD_block_bytes),
                      size_text(params, FIELD_working_set_bytes));
    return 0;
}

/* Operations due at fixed times cannot wait for a state to be restored before each. */
int check_open_latency(struct site *site)
{
    bool fresh = needs(site, NEEDS_BUFFER) && site->params->buffer == buffer_fresh;
    if (site->params->latency == latency_open && (site->arm->method->reset || fresh))
        return refuse(site, FIELD_latency, "the state of %s is restored before each operation: none can be due",
                      site->arm->method->name);
    return 0;
}

static uint64_t op_bytes(const struct params *params)
{
    return params->block_bytes * params_blocks_per_op(params);
}

static const struct arm *first_with_file(const struct cell *cell)
{
    for (unsigned i = 0; i < cell->arm_count; i++)
        if (method_uses(cell->arms[i].method, &field_table[FIELD_block_bytes]) &&
            cell->arms[i].method->needs & NEEDS_FILE)
            return &cell->arms[i];
    return NULL;
}

int check_same_work(struct site *site)
{
    const struct arm *first = first_with_file(site->cell);
    if (!first || !needs(site, NEEDS_FILE) || !uses(site, FIELD_block_bytes) ||
        op_bytes(&first->params) == op_bytes(site->params))
        return 0;
    enum field_index blame = is_own(site, FIELD_touches) && site->params->per == per_pass ? FIELD_touches
                                                                                          : FIELD_block_bytes;
    return refuse(site, blame,
                  "an operation of '%s' has %" PRIu64 " bytes, one of '%s' has %" PRIu64 ": arms must do the same work",
                  site->arm->name, op_bytes(site->params), first->name, op_bytes(&first->params));
}

/* Varying what no arm of the cell heeds would print the same cell under several names. */
int check_touches_heeded(struct site *site)
{
    if (!site->draft->varied[FIELD_touches])
        return 0;
    for (unsigned i = 0; i < site->cell->arm_count; i++)
        if (params_has_passes(&site->cell->arms[i].params))
            return 0;
    return refuse(site, FIELD_touches, "touches is varied, but no arm has anything that lives per pass");
}
