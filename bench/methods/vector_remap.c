/* SPDX-License-Identifier: MIT */
/*
 * Measures:         doubling a vector of range_bytes by mremap, to where moved_to says: its contents stay, the new half
 *                   holds zeros. Where it has room behind it (crowding) nothing is moved.
 * Does not measure: filling it; making the place that it is moved to; the first touch of the new half. A refusal
 *                   (moved_to: nowhere) is an operation like any other. Counted as occurred: it grew where it lay.
 * Expect:           1-2 us in place; 3-6 us and 10-30 ns a page where entries are moved one by one, next to nothing a
 *                   page where whole page tables are; 5-15 us more where other threads run.
 * Source:           mm/mremap.c expand_vma, vrm_move_addr..., move_page_tables, move_normal_pmd, move_huge_pmd.
 */
#include <errno.h>

#include "counter.h"
#include "vectors.h"

static int grow(const struct params *params, struct vector *vector, size_t bytes)
{
    if (params->moved_to == moved_to_nowhere)
        return paged_vector_grow_in_place(&vector->now, bytes);
    return params->moved_to == moved_to_anywhere ? paged_vector_grow(&vector->now, bytes)
                                                 : paged_vector_grow_to(&vector->now, vector->to, bytes);
}

static int run(struct worker *worker, uint64_t count)
{
    struct vectors *vectors = vectors_begin(worker, count);
    bool may_fail = worker->params->moved_to == moved_to_nowhere;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct vector *vector = &vectors->items[i];
        rc = grow(worker->params, vector, 2 * vectors->bytes);
        counter_method.occurred += rc == 0 && vector->now.at == vector->home;
        if (vector->now.at == vector->to)
            vector->to = NULL;
        if (may_fail && rc == -ENOMEM)
            rc = 0;
    }
    return vectors_end(worker, rc);
}

static int setup(struct worker *worker, struct err *err)
{
    return vectors_setup(worker, VECTORS_REMAPPED, err);
}

static uint64_t memory(const struct params *params)
{
    return vectors_limit(params) * params->range_bytes;
}

static bool has_to_move(const struct params *params)
{
    return params->moved_to == moved_to_misaligned || (params->moved_to == moved_to_anywhere && params->crowding > 0.5);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t call_ns = 2500, page_ns = 15, table_ns = 120, shootdown_ns = 10 * US;
    uint64_t pages = params->range_bytes / (4 * KIB), tables = params->range_bytes / (2 * MIB);
    bool by_entry = has_to_move(params) && params->moved_to == moved_to_misaligned;
    uint64_t moved_ns = by_entry || tables == 0 ? pages * page_ns : tables * table_ns;
    return call_ns + (params->moved_to == moved_to_nowhere ? 0 : moved_ns) + (params->siblings ? shootdown_ns : 0);
}

const struct method method_vector_remap = {
    .name = "vector_remap",
    .measures = "doubling a vector by mremap",
    .version = 1,
    .tells = COUNTER_BIT(occurred),
    .uses = USES_VECTORS | FIELD_BIT(crowding) | FIELD_BIT(moved_to),
    .op_bytes = method_range_bytes,
    .limit = vectors_limit,
    .memory = memory,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = vectors_reset_ns,
    .setup = setup,
    .reset = vectors_reset,
    .run = run,
    .teardown = vectors_teardown,
};
